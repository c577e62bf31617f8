"""`datapusher inspect`: the table that a file would become, for people or as one JSON object."""

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from consumer.push.containers import UnpackLimits
from consumer.push.download import Download, Progress
from consumer.push.fetch import fetch
from consumer.push.formats import Hints
from consumer.push.inspect import inspect
from consumer.push.options_text import options_in
from consumer.push.source_file import fetch_settings_without_ckan
from schemas.errors import JobError, Transient
from schemas.settings import Settings

CELL_CHARACTERS = 24
#: Between two columns of a table on the screen.
FRAME_CHARACTERS = 3


def run_inspect(
    settings: Settings, source: str, declared: str, options: str, *, rows: bool, rejects: TextIO | None, as_json: bool
) -> int:
    """Prints what became of the file (a path or a URL); exit status 0, or 1 where it cannot be loaded."""
    with tempfile.TemporaryDirectory(prefix="datapusher-") as folder:
        try:
            path, hints = _file(settings, source, declared, Path(folder) / "file")
            said = {**settings.option_defaults(), **options_in(options)}
            with Console(stderr=True).status(f"reading {path.name if path.parent != Path(folder) else source}"):
                facts = inspect(path, options=said, hints=hints, data=rows, limits=UnpackLimits.of(settings))
        except JobError as error:
            facts = {"error": error.code, **error.as_dict()}
        except Transient as error:
            facts = {"error": "transient", "message": error.message}
    if rejects is not None:
        _write_rejects(rejects, facts)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        _show(facts)
    return 1 if "error" in facts else 0


def _file(settings: Settings, source: str, declared: str, into: Path) -> tuple[Path, Hints]:
    if urlsplit(source).scheme not in ("http", "https", "ftp"):
        path = Path(source)
        if not path.is_file():
            raise JobError(f"There is no file {source}")
        return path, Hints(declared=declared or None, filename=path.name)
    download = _fetched(settings, source, into)
    named = Hints(url=source, filename=download.filename, content_type=download.content_type)
    return download.path, replace(named, declared=declared or None)


def _fetched(settings: Settings, url: str, into: Path) -> Download:
    """Whoever types an address on the command line may reach it anyway: no network is forbidden here."""
    open_settings = replace(fetch_settings_without_ckan(settings), allowed_networks=("0.0.0.0/0", "::/0"))
    columns = (TextColumn("fetching"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with ProgressBar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fetching", total=None)

        def told(progress: Progress) -> None:
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes)

        return fetch(url, into, open_settings, on_progress=told)


def _write_rejects(file: TextIO, facts: Mapping[str, Any]) -> None:
    writer = csv.writer(file)
    names = ("row", "reason", "text", "column")
    writer.writerow(names)
    writer.writerows([one[name] for name in names] for one in facts.get("rejects", ()))


def _show(facts: Mapping[str, Any]) -> None:
    console = Console()
    if "error" in facts:
        console.print(f"[red]{escape(str(facts['message']))}[/red]")
        for key, value in facts.items():
            if key not in ("error", "message"):
                console.print(f"  {escape(str(key))}: {escape(str(value))}")
        return
    said = {key: facts[key] for key in ("format", "encoding", "delimiter", "sheet", "header_row") if key in facts}
    console.print(", ".join(f"{key.replace('_', ' ')} {value!r}" for key, value in said.items()), highlight=False)
    console.print(_columns(facts))
    console.print(_first_rows(facts, console.width))
    counts = {"loaded": "rows", "rejected": "rejected", "blank": "blank_skipped", "filled up": "padded"}
    console.print(", ".join(f"{facts[key]:,} {word}" for word, key in counts.items()), style="bold", highlight=False)
    for warning in facts.get("warnings", ()):
        console.print(warning, style="yellow", highlight=False, markup=False)
    for reject in facts["rejects"][:5]:
        console.print(f"  row {reject['row']}: {reject['reason']}", highlight=False, markup=False)


def _columns(facts: Mapping[str, Any]) -> Table:
    table = Table("column", "type", "in CKAN", "NULLs", "why text")
    for one in facts["columns"]:
        table.add_row(escape(one["name"]), one["rich"], one["ckan"], f"{one['nulls']:,}", escape(one["why_text"] or ""))
    return table


def _first_rows(facts: Mapping[str, Any], width: int) -> Table:
    names = [_cell(one["name"]) for one in facts["columns"]]
    rows = [[_cell(value) for value in row] for row in facts["first_rows"]]
    most = _fitting([max(map(len, column)) for column in zip(names, *rows, strict=True)], width)
    title = f"First rows (the first {most} of {len(names)} columns)" if len(names) > most else "First rows"
    table = Table(title=title, title_justify="left")
    for name in names[:most]:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row[:most])
    return table


def _fitting(widths: Sequence[int], width: int) -> int:
    """How many columns of these widths stand side by side on a screen, one at least."""
    ends = accumulate(FRAME_CHARACTERS + each for each in widths)
    return max(1, sum(end < width for end in ends))


def _cell(value: str | None) -> str:
    text = (value or "").replace("\n", " ")
    return escape(text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…")
