"""Tables with more columns than PostgreSQL takes, of which hardly any holds something: thousands of commas behind each
line, a stray character in a sheet's last column. Columns without a name and without data are none (tables.md §4)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from consumer.push.header import MOST_COLUMNS, WHITESPACE, Name, check_width
from consumer.push.readers.tolerant import record_batch

#: As many as a sheet has.
MOST_LOOKED_AT = 16_384


def kept_columns(names: Sequence[Name], batches: Callable[[], Iterable[pa.RecordBatch]]) -> list[int] | None:
    """Positions of the columns with a name or data; None: there are not too many, so all of them. *batches* gives the
    rows. Raises FileError too-many-columns."""
    if len(names) <= MOST_COLUMNS:
        return None
    kept = {position for position, name in enumerate(names) if name.stored}
    if len(kept) > MOST_COLUMNS or len(names) > MOST_LOOKED_AT:
        check_width(len(names))
    for cells in batches():
        kept |= {at for at, column in enumerate(cells.columns) if at not in kept and _has_data(column)}
    check_width(len(kept))
    return sorted(kept)


def _has_data(column: pa.Array) -> bool:
    if column.null_count == len(column):
        return False
    lengths = pc.binary_length(pc.utf8_trim(column.cast(pa.string()), characters=WHITESPACE))
    return bool((pc.max(lengths).as_py() or 0) > 0)


def selected(cells: pa.RecordBatch, kept: Sequence[int]) -> pa.RecordBatch:
    return record_batch(cells.column(position) for position in kept)


def names_of(names: Sequence[Name], kept: Sequence[int]) -> list[Name]:
    """The names of the *kept* columns; one without a name is called by its place among all."""
    return [replace(names[at], stored=names[at].stored or f"column_{at + 1}") for at in kept]
