"""A spreadsheet's sheet as a source of rows, and which sheet of a workbook it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa

from consumer.push.readers.cells import joined, packed, plain_durations
from consumer.push.readers.error_cells import ErrorCells
from consumer.push.table import Chunk
from schemas.errors import FileError

#: The header is looked for in the first chunk only; it is small because its columns mix names and numbers.
FIRST_CHUNK_ROWS = 1_000
#: A chunk has so many rows at most, and about so many cells where the sheet is wide.
CHUNK_ROWS = 25_000
CHUNK_CELLS = 500_000
#: Rows that are turned into columns at a time: few enough that neither the cache nor the garbage collector suffers.
_ROWS_AT_ONCE = 250

Row = Sequence[object]

_NOTHING = frozenset((None, ""))


@dataclass
class SheetRows:
    """The rows of one sheet (`table.Rows`). *open_rows* gives them from the sheet's first row on, each starting at the
    sheet's column *first_column* (0-based); cells as `cells.texts` takes them."""

    format: str
    sheet: str | None
    width: int
    open_rows: Callable[[], Iterator[Row]]
    first_column: int = 0
    errors: ErrorCells = field(default_factory=ErrorCells)
    names: Sequence[str] | None = None
    given: Mapping[int, str] = field(default_factory=dict)
    encoding: str | None = None
    notes: Sequence[str] = ()

    @property
    def error_cells(self) -> int:
        return self.errors.count

    @property
    def error_rows(self) -> Sequence[int]:
        return self.errors.rows

    def chunks(self) -> Iterator[Chunk]:
        """Blank rows are held back until a row with data follows: those at the end of a sheet are no rows."""
        gathered, held, size = _Gathered(self.width - self.first_column), 0, FIRST_CHUNK_ROWS
        rows = self.open_rows()
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            used = _used(some)
            if used and held:
                yield from self._taken(gathered)
                yield from self._blank(gathered, held)
                held = 0
            gathered.add(some[:used])
            held += len(some) - used
            if len(gathered) >= size:
                yield from self._taken(gathered)
                size = min(CHUNK_ROWS, CHUNK_CELLS // self.width)
        yield from self._taken(gathered)

    def _taken(self, gathered: "_Gathered") -> Iterator[Chunk]:
        if len(gathered):
            columns = [joined(parts) for parts in gathered.columns]
            if self.format == "ODS":
                columns = [plain_durations(column) for column in columns]
            blank = pa.nulls(len(gathered), pa.string())
            yield self._chunk([blank] * self.first_column + columns, gathered.skip(len(gathered)))

    def _blank(self, gathered: "_Gathered", count: int) -> Iterator[Chunk]:
        for done in range(0, count, CHUNK_ROWS):
            rows = min(CHUNK_ROWS, count - done)
            yield self._chunk([pa.nulls(rows, pa.string())] * self.width, gathered.skip(rows))

    def _chunk(self, columns: Sequence[pa.Array], first: int) -> Chunk:
        return Chunk.of_columns(columns, range(first, first + len(columns[0])))


class _Gathered:
    """Rows on their way into a chunk, as columns of packed cells."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._first = 1  #: number of the first row
        self._rows = 0
        self.columns: list[list[pa.Array]] = [[] for _ in range(width)]

    def __len__(self) -> int:
        return self._rows

    def add(self, rows: Sequence[Row]) -> None:
        if set(map(len, rows)) - {self._width}:
            rows = [[*row, *[None] * (self._width - len(row))] for row in rows]
        self._rows += len(rows)
        for parts, cells in zip(self.columns, zip(*rows, strict=True), strict=False):
            parts.append(packed(cells))

    def skip(self, count: int) -> int:
        """Empty from now on, and *count* rows further down; -> where it was."""
        first = self._first
        self._first, self._rows, self.columns = first + count, 0, [[] for _ in range(self._width)]
        return first


def _used(rows: Sequence[Row]) -> int:
    """Rows up to the last one with data."""
    used = len(rows)
    while used and is_blank(rows[used - 1]):
        used -= 1
    return used


def is_blank(row: Row) -> bool:
    if not any(row):
        return _NOTHING.issuperset(row)  # and no 0 or False
    return not any(cell is not None and (not isinstance(cell, str) or cell.strip()) for cell in row)


@dataclass(frozen=True)
class SheetName:
    name: str
    visible: bool
    holds_cells: bool  #: False for chart sheets and macro sheets


def wanted_sheets(sheets: Sequence[SheetName], wish: str | int | None) -> Sequence[int]:
    """Positions of the sheets to try, in order; the first of them that has data is loaded.

    *wish* is a name or a number (1-based over all sheets, negative from the end). Raises FileError bad-option.
    """
    if wish is None:
        return [position for position, sheet in enumerate(sheets) if sheet.visible and sheet.holds_cells]
    names = [sheet.name for sheet in sheets]
    if wish in names:
        return [names.index(str(wish))]
    number = _number(wish)
    if number and -len(names) <= number <= len(names):
        return [number - 1 if number > 0 else len(names) + number]
    shown = ", ".join(repr(name) for name in names[:20])
    raise FileError(
        "bad-option",
        f"The workbook has no sheet {wish!r}. Its sheets are {shown}; the option sheet takes a name or a number.",
        details={"Option": "sheet"},
    )


def no_data(wish: str | int | None) -> FileError:
    if wish is not None:
        return FileError("empty", f"The sheet {wish!r} of the workbook has no data.")
    return FileError("empty", "No visible sheet of the workbook has any data. The option sheet can name a hidden one to load.")


def _number(wish: str | int) -> int | None:
    try:
        return int(wish)
    except ValueError:
        return None
