"""The seam of reading: what formats hand in, what loaders take out.

    formats.py, readers/…   DelimitedText | Rows      a source: where the cells come from
    read.py                 read(source, options) -> Table
    loaders                 table.heading, then `for batch in table.batches()`, then table.columns and table.tally

A loader writes::

    table = read(source, options, overrides)
    for batch in table.batches():          # constant memory, file order, every cell still text
        ...                                # COPY into staging as it is, or keep/ spool it
    for column in table.columns:           # exact types, known only now
        column.position, column.name, column.ckan
    batch = convert(batch, table.columns)  # convert.py: text batch -> canonical text of the final types

There is no "start over": a block of the file that the fast parser refuses is read by the tolerant one *before* its
rows are handed out, so rows already streamed into a staging table never have to be taken back. What a loader must
survive is `FileError` out of `batches()` at any point, also at its very end ("too-many-rejects").
`batches()` may be called a second time and then reads the whole file again with the same outcome.

This file imports no reader. Everything here is a value but `Tally`, which the reader counts in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from consumer.push.layouts import Layout
from consumer.push.profile import Profile

#: The types of tables.md §7. A column has exactly one.
RICH_TYPES = ("boolean", "integer", "decimal", "date", "timestamp", "time", "json", "text")

#: Rejects kept with their text; further ones are only counted.
KEPT_REJECTS = 1_000

#: Row numbers that are kept of each other thing that is counted (blank rows, short rows, error cells …).
KEPT_PLACES = 5

#: Characters of a rejected row's text that are kept.
REJECT_TEXT_CHARACTERS = 1_000


# ---------------------------------------------------------------------------------------------- what formats hand in


@dataclass(frozen=True)
class DelimitedText:
    """A plain (already decompressed) text file with delimiters: everything about it is found out by the reader.

    *format* is the name that the report prints (`CSV`, `TSV`, …); *delimiter* a hint that the format itself gives
    (TAB for TSV), used only where the file proves no other.
    """

    path: Path
    format: str = "CSV"
    delimiter: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of a source that is not delimited text, column-wise.

    cells        one Arrow column a table column, all `string` (`large_string` is accepted), same length; column names
                 do not matter. An empty cell is NULL or "": both mean the same. Cells need not be trimmed.
    row_numbers  1-based number of each row in its source (sheet row, line, record); a `range` where they are
                 consecutive. `len(row_numbers) == cells.num_rows`.

    Text that a typed cell becomes (so that inference finds the type again): integer `12`; float its shortest
    round-trip text, integers stored as floats without `.0`; boolean `true`/`false`; date `2024-01-31`; timestamp
    `2024-01-31T12:34:56[.ffffff]` in UTC; time `12:34:56[.ffffff]`; nested value its JSON text; error cell, NaN: NULL.
    About 5,000 to 100,000 rows a chunk is right; the first chunk should hold 1,000 rows if the source has them.
    """

    cells: pa.RecordBatch
    row_numbers: Sequence[int]

    @classmethod
    def of_columns(cls, columns: Sequence[pa.Array], row_numbers: Sequence[int]) -> "Chunk":
        """Columns as Arrow arrays of strings; they are named by their position."""
        names = [str(position) for position in range(len(columns))]
        arrays = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
        return cls(pa.RecordBatch.from_arrays(arrays, names=names), row_numbers)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[str | None]], row_numbers: Sequence[int], width: int) -> "Chunk":
        """Rows of text cells; short rows are filled with NULL. The slow way: use it for small or odd sources."""
        filled = [list(row) + [None] * (width - len(row)) for row in rows]
        columns = [pa.array(column, pa.string()) for column in zip(*filled, strict=True)]
        return cls.of_columns(columns or [pa.nulls(len(rows), pa.string())] * width, row_numbers)


