"""`datapusher load`: one file goes into one table, without bus or gateway."""

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from consumer.push.ckan import Ckan, CkanSettings
from consumer.push.containers import UnpackLimits
from consumer.push.dictionary import overrides
from consumer.push.formats import Hints
from consumer.push.load import Loader
from consumer.push.load_api import ApiLimits, ApiLoader
from consumer.push.load_copy import CopyLoader
from consumer.push.open_table import open_table
from consumer.push.request import Request
from consumer.push.story import ToldTable, tell_drift, tell_heading
from consumer.report import Report
from schemas.errors import JobError
from schemas.messages import Json, Kind
from schemas.settings import Settings

logger = logging.getLogger(__name__)


def run_load(
    settings: Settings, file: Path, ckan_url: str, api_key: str, database_url: str, resource_id: str, options: str
) -> int:
    """Loads *file* and prints what a job's log would say. Exit status 0, or 1 where it cannot be loaded."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting", total=None, note="")

        def outlet(kind: Kind, data: Mapping[str, Json]) -> None:
            if kind is Kind.LOG:
                progress.console.print(str(data["message"]), markup=False, highlight=False)
            elif kind is Kind.PROGRESS:
                note = ", ".join(f"{value:,} {key}" for key, value in data.items() if isinstance(value, int))
                progress.update(bar, description=str(data["stage"]), note=note)

        try:
            rows = _load(settings, file, ckan_url, api_key, database_url, resource_id, options, Report(outlet))
        except JobError as error:
            progress.stop()
            _say(console, error)
            return 1
    console.print(f"{rows:,} rows are in {resource_id}.", style="green")
    return 0


def _load(
    settings: Settings,
    file: Path,
    ckan_url: str,
    api_key: str,
    database_url: str,
    resource_id: str,
    options: str,
    report: Report,
) -> int:
    ckan = Ckan(ckan_url, api_key, CkanSettings.of(settings)) if ckan_url else None
    request = _request(settings, ckan_url, api_key, resource_id, options)
    with tempfile.TemporaryDirectory(prefix="datapusher-") as name:
        folder = Path(name)
        copy = Path(shutil.copy(file, folder / "file"))
        existing = ckan.table(resource_id) if ckan else None
        limits = UnpackLimits(settings.max_expanded_length, settings.max_expansion_ratio)
        table = ToldTable(
            open_table(
                copy,
                Hints(filename=file.name),
                request.options,
                folder,
                overrides=overrides(existing, request.mode),
                limits=limits,
            ),
            report,
        )
        tell_heading(table.heading, report)
        loaded = _loader(settings, ckan, database_url, folder).load(table, request.target(existing), report)
        tell_drift(loaded.drift, report)
    return loaded.rows


def _request(settings: Settings, ckan_url: str, api_key: str, resource_id: str, options: str) -> Request:
    try:
        said = json.loads(options)
    except ValueError as error:
        raise JobError(f"--options is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise JobError('--options is not a JSON object, such as {"sheet": 2}')
    # A database alone has no address and no token; nothing asks for them then.
    metadata = {**said, "resource_id": resource_id, "ckan_url": ckan_url or "http://localhost"}
    request = Request.of({"metadata": metadata, "api_key": api_key or "none"}, settings)
    return replace(request, ignore_hash=True)


def _loader(settings: Settings, ckan: Ckan | None, database_url: str, folder: Path) -> Loader:
    if database_url:
        return CopyLoader(database_url, ckan, read_role=settings.datastore_read_role)
    assert ckan is not None
    return ApiLoader(ckan, ApiLimits(settings.chunk_insert_rows, settings.chunk_insert_bytes), folder)


def _say(console: Console, error: JobError) -> None:
    told = error.as_dict()
    console.print(str(told.pop("message")), style="red", markup=False)
    for key, value in told.items():
        console.print(f"  {key}: {value}", markup=False)
