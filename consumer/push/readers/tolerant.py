"""Rows that do not all have the same width: csvkit's reader and row checker, and what becomes of each odd row.

A row that is too short is padded, one with surplus cells loses empty ones and is rejected if any is not, an empty one
is skipped (tables.md §5). Everything here works on one block, so that a single odd row does not slow a whole file.
"""

import csv
import io
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import csvkit
import pyarrow as pa
from csvkit.cleanup import RowChecker

from consumer.push.header import WHITESPACE
from consumer.push.readers.scan import Dialect, Record
from consumer.push.table import KEPT_PLACES, KEPT_REJECTS, REJECT_TEXT_CHARACTERS, Reject

#: A record of more bytes is not read: PostgreSQL could hardly store it, and it would take the worker's memory.
RECORD_BYTES = 16 << 20

#: Rows that are turned into columns at a time: few enough that neither the cache nor the garbage collector suffers.
_ROWS_AT_ONCE = 500

NEVER_CLOSED = "a quote opens in it that is never closed"


@dataclass(frozen=True)
class Parsed:
    """Rows of one block, all of the table's width; empty cells are NULL or "". *short* counts padded rows by the number
    of cells they had. *rejected* counts all, *rejects* holds the first ones; *blank_rows* and *short_rows* have the
    numbers of the first rows that were counted."""

    cells: pa.RecordBatch
    row_numbers: Sequence[int]
    blank: int = 0
    short: Counter[int] = field(default_factory=Counter)
    rejected: int = 0
    rejects: tuple[Reject, ...] = ()
    blank_rows: Sequence[int] = ()
    short_rows: Mapping[int, Sequence[int]] = field(default_factory=dict)


def record_batch(columns: Iterable[pa.Array]) -> pa.RecordBatch:
    arrays = list(columns)
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{position}" for position in range(len(arrays))])


class Collector:
    """Gathers rows and puts odd ones right. *strip*: white space is nothing."""

    def __init__(self, width: int, strip: bool) -> None:
        self.width = width
        self.strip = WHITESPACE if strip else ""
        self.rows: list[list[str]] = []
        self.batches: list[pa.RecordBatch] = []
        self.numbers = array("q")
        self.blank = 0
        self.blank_rows: list[int] = []
        self.short: Counter[int] = Counter()
        self.short_rows: defaultdict[int, list[int]] = defaultdict(list)
        self.rejected = 0
        self.rejects: list[Reject] = []

    def add_odd(self, row: list[str], number: int, text: str) -> None:
        """A row of the wrong width that starts on line *number*; *text* as it is in the file."""
        if not self._filled(row):
            self.blank += 1
            _keep_place(self.blank_rows, number)
        elif len(row) < self.width:
            self.short[len(row)] += 1
            _keep_place(self.short_rows[len(row)], number)
            self.keep(row + [""] * (self.width - len(row)), number)
        elif self._filled(row[self.width :]):
            self.reject(number, f"it has {len(row):,} cells where the header has {self.width:,}", text)
        else:
            self.keep(row[: self.width], number)

    def keep(self, row: list[str], number: int) -> None:
        self.rows.append(row)
        self.numbers.append(number)
        if len(self.rows) >= _ROWS_AT_ONCE:
            self.flush()

    def keep_all(self, rows: list[list[str]], numbers: range) -> None:
        """Rows of the right width."""
        self.rows += rows
        self.numbers.extend(numbers)
        if len(self.rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        columns = zip(*self.rows, strict=True) if self.rows else [()] * self.width
        self.batches.append(record_batch(pa.array(column, pa.string()) for column in columns))
        self.rows.clear()

    def reject(self, number: int, reason: str, text: str) -> None:
        self.rejected += 1
        if len(self.rejects) < KEPT_REJECTS:
            self.rejects.append(Reject(number, reason, text.rstrip("\r\n")[:REJECT_TEXT_CHARACTERS]))

    def _filled(self, cells: Sequence[str]) -> bool:
        return any(cell.strip(self.strip) if self.strip else cell for cell in cells)

    def parsed(self) -> Parsed:
        self.flush()
        cells = pa.Table.from_batches(self.batches).combine_chunks().to_batches()
        cells = cells[0] if cells else self.batches[0]
        return Parsed(
            cells, self.numbers, self.blank, self.short, self.rejected, tuple(self.rejects), self.blank_rows, self.short_rows
        )


def _keep_place(places: list[int], number: int) -> None:
    if len(places) < KEPT_PLACES:
        places.append(number)


def read_regular(data: bytes, line: int, dialect: Dialect, width: int, strip: bool, *, spanning: bool = True) -> Parsed:
    """A block whose quotes are all in place but whose rows are not all of one width. *line*: of its first record;
    *spanning*: there may be line breaks inside cells.

    Rows are taken some hundred at a time; where one of them is odd, or holds line breaks, they go through the checker.
    """
    lines = _lines(data.decode(), spanning)
    collector = Collector(width, strip)
    reader = _reader(lines, dialect)
    start = 0
    while rows := list(islice(reader, _ROWS_AT_ONCE)):
        stop = reader.line_num
        if stop - start == len(rows) and set(map(len, rows)) == {width}:
            collector.keep_all(rows, range(line + start, line + stop))
        else:
            _check(lines[start:stop], line + start, dialect, collector)
        start = stop
    return collector.parsed()


def _check(lines: list[str], line: int, dialect: Dialect, collector: Collector) -> None:
    """The rows of *lines*, each with its number, odd ones put right."""
    # The checker takes its first row for the header, which gives the width that it checks against.
    header = dialect.cut.join(["c"] * collector.width) + "\n"
    reader = _reader([header, *lines], dialect)
    checker = RowChecker(reader, length_mismatch=True)
    keep, errors, counter = collector.keep, checker.errors, reader.reader
    start = 0
    for row in checker.checked_rows():
        if errors:
            errors.clear()
            collector.add_odd(row, line + start, "".join(lines[start : counter.line_num - 1]))
        else:
            keep(row, line + start)
        start = counter.line_num - 1


def _reader(lines: list[str], dialect: Dialect) -> Any:
    quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    # A block is little more than a record may be, so that no cell of it is too long.
    return csvkit.reader(lines, delimiter=dialect.cut, field_size_limit=2 * RECORD_BYTES, **quoting)


def _lines(text: str, spanning: bool) -> list[str]:
    """With their line breaks, or, where no cell holds any, without."""
    if spanning or text.count("\r") != text.count("\r\n"):
        return list(io.StringIO(text, newline=""))
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    return lines


def read_records(text: str, records: Iterable[Record], line: int, width: int, strip: bool) -> Parsed:
    """Records of the scanner, for a block with quotes in wrong places."""
    collector = Collector(width, strip)
    for record in records:
        number = line + record.line
        if record.cells is None:
            collector.reject(number, NEVER_CLOSED, text[record.start : record.end])
        elif len(record.cells) == width:
            collector.keep(record.cells, number)
        else:
            collector.add_odd(record.cells, number, text[record.start : record.end])
    return collector.parsed()
