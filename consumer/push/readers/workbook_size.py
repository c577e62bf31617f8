"""How much memory a workbook will take, measured before it is parsed.

calamine keeps every part it reads in memory and gives each sheet as one rectangle from its first to its last cell. So a
few hundred bytes can ask for everything: two cells in opposite corners, a long run of zeros well compressed, a row
repeated a million times. A process that the kernel kills tells nobody why; these checks do.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from xml.etree import ElementTree

from schemas.errors import FileError

#: Memory a sheet may take in calamine. A million rows of twenty columns take about 2.8 GiB by the sums below.
MEMORY_LIMIT_BYTES = 3 * 1024**3
#: Parts that are read at once when the workbook is opened (shared strings, styles; all of an ODS).
SHARED_LIMIT_BYTES = 1024**3
#: Lists of sheets: read here as a tree, so kept small.
INDEX_LIMIT_BYTES = 16 * 1024**2
#: What one cell takes in the rectangle, and a byte of XML in the list it is made from (a cell with a value has at
#: least 16 bytes of XML and takes 40).
CELL_BYTES = 32
BYTES_PER_XML_BYTE = 2.5

CHUNK_BYTES = 1024**2
Chunks = Callable[[], Iterator[bytes]]
#: Parts that calamine leaves alone, or that are measured by sheet.
_UNREAD = re.compile(r"/(worksheets|chartsheets|charts|drawings|media|embeddings|theme|printersettings)/|^docprops/")
_REFERENCE = re.compile(rb' r="([A-Za-z]{0,3})([0-9]{1,7})"[ />]')
_PREFIXED = re.compile(rb":(?:c|row)[\s/>]")
_TAG = re.compile(rb"<(?:[\w.-]+:)?(row|c)((?:\s[^<>]*?)?)(/?)>")
#: A tag with `<` in it, which XML forbids and some parsers let pass: searches could be led past what follows.
_OPEN_TAG = re.compile(rb"<(?:[\w.-]+:)?(?:row|c)\s[^<>]*(?:<|\Z)")
_ANY_REFERENCE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{0,3})([0-9]{1,9})["']""")


