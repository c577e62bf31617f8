"""What a file is by its first bytes, for everything that is no table: its name in a sentence, and what to do about it."""

import codecs
import re

from consumer.push.wide_text import wide_encoding

#: (offset, bytes, what the file is). The first that matches counts.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF87a", "a picture (GIF)"),
    (0, b"GIF89a", "a picture (GIF)"),
    (0, b"II*\x00", "a picture (TIFF)"),
    (0, b"MM\x00*", "a picture (TIFF)"),
    (8, b"WEBP", "a picture (WebP)"),
    (8, b"WAVE", "a sound file (WAV)"),
    (4, b"ftyp", "a video or picture (MP4 or HEIF)"),
    (0, b"ID3", "a sound file (MP3)"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska)"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x1f\x9d", "a file packed with compress (.Z)"),
    (0, b"\x04\x22\x4d\x18", "a file packed with LZ4"),
    (0, b"\xff\x06\x00\x00sNaPpY", "a file packed with Snappy"),
    (0, b"MSCF", "a Windows cabinet archive"),
    (0, b"SQLite format 3\x00", "an SQLite database (or GeoPackage)"),
    (0, b"\x00\x01\x00\x00Standard ", "an Access database"),
    (0, b"PARE", "an encrypted Parquet file"),
    (0, b"ARROW1", "an Arrow or Feather file"),
    (0, b"FEA1", "a Feather file"),
    (0, b"ORC", "an ORC file"),
    (0, b"Obj\x01", "an Avro file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 or NetCDF file"),
    (0, b"CDF\x01", "a NetCDF file"),
    (0, b"CDF\x02", "a NetCDF file"),
    (0, b"$FL2", "an SPSS file"),
    (0, b"$FL3", "an SPSS file"),
    (0, b"<stata_dta>", "a Stata file"),
    (0, b"\x00\x00\x27\x0a", "the geometry part of a shapefile (.shp)"),
    (0, b"fgb\x03", "a FlatGeobuf file"),
    (0, b"{\\rtf", "a text document (RTF)"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"MIME-Version:", "a web archive (MHTML)"),
    (0, b"version https://git-lfs", "a Git LFS pointer"),
    (0, b"BEGIN:VCALENDAR", "a calendar (iCalendar)"),
    (0, b"BEGIN:VCARD", "a list of contacts (vCard)"),
    (0, b"@prefix ", "an RDF document (Turtle)"),
    (0, b"\x7fELF", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
)

#: Those that a column's name may hold at that place: `PARENT_ID`, `fid,ftype`, `ORC`.
_LIKE_WORDS = frozenset((b"ftyp", b"ID3", b"MSCF", b"PARE", b"ARROW1", b"FEA1", b"ORC"))

_DATABASES = re.compile(r"database|Arrow|Feather|ORC|Avro|NetCDF|SPSS|Stata|shapefile|FlatGeobuf")
_ARCHIVES = re.compile(r"archive|packed")


def stranger(head: bytes) -> str | None:
    """What the file that begins with *head* (512 bytes or more) is, if it is a known kind that is no table."""
    for offset, magic, name in _MAGIC:
        if head.startswith(magic, offset) and not _is_chance(magic, offset, head):
            return name
    if head.startswith(b"BM") and head[6:10] == b"\x00\x00\x00\x00" and len(head) > 26:
        return "a picture (BMP)"
    if head.startswith(b"MZ") and b"\x00" in head[:64]:
        return "a program"
    return None


def _is_chance(magic: bytes, offset: int, head: bytes) -> bool:
    """Whether the letters of *magic* stand there in a text; those of WebP and WAV follow `RIFF` and a length."""
    return not head.startswith(b"RIFF") if offset == 8 else magic in _LIKE_WORDS and begins_as_text(head)


def begins_as_text(head: bytes) -> bool:
    """Whether there is no control character in what the first line of a text would begin with, as there is in every binary
    file with a signature of plain letters."""
    return not any(byte in _NO_TEXT or byte == 0 for byte in head[:64])


def advice(name: str) -> str:
    """What the publisher can do about a file of that kind."""
    if "LFS" in name:
        return "Link to the file that it stands for; GitHub has it behind the button that downloads the raw file."
    if _DATABASES.search(name):
        return "Export the table from it as CSV or Parquet, and publish that."
    if _ARCHIVES.search(name):
        return "Publish the file in it as it is, or packed as gzip or zip."
    return "Publish the table in it as CSV or XLSX; if the link was meant for a table, it leads elsewhere."


#: Names of columns as the files of stock exchanges have them: `<TICKER>,<PER>,<DATE>`.
_TAGGED_HEADER = re.compile(r"<[^<>=/\s]+>[ ]*[,;|\t][ ]*<")


def markup(head: bytes) -> str | None:
    """What a text that begins with a tag is: a web page, an XML document; None for any other text."""
    text = _plain(head)
    start = text.lstrip().lower()
    while start.startswith("<!--"):
        start = start.partition("-->")[2].lstrip()
    if _TAGGED_HEADER.match(start) and "</" not in start:
        return None
    if re.match(r"<(!doctype\s+html|html|head|body|table|div|script|meta|title|style|p|h1|iframe|form)\b", start):
        return "a web page (HTML)"
    if not re.match(r"<(\?xml|!doctype|[a-z_][\w.-]*:?[\w.-]*(\s+[\w:.-]+\s*=\s*[\"'][^<]*)?/?>)", start):
        return None
    if 'progid="excel.sheet"' in start or "office:spreadsheet" in start:
        return "a spreadsheet in XML (SpreadsheetML 2003)"
    if "<html" in start:
        return "a web page (HTML)"
    kinds = {"<kml": "a KML file", "<gpx": "a GPX file", "<svg": "a picture (SVG)", "<rss": "an RSS feed"}
    return next((name for tag, name in kinds.items() if tag in start), "an XML document")


def is_binary(head: bytes) -> bool:
    """Whether bytes that are no known kind are no text either: many control characters, and not UTF-16 or UTF-32."""
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")) or wide_encoding(head)
    return not wide and _is_binary(head)


#: Control characters that text files have: SOH (Hive), TAB, LF, VT, FF, CR, SUB (end of a DOS file), ESC, separators.
_TEXT_CONTROLS = bytes((1, 9, 10, 11, 12, 13, 26, 27, 28, 29, 30, 31))
_NO_TEXT = bytes(byte for byte in range(1, 32) if byte not in _TEXT_CONTROLS)


def _is_binary(head: bytes) -> bool:
    """Random bytes are 7 % such controls and no UTF-8; text with NULs or some controls strewn in by a program is text."""
    controls = len(head) - len(head.translate(None, _NO_TEXT))
    most = max(4, len(head) * 0.1) if _is_utf8(head) else len(head) * 0.02
    return controls > most or head.count(0) > len(head) * 0.4


def _is_utf8(head: bytes) -> bool:
    """The last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _plain(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    return head.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"").decode("latin-1")
