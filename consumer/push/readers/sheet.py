"""Rows of sources that are not delimited text: finds the header where there is none given, leaves out what is above."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from consumer.push.header import ROWS_LOOKED_AT, Name, check_width, clean_name, filled, find_header, unique_names
from consumer.push.options import Options
from consumer.push.readers.delimited import no_header
from consumer.push.readers.tolerant import Parsed, record_batch
from consumer.push.readers.unnamed import kept_columns, names_of, selected
from consumer.push.table import Chunk, Heading, Rows, Short, Tally
from schemas.errors import FileError

T = TypeVar("T")


@dataclass(frozen=True)
class _Found:
    """*row_number* of the header, 0: none; rows whose number is not above *after* are no data."""

    names: list[Name]
    row_number: int
    after: int


class RowsReader:
    """The counterpart of DelimitedReader for `Rows`."""

    leaves_lock = False

    def __init__(self, source: Rows, options: Options) -> None:
        self.source, self.options = source, options
        found = self._given() if source.names is not None else self._find()
        self.after = found.after
        self.kept = kept_columns(found.names, lambda: (_below(chunk, self.after).cells for chunk in source.chunks()))
        self.names = found.names if self.kept is None else names_of(found.names, self.kept)
        named = unique_names(self.names)
        self.heading = Heading(
            format=source.format, names=tuple(one.stored for one in named.values()),
            labels=tuple(one.label for one in named.values()), header_row=found.row_number,
            preamble_rows=max(0, found.row_number - 1), encoding=source.encoding, sheet=source.sheet,
            notes=tuple(source.notes),
        )  # fmt: skip

    def _given(self) -> _Found:
        check_width(self.source.width)
        return _Found([clean_name(name) for name in self.source.names or ()], 0, 0)

    def _find(self) -> _Found:
        rows, numbers = self._head()
        wanted = self.options.header_row
        found = find_header(rows)
        if found is None:
            raise FileError("empty", f"There is no data in {_where(self.source)}.")
        if wanted == 0:
            return _Found([Name("", None)] * self.source.width, 0, 0)
        if wanted is not None:
            if wanted not in numbers or not filled(rows[numbers.index(wanted)]):
                raise no_header(wanted)
            found = numbers.index(wanted)
        return _Found([clean_name(cell) for cell in rows[found]], numbers[found], numbers[found])

    def _head(self) -> tuple[list[list[str | None]], list[int]]:
        """The first rows, until ROWS_LOOKED_AT of them have data."""
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        seen = 0
        for chunk in self.source.chunks():
            head = chunk.cells.slice(0, 2 * ROWS_LOOKED_AT)
            for row in zip(*(column.to_pylist() for column in head.columns), strict=True):
                rows.append(list(row))
                seen += bool(filled(row))
            numbers.extend(chunk.row_numbers[: len(head)])
            if seen >= ROWS_LOOKED_AT:
                break
        return rows, numbers

    def pieces(self, tally: Tally, short: Short, prepare: Callable[[Parsed], T]) -> Iterator[T]:
        """As DelimitedReader.pieces; no row is short here."""
        given = self.source.given
        for below, tally.error_cells in self._below_header():
            if below.cells.num_rows:
                columns = [_without_nul(one, given.get(at) == "json", tally) for at, one in enumerate(below.cells.columns)]
                yield prepare(Parsed(record_batch(columns), below.row_numbers))
        tally.error_cells = self.source.error_cells
        tally.note("error_cells", self.source.error_rows)

    def _below_header(self) -> Iterator[tuple[Chunk, int]]:
        """The rows, each chunk with the number of error cells found until there."""
        for chunk in self.source.chunks():
            below = _below(chunk, self.after)
            narrow = below if self.kept is None else Chunk(selected(below.cells, self.kept), below.row_numbers)
            yield narrow, self.source.error_cells


#: JSON's escape of a NUL, not one of the backslash before `u0000`.
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u0000)+)")


def _without_nul(column: pa.Array, is_json: bool, tally: Tally) -> pa.Array:
    """PostgreSQL stores no NUL, neither as a character nor as JSON's escape."""
    if is_json and pc.any(pc.match_substring(column, "\\u0000")).as_py():
        texts = column.to_pylist()
        tally.nul_removed += sum(len(found[2]) // 6 for text in texts for found in _ESCAPED_NUL.finditer(text or ""))
        return pa.array([text and _ESCAPED_NUL.sub(r"\1", text) for text in texts], pa.string())
    if not (_holds_zero(column) and pc.any(pc.match_substring(column, "\x00")).as_py()):
        return column
    tally.nul_removed += pc.sum(pc.count_substring(column, "\x00")).as_py()
    return pc.replace_substring(column, "\x00", "")


def _holds_zero(column: pa.Array) -> bool:
    """Whether any byte behind *column* is 0, be it in none of its cells: cheaper to know than what each cell holds."""
    data = column.buffers()[2]
    return data is not None and data.size > 0 and bool(np.frombuffer(data, np.uint8).min() == 0)


def _below(chunk: Chunk, after: int) -> Chunk:
    """The rows of *chunk* below the row numbered *after*."""
    numbers: Sequence[int] = chunk.row_numbers
    if not after or not len(numbers) or numbers[0] > after:
        return Chunk(_as_strings(chunk.cells), numbers)
    skip = next((index for index, number in enumerate(numbers) if number > after), len(numbers))
    return Chunk(_as_strings(chunk.cells.slice(skip)), numbers[skip:])


def _as_strings(cells: pa.RecordBatch) -> pa.RecordBatch:
    return record_batch(one if one.type == pa.string() else one.cast(pa.string()) for one in cells.columns)


def _where(source: Rows) -> str:
    return f"the sheet {source.sheet!r}" if source.sheet else "the file"
