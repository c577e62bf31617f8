"""What a push tells: sentences for the job's log, the report that is its result, and the marks it leaves in CKAN."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import pyarrow as pa

from consumer.push import summary, unknown_options
from consumer.push.ckan import Ckan, Resource
from consumer.push.convert import convert
from consumer.push.download import Download
from consumer.push.load import Drift, Loaded
from consumer.push.request import Request
from consumer.push.table import Batch, Column, Heading, Table, Tally
from consumer.report import Report
from schemas.errors import DataPusherError, FileError
from schemas.messages import Json

#: Rows that a dry run shows.
PREVIEW_ROWS = 10
#: Columns that the log describes one by one; a table may have 1,598.
TOLD_COLUMNS = 200


# ---------------------------------------------------------------------------------------------------- nothing to be done


def tell_unknown_options(input: Mapping[str, Json], report: Report) -> None:
    metadata = input.get("metadata")
    for sentence in unknown_options.told(metadata if isinstance(metadata, dict) else ()):
        report.warning("%s", sentence)


def has_no_file(resource: Resource, report: Report) -> dict[str, Json]:
    """The result for a resource whose table is filled by other ways than a file."""
    report.info("Nothing to load: the table of this resource (url_type %s) has no file behind it.", resource.url_type)
    return {"skipped": f"url_type {resource.url_type}"}


def known_md5(resource: Resource, ckan: Ckan, request: Request) -> str | None:
    """The MD5 of the file that the table was made from (CKAN's `hash`), if its being unchanged is reason not to load it."""
    md5 = resource.hash.lower()
    wanted = request.ignore_hash or request.options.dry_run or not re.fullmatch("[0-9a-f]{32}", md5)
    return None if wanted or ckan.table(resource.id) is None else md5


def unchanged(md5: str, download: Download | None, report: Report) -> dict[str, Json]:
    """*download* is None where the file's server said so."""
    report.info("The file is the one that was loaded last (MD5 %s); the table stays as it is.", md5)
    return {"skipped": "unchanged", "file": _file(download) if download else {"md5": md5}}


# ------------------------------------------------------------------------------------------------------ what is being read


def tell_heading(heading: Heading, report: Report) -> None:
    facts = {
        "sheet": heading.sheet, "encoding": heading.encoding, "delimiter": heading.delimiter and repr(heading.delimiter),
        "quote": heading.quote and repr(heading.quote), "escape": heading.escape and repr(heading.escape),
    }  # fmt: skip
    told = "".join(f", {name} {value}" for name, value in facts.items() if value)
    header = f"header in row {heading.header_row}" if heading.header_row else "no header"
    above = f" ({heading.preamble_rows} rows above it skipped)" if heading.preamble_rows and heading.header_row else ""
    report.info("Reading %s%s; %s%s, %d columns.", heading.format, told, header, above, heading.width)
    for note in heading.notes:
        report.warning("%s", note)


class ToldTable:
    """A table that tells the job's log what was found out, once its last row was read and before anything is loaded;
    and its rejected rows, all the more where they were too many."""

    def __init__(self, table: Table, report: Report) -> None:
        self._table = table
        self._report = report
        self._told = False

    @property
    def heading(self) -> Heading:
        return self._table.heading

    @property
    def tally(self) -> Tally:
        return self._table.tally

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._table.columns

    def batches(self) -> Iterator[Batch]:
        """Raises FileError."""
        try:
            yield from self._table.batches()
        except FileError:
            self._tell_rejects()
            raise
        if not self._told:
            self._told = True
            self._tell_rejects()
            _tell_columns(self._table.columns, self._report)
            _tell_counts(self._table.tally, self._report)

    def _tell_rejects(self) -> None:
        self._report.rejects((one.row, one.reason, one.text) for one in self._table.tally.rejects)


def _tell_columns(columns: Sequence[Column], report: Report) -> None:
    kinds = [f"{column.name}: {column.ckan}" for column in columns]
    report.info("Columns and types: %s", _listed(kinds))
    for column in columns[:TOLD_COLUMNS]:
        _tell_column(column, report)


def _tell_column(column: Column, report: Report) -> None:
    if column.label:
        report.info("Column “%s” is stored as “%s”.", column.label, column.name)
    if column.why_text:
        report.info("Column “%s” is text: %s", column.name, column.why_text)
    for note in column.notes:
        report.info("Column “%s”: %s", column.name, note)


def _tell_counts(tally: Tally, report: Report) -> None:
    words = {
        "blank_skipped": "blank rows skipped", "padded": "short rows filled up", "nul_removed": "NUL characters removed",
        "undecodable": "undecodable bytes replaced", "error_cells": "error cells made empty",
    }  # fmt: skip
    counts = {what: int(getattr(tally, what)) for what in words}
    told = [f"{number:,} {words[what]}{_places(tally, what, number)}" for what, number in counts.items() if number]
    report.info("Read %s rows%s.", f"{tally.rows:,}", "".join(f", {one}" for one in told))
    for sentence in summary.nothing_read(tally):
        report.warning("%s", sentence)
    if tally.truncated:
        report.warning("Only the first %s rows were read (max_rows).", f"{tally.rows:,}")
    if tally.rejected:
        first = tally.rejects[0] if tally.rejects else None
        example = f" The first is row {first.row}: {first.reason}." if first else ""
        report.warning("%s rows were rejected and not loaded.%s", f"{tally.rejected:,}", example)


def _places(tally: Tally, what: str, number: int) -> str:
    """` (rows 5, 9 …)`, as far as they were kept."""
    rows = tally.row_numbers.get(what, [])
    more = " …" if rows and number > len(rows) else ""
    return f" ({'row' if len(rows) == 1 else 'rows'} {', '.join(f'{row:,}' for row in rows)}{more})" if rows else ""


def tell_drift(drift: Drift, report: Report) -> None:
    if drift.added:
        report.info("New columns since the last load: %s", _listed(list(drift.added)))
    if drift.gone:
        report.warning("Columns that the file does not have any more: %s", _listed(list(drift.gone)))
    for name, was, now in drift.retyped:
        report.info("Column “%s” was %s and is %s now.", name, was, now)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - TOLD_COLUMNS} more" if len(names) > TOLD_COLUMNS else ""
    return ", ".join(names[:TOLD_COLUMNS]) + more


