"""What would be loaded from a file, without loading it: the engine of `datapusher inspect`."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from consumer.push import unknown_options
from consumer.push.containers import UnpackLimits
from consumer.push.convert import convert
from consumer.push.formats import Hints
from consumer.push.open_table import NO_LIMITS_SAID, open_table
from consumer.push.options import Options
from consumer.push.summary import inspected
from consumer.push.table import Batch, Table
from schemas.errors import FileError

#: Rows shown beside the facts.
FIRST_ROWS = 10

Row = list[str | None]


def inspect(
    path: Path,
    declared_format: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    hints: Hints | None = None,
    data: bool = False,
    limits: UnpackLimits = NO_LIMITS_SAID,
) -> dict[str, Any]:
    """The facts of the table in *path* as JSON-safe values: format, encoding, delimiter, sheet, header_row, columns, rows,
    rejected, blank_skipped, padded (keys that make no sense are left out), first_row, last_row, first_rows (FIRST_ROWS of
    them); with *data* all rows as lists. Values are as they would be loaded: see convert.convert.

    A file that cannot be loaded gives `{"error": code, "message": …}` instead.
    """
    hints = hints or Hints(declared=declared_format, filename=path.name)
    try:
        with tempfile.TemporaryDirectory(prefix="datapusher-") as folder:
            table = open_table(path, hints, Options.parse(options), Path(folder), limits=limits)
            return _warned(_facts(table, data=data), unknown_options.told(options or ()))
    except FileError as error:
        return {"error": error.code, **error.as_dict()}


def _warned(facts: dict[str, Any], sentences: list[str]) -> dict[str, Any]:
    warnings = [*sentences, *facts.get("warnings", ())]
    return {**facts, "warnings": warnings} if warnings else facts


def _facts(table: Table, *, data: bool) -> dict[str, Any]:
    kept: list[Batch] = []
    for batch in table.batches():
        if not data:
            del kept[1:]  # the first one and the newest
        kept.append(batch)
    rows = _rows(table, kept) if data else _rows(table, [*map(_ends, kept)])
    facts = {**inspected(table), "first_row": rows[0] if rows else None, "last_row": rows[-1] if rows else None}
    return {**facts, "first_rows": rows[: min(FIRST_ROWS, table.tally.rows)], **({"data": rows} if data else {})}


def _ends(batch: Batch) -> Batch:
    """The first rows and the last one: the rest need not be converted."""
    if len(batch) <= FIRST_ROWS + 1:
        return batch
    picked = [*range(FIRST_ROWS), len(batch) - 1]
    return Batch(batch.cells.take(picked), [batch.row_numbers[index] for index in picked])


def _rows(table: Table, batches: Sequence[Batch]) -> list[Row]:
    found: list[Row] = []
    for batch in batches:
        columns = [column.to_pylist() for column in convert(batch, table.columns).columns]
        found.extend(map(list, zip(*columns, strict=True)))
    return found
