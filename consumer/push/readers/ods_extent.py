"""How far the sheets of an ODS reach, repeated rows and columns counted out."""

import re
from collections.abc import Iterator
from xml.parsers import expat

from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.workbook_limits import check_memory, check_quotes, check_shared, corrupt, overlapping

_ODS_TOKEN = re.compile(
    rb"<table:table-row\b([^<>]*)>|<table:(?:covered-)?table-cell\b([^<>]*?)(/?)>|(</table:table-row>)|(<table:table[ >])"
)
_ODS_OPEN_TAG = re.compile(rb"<table:(?:covered-)?table-(?:row|cell)\b[^<>]*(?:<|\Z)")
_COLUMNS_REPEATED = re.compile(rb"""table:number-columns-repeated\s*=\s*["'](\d+)["']""")
#: How LibreOffice marks a cell whose formula fails; its value is empty text.
_ERROR = b'calcext:value-type="error"'
_ROWS_REPEATED = re.compile(rb"""table:number-rows-repeated\s*=\s*["'](\d+)["']""")


class _OdsExtent:
    """Rows and columns of an ODS table up to its last cell with content, repetitions counted out."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.errors = ErrorCells()
        self._at = self._here = self._used = 0
        self._repeat = 1

    def start_row(self, attributes: bytes) -> None:
        self._repeat, self._here, self._used = _repeated(_ROWS_REPEATED, attributes), 0, 0

    def cell(self, attributes: bytes, closed: bytes) -> None:
        repeat = _repeated(_COLUMNS_REPEATED, attributes)
        self._here += repeat
        if _ERROR in attributes:
            self.errors.add([self._at + 1], repeat * self._repeat)
        if not closed or b"office:" in attributes:
            self._used = self._here

    def end_row(self) -> None:
        self._at += self._repeat
        if self._used:
            self.rows, self.columns = self._at, max(self.columns, self._used)


def measure_ods(chunks: Iterator[bytes]) -> list[ErrorCells]:
    """Raises FileError too-large or corrupt; -> the error cells of each sheet."""
    extent, size_bytes, cells = _OdsExtent(), 0, 0
    errors: list[ErrorCells] = []
    for chunk in overlapping(_well_formed(chunks)):
        size_bytes += len(chunk)
        check_shared(size_bytes)
        if _ODS_OPEN_TAG.search(chunk):
            raise corrupt("ODS")
        for match in _ODS_TOKEN.finditer(chunk):
            if match[5]:
                cells, extent = cells + extent.rows * extent.columns, _OdsExtent()
                errors.append(extent.errors)
            _take(extent, match)
        check_memory(cells + extent.rows * extent.columns, 1, size_bytes)
    return errors


def _well_formed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes. Raises FileError corrupt where they are no XML: calamine would look for the end tag without end."""
    parser = expat.ParserCreate()
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            yield chunk
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise corrupt("ODS", error) from error


def _take(extent: _OdsExtent, match: "re.Match[bytes]") -> None:
    if match[1] is not None:
        extent.start_row(match[1])
        if match[1].endswith(b"/"):
            extent.end_row()
    elif match[2] is not None:
        extent.cell(match[2], match[3])
    elif match[4]:
        extent.end_row()


def _repeated(pattern: "re.Pattern[bytes]", attributes: bytes) -> int:
    if not attributes:
        return 1
    check_quotes(attributes, "ODS")
    match = pattern.search(attributes)
    return int(match[1]) if match else 1