# --------------------------------------------------------------------------------------------------------------- endings


def forget_hash(ckan: Ckan, resource: Resource) -> Resource:
    """The resource, its `hash` taken back: should the load not end, the old file is not what the table holds any more,
    and pushing it again must load it."""
    if not resource.hash:
        return resource
    ckan.patch_resource(resource.id, {"hash": ""})
    return replace(resource, hash="")


def mark_resource(ckan: Ckan, resource: Resource, download: Download, tally: Tally, request: Request, report: Report) -> None:
    """Keeps the file's hash and whether all of it was loaded; changed keys only, and never `url` or `last_modified`,
    which would make CKAN submit again. A refusal is no reason to fail: the table is in place."""
    wanted: dict[str, Json] = {}
    if resource.hash != download.md5:
        wanted["hash"] = download.md5
    complete = not tally.rejected and not tally.truncated
    if resource.contains_all_records is not complete:
        wanted["datastore_contains_all_records_of_source_file"] = complete
    if request.set_url_type and resource.url_type != "datapusher":
        wanted["url_type"] = "datapusher"
    if not wanted:
        return
    try:
        ckan.patch_resource(resource.id, wanted)
    except DataPusherError as error:
        report.warning("The table is loaded, but CKAN did not take %s: %s", ", ".join(wanted), error.message)


def ended(table: Table, loaded: Loaded, download: Download, resource: Resource, report: Report) -> dict[str, Json]:
    """The job's result; and its last line in the log."""
    durations = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.durations.items())
    report.info(
        'Successfully pushed %d entries to "%s" (%s, %d chunks; %s).',
        loaded.rows, resource.id, loaded.method, loaded.chunks, durations,
    )  # fmt: skip
    report.loaded(rows=loaded.rows, table_rows=loaded.table_rows)
    return {
        **_report(table),
        "rows": loaded.rows,
        "table_rows": loaded.table_rows,
        "drift": loaded.drift.as_dict(),
        "file": _file(download),
        "method": loaded.method,
        "chunks": loaded.chunks,
        "durations_s": dict(report.durations),
    }


def preview(table: Table, download: Download, report: Report) -> dict[str, Json]:
    """The result of a dry run: the whole file was read and checked, nothing was loaded."""
    first: list[Batch] = []
    with report.stage("reading"):
        for rows, batch in _counted(table.batches()):
            report.progress("reading", rows=rows)
            if not first:
                first.append(Batch(batch.cells.slice(0, PREVIEW_ROWS), batch.row_numbers[:PREVIEW_ROWS]))
    report.info("Dry run: %s rows would have been loaded; nothing was changed.", f"{table.tally.rows:,}")
    return {**_report(table), "dry_run": True, "file": _file(download), "first_rows": _rows(first, table.columns)}


def _counted(batches: Iterator[Batch]) -> Iterator[tuple[int, Batch]]:
    rows = 0
    for batch in batches:
        rows += len(batch)
        yield rows, batch


def _rows(first: list[Batch], columns: tuple[Column, ...]) -> list[Json]:
    """The first rows as the DataStore would get them, each a list in the columns' order."""
    cells: list[pa.Array] = convert(first[0], columns).columns if first else []
    return [list(row) for row in islice(zip(*(column.to_pylist() for column in cells), strict=True), PREVIEW_ROWS)]


def _report(table: Table) -> dict[str, Json]:
    """The report without the rejected rows: those have a place of their own (`/job/<id>/rejects.csv`)."""
    told: dict[str, Any] = summary.report(table)
    return cast(dict[str, Json], {key: value for key, value in told.items() if key != "rejects"})


def _file(download: Download) -> Json:
    return {"size_bytes": download.size_bytes, "md5": download.md5, "sha256": download.sha256}