class WorkbookParts:
    """The zip members of a workbook. Sizes are measured by inflating: the ones a zip file declares may be lies."""

    def __init__(self, path: Path, format: str) -> None:
        self._path = path
        self._format = format
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, UnicodeError) as error:
            raise corrupt(format) from error
        # Some programs write the separators of Windows.
        self._members = {info.filename.lower().replace("\\", "/"): info for info in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            raise corrupt(format)  # two parts of one name: readers disagree on which one counts

    def check_shared(self) -> None:
        """Measures what is read on opening. Raises FileError too-large or corrupt."""
        if self._format == "ODS":
            self._check_ods()
            return
        shared = [name for name in self._members if name.endswith((".xml", ".bin", ".rels")) and not _UNREAD.search(name)]
        done_bytes = 0
        for name in shared:
            for chunk in self._inflated(name):
                done_bytes += len(chunk)
                _check(done_bytes, SHARED_LIMIT_BYTES, "The texts of the workbook")

    def check_sheet(self, position: int) -> int:
        """Measures the sheet at *position* of the workbook's list; -> how many error cells (`#DIV/0!`) it has.

        Raises FileError too-large or corrupt.
        """
        if self._format == "ODS":
            return 0  # ODS has no error cells: a formula that fails leaves a text cell
        name = self._sheet_part(position)
        # Where the list of sheets leaves doubt, calamine may take any part for the sheet.
        names = [name] if name else [one for one in self._members if one.endswith((".xml", ".bin"))]
        return sum(self._measure(one) for one in names)

    def _measure(self, name: str) -> int:
        measure = _measure_xlsb if name.endswith(".bin") else _measure_xlsx
        return measure(lambda: self._inflated(name))

    def _sheet_part(self, position: int) -> str | None:
        """The member that holds a sheet; None where the workbook is not clear about it."""
        relations = self._relations()
        ids = self._sheet_ids()
        target = relations.get(ids[position], "") if position < len(ids) else ""
        name = (target.lstrip("/") if target.startswith("/") else f"xl/{target}").lower()
        return name if name in self._members else None

    def _relations(self) -> dict[str, str]:
        name = "xl/_rels/workbook.bin.rels" if self._format == "XLSB" else "xl/_rels/workbook.xml.rels"
        found = [(node.get("Id", ""), node.get("Target", "")) for node in self._tree(name).iter() if node.get("Target")]
        return dict(found) if len(dict(found)) == len(found) else {}

    def _sheet_ids(self) -> list[str]:
        if self._format == "XLSB":
            return _xlsb_sheet_ids(b"".join(self._inflated("xl/workbook.bin", INDEX_LIMIT_BYTES)))
        sheets = (node for node in self._tree("xl/workbook.xml").iter() if node.tag.rpartition("}")[2] == "sheet")
        return [
            next((value for key, value in node.attrib.items() if key.endswith("}id")), "")  # r:id, in any namespace
            for node in sheets
        ]

    def _tree(self, name: str) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(b"".join(self._inflated(name, INDEX_LIMIT_BYTES)))
        except (ElementTree.ParseError, LookupError, ValueError) as error:  # LookupError: an encoding nobody knows
            raise corrupt(self._format) from error

    def _inflated(self, name: str, limit_bytes: int | None = None) -> Iterator[bytes]:
        info = self._members.get(name)
        if info is None:
            raise corrupt(self._format)
        done_bytes = 0
        for chunk in inflated(self._zip, info, self._format):
            done_bytes += len(chunk)
            _check(done_bytes, limit_bytes or 8 * MEMORY_LIMIT_BYTES, f"The part {name} of the workbook")
            yield chunk

    def _check_ods(self) -> None:
        if "content.xml" not in self._members:
            raise corrupt(self._format)
        _measure_ods(self._inflated("content.xml"))


def inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> Iterator[bytes]:
    """The bytes of a member as they really are, however many it declares. Raises FileError corrupt or encrypted."""
    honest = copy(info)
    honest.file_size = 1 << 62  # zipfile stops at the declared size, while other readers go on
    honest.CRC = None  # type: ignore[assignment]
    try:
        with archive.open(honest) as member:
            while chunk := member.read(CHUNK_BYTES):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise corrupt(what) from error
    except RuntimeError as error:  # "File … is encrypted, password required"
        raise FileError("encrypted", "The workbook is protected with a password. Publish it without one.") from error


def corrupt(format: str) -> FileError:
    return FileError(
        "corrupt",
        f"The file is an {format} workbook that cannot be read: it is damaged or incomplete. Open it in a spreadsheet"
        " program and save it again, or publish CSV.",
    )


def _check(size_bytes: float, limit_bytes: int, what: str) -> None:
    if size_bytes > limit_bytes:
        raise FileError(
            "too-large",
            f"{what} would take {size_bytes / 1024**3:,.1f} GiB of memory, and the limit is {limit_bytes / 1024**3:,.1f} GiB."
            " Delete cells far outside the table, or publish the table as CSV, which is read piece by piece.",
        )


def _check_memory(rows: int, columns: int, part_bytes: int) -> None:
    size_bytes = rows * columns * CELL_BYTES + part_bytes * BYTES_PER_XML_BYTE
    _check(size_bytes, MEMORY_LIMIT_BYTES, f"The sheet ({rows:,} rows by {columns:,} columns)")


def _measure_xlsx(chunks: Chunks) -> int:
    """Checks a sheet's XML; -> error cells.

    Reading each cell's reference would cost as much as a fifth of the parsing. So one search a chunk looks for a cell or
    row that is *not* written the usual way with few letters and digits; that alone bounds the corner of the sheet.
    Only where the bound is too coarse, or something is written otherwise, every reference is read.
    """
    usual, size_bytes, errors = _Usual(), 0, 0
    for chunk in _overlapping(chunks()):
        size_bytes += len(chunk)
        errors += chunk.count(b't="e"')
        usual.look_at(chunk)
        _check(size_bytes * BYTES_PER_XML_BYTE, MEMORY_LIMIT_BYTES, "The sheet")
    rows, columns = usual.rows, usual.columns
    if not usual.holds or rows * columns * CELL_BYTES + size_bytes * BYTES_PER_XML_BYTE > MEMORY_LIMIT_BYTES:
        rows, columns = _exact_corner(chunks())
    _check_memory(rows, columns, size_bytes)
    return errors


class _Usual:
    """`<c r="AB123"` and `<row r="123"`: how many letters and digits they have at most, and whether all are so."""

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
        while self.holds and (match := self._cell.search(chunk) or self._row.search(chunk)):
            self._widen(_REFERENCE.match(chunk, match.end()))
        self.holds = self.holds and not _PREFIXED.search(chunk)

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
        self._row = re.compile(rb'<row(?! r="[0-9]{1,%d}"[ />])(?=[\s/>])' % digits)


def _exact_corner(chunks: Iterator[bytes]) -> tuple[int, int]:
    """Last row and column as calamine counts them: by reference, else one further than the cell before; cells without
    content, which only have a style, do not count. Raises FileError corrupt for tags that are hard to tell the end of."""
    row = column = rows = columns = 0
    for chunk in _overlapping(chunks):
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
    _check_quotes(attributes, "XLSX")
    return _ANY_REFERENCE.search(attributes)


def _check_quotes(attributes: bytes, format: str) -> None:
    """A `>` inside of a value ends the tag too soon for a search; then its quotes do not pair, or are of both kinds.
    Raises FileError corrupt."""
    double, single = attributes.count(b'"'), attributes.count(b"'")
    if double % 2 or single % 2 or (double and single):
        raise corrupt(format)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _overlapping(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut before a tag so that no search misses what lies across two chunks.

    A tag of more than CHUNK_BYTES is taken for damage: no program writes one, and searches could be led past it.
    """
    rest = b""
    for chunk in chunks:
        whole, tag, tail = (rest + chunk).rpartition(b"<")
        if whole:
            yield whole
        rest = tag + tail
        if len(rest) > CHUNK_BYTES:
            if tag and b">" not in tail:
                raise corrupt("XML")
            yield rest
            rest = b""
    yield rest


_ODS_TOKEN = re.compile(
    rb"<table:table-row\b([^<>]*)>|<table:(?:covered-)?table-cell\b([^<>]*?)(/?)>|(</table:table-row>)|(<table:table[ >])"
)
_ODS_OPEN_TAG = re.compile(rb"<table:(?:covered-)?table-(?:row|cell)\b[^<>]*(?:<|\Z)")
_COLUMNS_REPEATED = re.compile(rb"""table:number-columns-repeated\s*=\s*["'](\d+)["']""")
_ROWS_REPEATED = re.compile(rb"""table:number-rows-repeated\s*=\s*["'](\d+)["']""")


class _OdsExtent:
    """Rows and columns of an ODS table up to its last cell with content, repetitions counted out."""

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self._at = self._here = self._used = 0
        self._repeat = 1

    def start_row(self, attributes: bytes) -> None:
        self._repeat, self._here, self._used = _repeated(_ROWS_REPEATED, attributes), 0, 0

    def cell(self, attributes: bytes, closed: bytes) -> None:
        self._here += _repeated(_COLUMNS_REPEATED, attributes)
        if not closed or b"office:" in attributes:
            self._used = self._here

    def end_row(self) -> None:
        self._at += self._repeat
        if self._used:
            self.rows, self.columns = self._at, max(self.columns, self._used)


def _measure_ods(chunks: Iterator[bytes]) -> None:
    extent, size_bytes, cells = _OdsExtent(), 0, 0
    for chunk in _overlapping(chunks):
        size_bytes += len(chunk)
        _check(size_bytes, SHARED_LIMIT_BYTES, "The ODS workbook")
        if _ODS_OPEN_TAG.search(chunk):
            raise corrupt("ODS")
        for match in _ODS_TOKEN.finditer(chunk):
            if match[5]:
                cells, extent = cells + extent.rows * extent.columns, _OdsExtent()
            _take(extent, match)
        _check_memory(cells + extent.rows * extent.columns, 1, size_bytes)


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
    _check_quotes(attributes, "ODS")
    match = pattern.search(attributes)
    return int(match[1]) if match else 1


def _xlsb_records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, offset of the body, length of the body) of each record (MS-XLSB 2.1.4); ends where they make no sense."""
    at = 0
    while at < len(data):
        kind, at = _varint(data, at, 2)
        length, at = _varint(data, at, 4)
        if at + length > len(data):
            return
        yield kind, at, length
        at += length


def _varint(data: bytes, at: int, most_bytes: int) -> tuple[int, int]:
    number = 0
    for place in range(most_bytes):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            break
    return number, at


_BRT_ROW, _BRT_CELLS, _BRT_ERRORS, _BRT_SHEET = 0, range(1, 12), (3, 11), 156


def _measure_xlsb(chunks: Chunks) -> int:
    data = bytearray()
    for chunk in chunks():
        data += chunk
        _check(len(data) * BYTES_PER_XML_BYTE, MEMORY_LIMIT_BYTES, "The sheet")
    rows = columns = errors = 0
    for kind, at, length in _xlsb_records(bytes(data)):
        if kind == _BRT_ROW and length >= 4:
            rows = max(rows, struct.unpack_from("<I", data, at)[0] + 1)
        elif kind in _BRT_CELLS and length >= 4:
            columns = max(columns, struct.unpack_from("<I", data, at)[0] + 1)
            errors += kind in _BRT_ERRORS
    # Each record of a cell takes more in memory than XML of the same length.
    _check_memory(rows, columns, 3 * len(data))
    return errors


def _xlsb_sheet_ids(data: bytes) -> list[str]:
    """Relation ids of the sheets: BrtBundleSh is hsState, iTabID (4 bytes each), then the id, counted UTF-16."""
    found = []
    for kind, at, length in _xlsb_records(data):
        if kind == _BRT_SHEET and length >= 12:
            count = struct.unpack_from("<I", data, at + 8)[0]
            found.append(data[at + 12 : at + 12 + 2 * count].decode("utf-16-le", "replace"))
    return found