class Rows(Protocol):
    """A source that is not delimited text: a sheet, JSON, Parquet, DBF, GeoJSON, fixed width.

    Every chunk has the same number of columns, `width`, known before the first one (JSON: the union of keys; a sheet:
    its widest row). The attributes but the counts are known before `chunks()` is called.
    """

    @property
    def format(self) -> str:
        """What the report prints: `XLSX`, `JSON`, …"""

    @property
    def width(self) -> int:
        """Columns of every chunk."""

    @property
    def names(self) -> Sequence[str] | None:
        """The columns' names as the source gives them, or None: the header is then found in the rows (tables.md §4;
        *header_row* is compared with the rows' numbers)."""

    @property
    def given(self) -> Mapping[int, str]:
        """position -> rich type, for columns whose type the format fixes: they are not inferred (but trimmed, and
        counted like others). The cells of a given integer, decimal, boolean, date, timestamp or time column must be
        in the form that `Chunk` names. Text columns of DBF and Parquet: `text`; nested values: `json`."""

    @property
    def sheet(self) -> str | None:
        """The sheet's name, for workbooks."""

    @property
    def encoding(self) -> str | None:
        """Where the source is text (JSON, fixed width, DBF)."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about what is missing or odd in the source as a whole."""

    @property
    def error_cells(self) -> int:
        """Error cells (`#DIV/0!`) made NULL so far; final when `chunks()` is exhausted."""

    @property
    def error_rows(self) -> Sequence[int]:
        """Numbers of the first rows that have some."""

    def chunks(self) -> Iterator[Chunk]:
        """All rows in order, blank ones as rows of NULL (the reader skips and counts them; blank rows at the end of a
        *sheet* are no rows and are not counted). May be called again and then starts at the first row.
        Raises FileError."""


Source = DelimitedText | Rows


# ------------------------------------------------------------------------------------------------- what loaders take


