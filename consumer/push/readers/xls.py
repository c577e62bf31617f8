"""XLS (BIFF) workbooks, by xlrd."""

import datetime
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import xlrd
from xlrd.biffh import XL_CELL_BOOLEAN, XL_CELL_DATE, XL_CELL_EMPTY, XL_CELL_ERROR, XLRDError
from xlrd.compdoc import CompDoc, CompDocError
from xlrd.formula import FormulaError
from xlrd.sheet import Sheet
from xlrd.xldate import XLDateError, xldate_as_datetime

from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.sheet_rows import SheetName, SheetRows, is_blank, no_data, wanted_sheets
from schemas.errors import FileError

#: What xlrd raises on damaged files besides its own error; it trusts offsets and lengths that it reads.
_DAMAGE = (
    XLRDError, CompDocError, AssertionError, struct.error, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, FormulaError, MemoryError, EOFError, NotImplementedError, RecursionError,
)  # fmt: skip
#: The kind of a directory entry in OLE that is a stream.
STREAM = 2
#: The kind of cells that hold a duration; xlrd's own kinds end at 6.
DURATION = 7
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_xls(path: Path, wish: str | int | None) -> SheetRows:
    """The rows of the wished sheet, or of the first visible one with data.

    Raises FileError: encrypted, corrupt, empty, bad-option (no such sheet).
    """
    book = _book(path)
    visibility = book._sheet_visibility  # type: ignore[attr-defined]  # the public one needs the sheet to be loaded
    names = [SheetName(name, visibility[position] == 0, True) for position, name in enumerate(book.sheet_names())]
    for position in wanted_sheets(names, wish):
        sheet = _sheet(book, position)
        if any(not is_blank(sheet.row_values(number)) for number in range(sheet.nrows)):
            return _rows(sheet, book.datemode)
    raise no_data(wish)


def _book(path: Path) -> xlrd.book.Book:
    try:
        with open(os.devnull, "w") as silence:
            _check_short_streams(path.read_bytes(), silence)
            book = xlrd.open_workbook(str(path), logfile=silence, on_demand=True, ragged_rows=True)
            _tell_durations(book)
            return book
    except _DAMAGE as error:
        if "encrypted" in str(error).lower():
            raise FileError("encrypted", "The workbook is protected with a password. Publish it without one.") from error
        raise _corrupt(error) from error


def _tell_durations(book: xlrd.book.Book) -> None:
    """xlrd takes cells of the format `[h]:mm` for dates; no sheet is read yet, so they can be given a kind of their own."""
    kinds: dict[int, int] = book._xf_index_to_xl_type_map  # type: ignore[attr-defined]
    formats: Any = book.format_map
    for style in book.xf_list:
        shown = formats.get(style.format_key)
        if kinds.get(style.xf_index) == XL_CELL_DATE and _ELAPSED.search(shown.format_str if shown else ""):
            kinds[style.xf_index] = DURATION


def _check_short_streams(data: bytes, silence: TextIO) -> None:
    """xlrd follows the chain of a short stream without end where it bites its tail, and keeps all it passes: a few
    bytes would take all memory. Raises CompDocError; does nothing for files without OLE around them."""
    if not data.startswith(_OLE):
        return
    document: Any = CompDoc(data, logfile=silence)
    for entry in (one for one in document.dirlist if one.etype == STREAM):
        seen, sector = set[int](), entry.first_SID
        while 0 <= sector < len(document.SSAT) and entry.tot_size < document.min_size_std_stream:
            if sector in seen:
                raise CompDocError(f"the stream {entry.name!r} has no end")
            seen.add(sector)
            sector = document.SSAT[sector]


def _sheet(book: xlrd.book.Book, position: int) -> Sheet:
    try:
        return book.sheet_by_index(position)
    except _DAMAGE as error:
        raise _corrupt(error) from error


def _corrupt(error: Exception) -> FileError:
    return FileError(
        "corrupt",
        "The file is an XLS workbook that cannot be read: it is damaged or incomplete. Open it in a spreadsheet program"
        " and save it again, best as XLSX or CSV.",
        details={"Reason": str(error)[:200] or type(error).__name__},
    )


def _rows(sheet: Sheet, datemode: int) -> SheetRows:
    errors = ErrorCells()
    for number in range(sheet.nrows):
        if count := sheet.row_types(number).count(XL_CELL_ERROR):
            errors.add([number + 1], count)
    return SheetRows("XLS", sheet.name, sheet.ncols, lambda: _cells(sheet, datemode), errors=errors)


def _cells(sheet: Sheet, datemode: int) -> Iterator[list[object]]:
    for number in range(sheet.nrows):
        kinds, values = sheet.row_types(number), sheet.row_values(number)
        yield [
            value if kind not in _SPECIAL else _special(kind, value, datemode)
            for kind, value in zip(kinds, values, strict=True)
        ]


_SPECIAL = frozenset((XL_CELL_DATE, XL_CELL_BOOLEAN, XL_CELL_ERROR, XL_CELL_EMPTY, DURATION))


def _special(kind: int, value: object, datemode: int) -> object:
    if kind == XL_CELL_DATE and isinstance(value, float):
        return _moment(value, datemode)
    if kind == DURATION and isinstance(value, float):
        return _duration(value)
    return bool(value) if kind == XL_CELL_BOOLEAN else None


def _duration(days: float) -> object:
    try:
        return datetime.timedelta(milliseconds=round(days * 86_400_000))
    except (OverflowError, ValueError):
        return days


def _moment(value: float, datemode: int) -> object:
    """A day, a time of day, or both, by what the number holds; the number itself where it is no date."""
    if value < 0:
        return value
    try:
        moment = xldate_as_datetime(value, 1 if datemode else 0)
    except (XLDateError, OverflowError, ValueError):
        return value
    if value < 1:
        return moment.time()
    return moment.date() if moment.time() == datetime.time() else moment
