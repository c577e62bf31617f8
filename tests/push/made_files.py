"""Files made byte by byte for the tests of reading: the ones no library would write, and small ones of each kind."""

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

#: Cell styles of `workbook`: s="1" date, s="2" date and time, s="3" time, s="4" percent, s="5" [h]:mm:ss.
_STYLES = (
    f'<styleSheet xmlns="{_SPREADSHEET}"><numFmts><numFmt numFmtId="164" formatCode="[h]:mm:ss"/></numFmts><cellXfs>'
    + "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 21, 10, 164))
    + "</cellXfs></styleSheet>"
)


def sheet_xml(*rows: str) -> str:
    """A sheet of *rows*, each the cells of one row: `<c r="A1"><v>1</v></c>`."""
    body = "".join(f'<row r="{number}">{cells}</row>' for number, cells in enumerate(rows, 1))
    return f'<worksheet xmlns="{_SPREADSHEET}"><sheetData>{body}</sheetData></worksheet>'


def text_cell(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def number_cell(place: str, value: object, style: int = 0) -> str:
    return f'<c r="{place}" s="{style}"><v>{value}</v></c>'


def workbook(
    path: Path, sheets: Mapping[str, str | bytes], *, hidden: Sequence[str] = (), properties: str = "", separator: str = "/"
) -> Path:
    """An XLSX file of the given sheets, name to XML; *properties* go into `<workbookPr>`."""
    entries, relations, parts = "", "", dict[str, str | bytes]()
    for number, (name, xml) in enumerate(sheets.items(), 1):
        state = ' state="hidden"' if name in hidden else ""
        entries += f'<sheet name="{name}" sheetId="{number}"{state} r:id="rId{number}"/>'
        relations += f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        parts[f"xl/worksheets/sheet{number}.xml"] = xml
    book = (
        f'<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_OFFICE}"><workbookPr {properties}/><sheets>{entries}</sheets></workbook>'
    )
    root = f'<Relationship Id="r" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    parts |= {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}">{root}</Relationships>',
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">{relations}</Relationships>',
        "xl/styles.xml": _STYLES,
    }  # fmt: skip
    return zipped(path, {name.replace("/", separator): content for name, content in parts.items()})


def ods(path: Path, table_xml: str) -> Path:
    """An ODS file with one sheet; *table_xml* are its `<table:table-row>` elements."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f'<?xml version="1.0"?><office:document-content {spaces}><office:body><office:spreadsheet>'
        f'<table:table table:name="Sheet">{table_xml}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    return zipped(path, {"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<manifest/>"})


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_text(text: str, attributes: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>'


def xlsb(path: Path, cells: Sequence[tuple[int, int, float | str | None]]) -> Path:
    """An XLSB file with one sheet; *cells* are (row, column, value), None an error (#DIV/0!)."""
    sheet, last_row = _record(145, b""), -1
    for row, column, value in cells:
        if row != last_row:
            sheet += _record(0, struct.pack("<IIHBBBI", row, 0, 300, 0, 0, 0, 0))
            last_row = row
        sheet += _xlsb_cell(column, value)
    bundle = struct.pack("<II", 0, 1) + _wide("rId1") + _wide("Sheet")
    relation = f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.bin"/>'
    return zipped(path, {
        "xl/workbook.bin": _record(143, b"") + _record(156, bundle) + _record(144, b"") + _record(132, b""),
        "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="{_PACKAGE}">{relation}</Relationships>',
        "xl/worksheets/sheet1.bin": _record(148, struct.pack("<IIII", 0, 9, 0, 9)) + sheet + _record(146, b""),
    })  # fmt: skip


def _xlsb_cell(column: int, value: float | str | None) -> bytes:
    head = struct.pack("<II", column, 0)
    if value is None:
        return _record(3, head + b"\x07")
    return _record(5, head + struct.pack("<d", value)) if isinstance(value, float) else _record(6, head + _wide(value))


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _record(kind: int, body: bytes) -> bytes:
    number = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    length = len(body)
    size = b""
    while length >= 128:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return number + size + bytes([length]) + body


def biff2(path: Path, cells: Sequence[tuple[int, int, float | str | bool | None]]) -> Path:
    """An XLS file of the oldest kind, which is one sheet without anything around it; None is an error cell."""
    body = struct.pack("<HHHH", 0x0009, 4, 2, 0x10)
    for row, column, value in cells:
        head = struct.pack("<HH3x", row, column)
        if value is None or isinstance(value, bool):
            record, data = 0x0005, head + bytes([7 if value is None else value, value is None])
        elif isinstance(value, float):
            record, data = 0x0003, head + struct.pack("<d", value)
        else:
            record, data = 0x0004, head + bytes([len(value)]) + value.encode("cp1252")
        body += struct.pack("<HH", record, len(data)) + data
    path.write_bytes(body + struct.pack("<HH", 0x000A, 0))
    return path


def endless_ole(path: Path) -> Path:
    """An OLE file whose short stream `Workbook` is one sector that names itself as the next."""
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIiI", 0, 1, 1, 0, 4096, 2, 1, -2, 0) + struct.pack("<109i", 0, *[-1] * 108)
    entries = _ole_entry("Root Entry", 5, 1, 3, 64) + _ole_entry("Workbook", 2, -1, 0, 100) + bytes(256)
    tables = struct.pack("<128i", -3, -2, -2, -2, *[-1] * 124), struct.pack("<128i", 0, *[-1] * 127)
    path.write_bytes(header + tables[0] + entries + tables[1] + bytes(512))
    return path


def _ole_entry(name: str, kind: int, child: int, sector: int, size: int) -> bytes:
    text = (name + "\0").encode("utf-16-le")
    head = text.ljust(64, b"\0") + struct.pack("<HBBiii36x", len(text), kind, 1, -1, -1, child)
    return head + struct.pack("<iii", sector, size, 0)


def dbf(
    path: Path, columns: Sequence[tuple[str, str, int, int]], rows: Sequence[Sequence[str | bytes]], driver: int = 0
) -> Path:
    """A DBF file; *columns* are (name, type, length, decimals), cells the text as it is in the file."""
    size = 1 + sum(length for _, _, length, _ in columns)
    head = struct.pack("<BBBBIHH17xBxx", 3, 124, 1, 31, len(rows), 33 + 32 * len(columns), size, driver)
    for name, kind, length, decimals in columns:
        head += struct.pack("<11sc4xBB14x", name.encode(), kind.encode(), length, decimals)
    body = b""
    for row in rows:
        cells = [cell if isinstance(cell, bytes) else cell.encode() for cell in row]
        body += b" " + b"".join(cell.ljust(column[2]) for cell, column in zip(cells, columns, strict=True))
    path.write_bytes(head + b"\r" + body + b"\x1a")
    return path


def zipped(path: Path, members: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
