"""`datapusher load`: one file goes into one table, without bus or gateway."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from consumer.push.ckan import Ckan, CkanSettings
from consumer.push.containers import UnpackLimits
from consumer.push.dictionary import overrides
from consumer.push.formats import Hints
from consumer.push.load import Loaded, Loader
from consumer.push.load_api import ApiLimits, ApiLoader
from consumer.push.load_copy import CopyLoader
from consumer.push.open_table import open_table
from consumer.push.options_text import options_in
from consumer.push.request import Request
from consumer.push.story import ToldTable, tell_drift, tell_heading
from consumer.report import Report
from schemas.errors import DataPusherError, JobError
from schemas.messages import Json, Kind
from schemas.settings import Settings

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A table and the ways to it, of which one may be empty: CKAN's API with its token, the DataStore's database."""

    resource_id: str
    ckan_url: str = ""
    api_key: str = field(default="", repr=False)
    database_url: str = field(default="", repr=False)

    def ckan(self, settings: Settings) -> Ckan | None:
        return Ckan(self.ckan_url, self.api_key, CkanSettings.of(settings)) if self.ckan_url else None

    def loader(self, settings: Settings, ckan: Ckan | None, folder: Path) -> Loader:
        """COPY where the database is known; its CKAN, if known too, is told."""
        if self.database_url:
            return CopyLoader(self.database_url, ckan, read_role=settings.datastore_read_role)
        if ckan is None:
            raise JobError("Say where the table is: a CKAN, a database, or both.")
        return ApiLoader(ckan, ApiLimits(settings.chunk_insert_rows, settings.chunk_insert_bytes), folder)


def run_load(settings: Settings, file: Path, destination: Destination, options: str) -> int:
    """Loads *file* and prints what a job's log would say. Exit status 0, or 1 where it cannot be loaded."""
    console = Console(stderr=True)
    try:
        with Progress(*_COLUMNS, console=console) as progress:
            loaded = _load(settings, file, destination, options, Report(_Screen(progress)))
    except DataPusherError as error:
        _say(console, error)
        return 1
    console.print(f"{loaded.rows:,} rows are in {destination.resource_id}.", style="green")
    return 0


class _Screen:
    """What a job tells, on the terminal: its log above, how far it is below."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar: TaskID = progress.add_task("starting", total=None, note="")

    def __call__(self, kind: Kind, data: Mapping[str, Json]) -> None:
        if kind is Kind.LOG:
            self._progress.console.print(str(data["message"]), markup=False, highlight=False)
        elif kind is Kind.PROGRESS and isinstance(rows := data.get("rows"), int):
            total = data.get("rows_total")
            self._progress.update(
                self._bar,
                description=str(data["stage"]),
                note=f"{rows:,} rows",
                completed=rows,
                total=total if isinstance(total, int) else None,
            )


def _load(settings: Settings, file: Path, destination: Destination, options: str, report: Report) -> Loaded:
    request = _request(settings, destination, options)
    ckan = destination.ckan(settings)
    with tempfile.TemporaryDirectory(prefix="datapusher-") as name:
        folder = Path(name)
        existing = ckan.table(request.resource_id) if ckan else None
        wishes = overrides(existing, request.mode)
        hints, limits = Hints(filename=file.name), UnpackLimits.of(settings)
        table = ToldTable(open_table(file, hints, request.options, folder, overrides=wishes, limits=limits), report)
        tell_heading(table.heading, report)
        loaded = destination.loader(settings, ckan, folder).load(table, request.target(existing), report)
        tell_drift(loaded.drift, report)
    return loaded


def _request(settings: Settings, destination: Destination, options: str) -> Request:
    # A database alone has no address and no token; nothing asks for them then.
    where = {"resource_id": destination.resource_id, "ckan_url": destination.ckan_url or "http://localhost"}
    request = Request.of({"metadata": {**options_in(options), **where}, "api_key": destination.api_key or "none"}, settings)
    if request.options.dry_run:
        raise JobError("Nothing was loaded: dry_run is for jobs. `datapusher inspect` shows what would be loaded.")
    return request


def _say(console: Console, error: DataPusherError) -> None:
    details = error.details if isinstance(error, JobError) else {}
    console.print(error.message, style="red", markup=False)
    for key, value in details.items():
        console.print(f"  {key}: {value}", markup=False)