@dataclass(frozen=True)
class Heading:
    """What is known of a table before its first row.

    `names` are the *wished* names (tables.md §4) of all physical columns, unique, in order; a column whose header is
    empty has `column_N` here and vanishes from `Table.columns` if it turns out to hold nothing. Final names are those
    of `Table.columns`. `labels[i]` is the name in the file where it differs from the stored one, else None.
    """

    format: str
    names: tuple[str, ...]
    labels: tuple[str | None, ...]
    header_row: int  #: 1-based physical record or sheet row; 0: the file has no header
    preamble_rows: int = 0  #: rows above the header, blank ones too
    encoding: str | None = None
    delimiter: str | None = None  #: None: one column, or not delimited text
    quote: str | None = None
    escape: str | None = None
    sheet: str | None = None
    notes: tuple[str, ...] = ()  #: sentences for the job's log about what is missing or odd

    @property
    def width(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Batch:
    """Some accepted rows in file order. Rejected and blank rows are not in it; it is never empty.

    cells        Arrow record batch of `string` columns named `c0`, `c1`, …, one for each of `Heading.names` in every
                 batch (also for columns that vanish later). Cells are trimmed, "" is NULL, NUL characters are gone.
                 Null tokens (`NA`) are still there: whether they count is known with the column's type.
    row_numbers  1-based number of each row in the file: line of the record's start, sheet row, or record.
    """

    cells: pa.RecordBatch
    row_numbers: Sequence[int]

    def __len__(self) -> int:
        return int(self.cells.num_rows)


@dataclass(frozen=True)
class Column:
    """A column of the finished table: what it is called, what it is, and how to convert its text.

    Converting a text cell of column `c{position}` to the CKAN type, in this order (convert.py does it in Polars; the
    COPY loader in SQL):

    1. `ckan == "text"`: the text as it is; but if `tokens` is not empty, a cell equal to one of them becomes NULL.
    2. a cell equal to one of `tokens` becomes NULL.
    3. by `rich`:
       integer, decimal   delete every character of `grouping`, then replace `decimal_mark` by `.`; what remains is
                          `[+-]?digits[.digits][e[+-]digits]` and PostgreSQL's `numeric` input reads it as it is
                          (`.5`, `5.`, `+5` and `1e5` too). `grouping` is "" and the mark `.` unless localised.
       boolean            true if the lower-case text is `true`, `yes`, `t` or `y`.
       date, timestamp    by `layout` (never None for these two): see layouts.Layout, which also says when PostgreSQL's
                          own input reads it. Offsets are converted to UTC; a date among timestamps is midnight.
       time               `H:MM[:SS[.ffffff]]`; PostgreSQL's `time` input reads it.
       json               JSON text.
       text               as it is.
    """

    position: int  #: 0-based; the batch's column is `c{position}`
    name: str
    label: str | None
    rich: str  #: one of RICH_TYPES
    ckan: str  #: the DataStore type by *type_mapping* or by a forced type
    nulls: int = 0  #: NULLs among the loaded rows, counted null tokens included
    null_tokens: int = 0  #: how many of them are null tokens
    tokens: tuple[str, ...] = ()  #: the tokens that were really seen in this typed column; () in text and boolean ones
    decimal_mark: str = "."
    grouping: str = ""  #: the characters that group thousands in this column
    fits_bigint: bool = False  #: integer columns: every value fits 64 bits
    layout: Layout | None = None
    forced: bool = False  #: by *types* or the data dictionary
    why_text: str | None = None  #: `99,998 of 100,000 values are numbers; row 41,002 is 'call us'`
    notes: tuple[str, ...] = ()  #: sentences for the job's log (day first by option, tokens counted as NULL, …)
    profile: Profile | None = None


@dataclass(frozen=True)
class Reject:
    """A row that was not loaded. *row* as in Batch.row_numbers; *text* is cut to REJECT_TEXT_CHARACTERS; *column* is the
    one whose value does not fit, None where the row as a whole does not."""

    row: int
    reason: str
    text: str
    column: str | None = None


@dataclass
class Tally:
    """What was counted while reading; final when `batches()` is exhausted."""

    rows: int = 0  #: rows handed out in batches
    rejected: int = 0
    blank_skipped: int = 0  #: blank rows below the header
    padded: int = 0  #: rows that ended before the last kept column
    nul_removed: int = 0
    undecodable: int = 0  #: bytes replaced by U+FFFD (*encoding_errors* `replace`)
    error_cells: int = 0
    truncated: bool = False  #: *max_rows* ended the reading before the file ended
    rejects: list[Reject] = field(default_factory=list)  #: the first KEPT_REJECTS
    #: What was counted (`padded`, `blank_skipped` …) -> numbers of the first KEPT_PLACES rows concerned.
    row_numbers: dict[str, list[int]] = field(default_factory=dict)

    def reject(self, row: int, reason: str, text: str, column: str | None = None) -> None:
        self.rejected += 1
        if len(self.rejects) < KEPT_REJECTS:
            self.rejects.append(Reject(row, reason, text[:REJECT_TEXT_CHARACTERS], column))

    def note(self, what: str, rows: Iterable[int]) -> None:
        """Keeps the first of *rows*, which *what* was counted in."""
        if few := [int(row) for row in islice(rows, KEPT_PLACES)]:
            self.row_numbers[what] = sorted({*self.row_numbers.get(what, ()), *few})[:KEPT_PLACES]


class Short(Protocol):
    """Told of short rows: how many *cells* they have, how many *rows* there are of it, and the numbers of the first ones."""

    def __call__(self, cells: int, rows: int, places: Sequence[int], /) -> None: ...


class Table(Protocol):
    """A file on its way into a table (made by read.read)."""

    @property
    def heading(self) -> Heading:
        """Known at once."""

    @property
    def tally(self) -> Tally:
        """Final when `batches()` is exhausted."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Final when `batches()` is exhausted; RuntimeError before. At least one."""

    def batches(self) -> Iterator[Batch]:
        """The rows. Raises FileError, at the latest at its end (more rejects than *max_rejects*)."""
