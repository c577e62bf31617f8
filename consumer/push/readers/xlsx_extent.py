"""How far a sheet of XLSX reaches: its last row and column, found without parsing it."""

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np

from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.workbook_limits import (
    Chunks,
    check_memory,
    check_quotes,
    corrupt,
    fits_memory,
    nearly_empty,
    overlapping,
)
from consumer.push.table import KEPT_PLACES

_REFERENCE = re.compile(rb' r="([A-Za-z]{1,3})([0-9]{1,7})"[ />]')
_PREFIXED = re.compile(rb":(?:c|row)[\s/>]")
_TAG = re.compile(rb"<(?:[\w.-]+:)?(row|c)((?:\s[^<>]*?)?)(/?)>")
#: A tag with `<` in it, which XML forbids and some parsers let pass: searches could be led past what follows.
_OPEN_TAG = re.compile(rb"<(?:[\w.-]+:)?(?:row|c)\s[^<>]*(?:<|\Z)")
_ANY_REFERENCE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{0,3})([0-9]{1,9})["']""")


#: XML of which every reference is read at once.
_SMALL_BYTES = 4 * 1024**2
#: A cell with an error, and the row in its reference.
_ERROR = re.compile(rb"""<(?:[\w.-]+:)?c\s[^<>]*\bt="e"[^<>]*""")
_ROW = re.compile(rb' r="[A-Za-z]{1,3}([0-9]{1,7})"')


def measure_xlsx(chunks: Chunks) -> ErrorCells:
    """Checks a sheet's XML; -> error cells.

    Reading each cell's reference would cost as much as a fifth of the parsing. So one search a chunk looks for a cell
    that is *not* written the usual way with few letters and digits; that alone bounds the corner of the sheet, since a
    row's own number counts for cells without a reference only.
    Only where the bound is too coarse, or something is written otherwise, every reference is read.
    """
    usual, size_bytes, errors = _Usual(), 0, ErrorCells()
    for chunk in overlapping(chunks()):
        size_bytes += len(chunk)
        if _holds_pair(chunk, b'"e') and (count := chunk.count(b't="e"')):
            errors.add(_error_rows(chunk), count)
        usual.look_at(chunk)
        check_memory(0, 0, size_bytes)
    if not _is_bounded(usual, size_bytes):
        check_memory(*_exact_corner(chunks()), size_bytes)
    return errors


def _is_bounded(usual: "_Usual", size_bytes: int) -> bool:
    """Whether the sheet takes no more memory than it may, by its bound."""
    if not usual.holds or not fits_memory(usual.rows, usual.columns, size_bytes):
        return False
    return size_bytes > _SMALL_BYTES or not nearly_empty(usual.rows, usual.columns, size_bytes)


def _error_rows(chunk: bytes) -> Iterator[int]:
    for cell in islice(_ERROR.finditer(chunk), KEPT_PLACES * 10):
        if row := _ROW.search(cell[0]):
            yield int(row[1])


def _holds_pair(chunk: bytes, pair: bytes) -> bool:
    """Whether the two bytes are side by side anywhere: a fifth of the time of a search for more of them."""
    if len(chunk) < 3:
        return pair in chunk
    code = np.frombuffer(pair, np.uint16)[0]
    even, odd = np.frombuffer(chunk, np.uint16, len(chunk) // 2), np.frombuffer(chunk, np.uint16, (len(chunk) - 1) // 2, 1)
    return bool((even == code).any() or (odd == code).any())


class _Usual:
    """`<c r="AB123"`: how many letters and digits they have at most, and whether all are so."""

    def __init__(self) -> None:
        self._letters = self._digits = 1
        self.holds = True
        self._compile()

    @property
    def rows(self) -> int:
        return min(int(10**self._digits), 1 << 20)

    @property
    def columns(self) -> int:
        return min(sum(int(26**count) for count in range(1, self._letters + 1)), 1 << 14)

    def look_at(self, chunk: bytes) -> None:
        while self.holds and (match := self._cell.search(chunk)):
            self._widen(_REFERENCE.match(chunk, match.end()))
        self.holds = self.holds and not (b":" in chunk and _PREFIXED.search(chunk))

    def _widen(self, reference: "re.Match[bytes] | None") -> None:
        before = self._letters, self._digits
        if reference is not None:
            self._letters = max(self._letters, len(reference[1]))
            self._digits = max(self._digits, len(reference[2]))
        if before == (self._letters, self._digits):
            self.holds = False  # it is unusual in another way than by its length
        self._compile()

    def _compile(self) -> None:
        letters, digits = self._letters, self._digits
        self._cell = re.compile(rb'<c(?! r="[A-Za-z]{1,%d}[0-9]{1,%d}"[ />])(?=[\s/>])' % (letters, digits))


def _exact_corner(chunks: Iterator[bytes]) -> tuple[int, int]:
    """Last row and column as calamine counts them: by reference, else one further than the cell before; cells without
    content, which only have a style, do not count. Raises FileError corrupt for tags that are hard to tell the end of."""
    row = column = rows = columns = 0
    for chunk in overlapping(chunks):
        if _OPEN_TAG.search(chunk):
            raise corrupt("XLSX")
        for kind, attributes, closed in _TAG.findall(chunk):
            reference = _reference(attributes)
            if kind == b"row":
                row, column = (int(reference[2]) if reference else row + 1), 0
            else:
                column = _column_number(reference[1]) if reference else column + 1
                row = max(row, int(reference[2])) if reference else row
            if kind == b"c" and not closed:
                rows, columns = max(rows, row), max(columns, column)
    return rows, columns


def _reference(attributes: bytes) -> "re.Match[bytes] | None":
    check_quotes(attributes, "XLSX")
    return _ANY_REFERENCE.search(attributes)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
