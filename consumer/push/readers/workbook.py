"""XLSX, XLSM, XLSB and ODS workbooks, by calamine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.sheet_rows import Row, SheetName, SheetRows, is_blank, no_data, wanted_sheets
from consumer.push.readers.workbook_limits import corrupt
from consumer.push.readers.workbook_parts import WorkbookParts
from schemas.errors import FileError

Result = TypeVar("Result")


def open_workbook(path: Path, format: str, wish: str | int | None) -> SheetRows:
    """The rows of the wished sheet, or of the first visible one with data. *format*: XLSX, XLSM, XLSB or ODS.

    Each part of the file is measured before calamine reads it, because calamine takes as much memory as the file asks
    for. Raises FileError: encrypted, corrupt, empty, too-large, bad-option (no such sheet).
    """
    parts = WorkbookParts(path, format)
    parts.check_shared()
    book = _guarded(format, lambda: CalamineWorkbook.from_path(path))
    for position in wanted_sheets(_names(book), wish):
        errors = parts.check_sheet(position)
        sheet = _guarded(format, _loader(book, position))
        if any(not is_blank(row) for row in sheet.iter_rows()):
            return _rows(sheet, format, errors)
    raise no_data(wish)


def _names(book: CalamineWorkbook) -> list[SheetName]:
    return [
        SheetName(sheet.name, sheet.visible == SheetVisibleEnum.Visible, sheet.typ == SheetTypeEnum.WorkSheet)
        for sheet in book.sheets_metadata
    ]


def _loader(book: CalamineWorkbook, position: int) -> Callable[[], CalamineSheet]:
    return lambda: book.get_sheet_by_index(position)


def _rows(sheet: CalamineSheet, format: str, errors: ErrorCells) -> SheetRows:
    start, end = sheet.start or (0, 0), sheet.end or (0, 0)

    def rows() -> Iterator[Row]:
        cells: Iterator[list[Any]] = iter(sheet.iter_rows())
        return cells

    return SheetRows(format, sheet.name, end[1] + 1, rows, first_column=start[1], errors=errors)


def _guarded(format: str, step: Callable[[], Result]) -> Result:
    try:
        return step()
    except PasswordError as error:
        raise FileError("encrypted", "The workbook is protected with a password. Publish it without one.") from error
    except (CalamineError, OSError, ValueError) as error:
        raise corrupt(format, error) from error
    except BaseException as error:
        # A panic of the Rust code comes as a class that derives from BaseException and cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise corrupt(format, error) from error
