"""A spreadsheet's sheet as a source of rows, and which sheet of a workbook it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa

from consumer.push.readers.cells import texts
from consumer.push.readers.error_cells import ErrorCells
from consumer.push.table import Chunk
from schemas.errors import FileError

#: The header is looked for in the first chunk only; it is small because its columns mix names and numbers.
FIRST_CHUNK_ROWS = 1_000
CHUNK_ROWS = 10_000

Row = Sequence[object]


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

    @property
    def error_cells(self) -> int:
        return self.errors.count

    @property
    def error_rows(self) -> Sequence[int]:
        return self.errors.rows

    def chunks(self) -> Iterator[Chunk]:
        """Blank rows are held back until a row with data follows: those at the end of a sheet are no rows."""
        at, held = 1, 0
        for some in _pieces(self.open_rows()):
            used = len(some)
            while used and is_blank(some[used - 1]):
                used -= 1
            if used:
                if held:
                    yield self._blank_chunk(at - held, held)
                yield self._chunk(some[:used], at)
            held = len(some) - used if used else held + len(some)
            at += len(some)

    def _chunk(self, rows: Sequence[Row], first: int) -> Chunk:
        width = self.width - self.first_column
        if any(len(row) != width for row in rows):
            rows = [[*row, *[None] * (width - len(row))] for row in rows]
        blank = pa.nulls(len(rows), pa.string())
        columns = [blank] * self.first_column + [texts(column) for column in zip(*rows, strict=True)]
        return Chunk.of_columns(columns, range(first, first + len(rows)))

    def _blank_chunk(self, first: int, count: int) -> Chunk:
        return Chunk.of_columns([pa.nulls(count, pa.string())] * self.width, range(first, first + count))


def _pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    size = FIRST_CHUNK_ROWS
    while piece := list(islice(rows, size)):
        yield piece
        size = CHUNK_ROWS


def is_blank(row: Row) -> bool:
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
