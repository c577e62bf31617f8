"""Which format a file has (tables.md §1): by its content, then by what was declared about it."""

import codecs
import mmap
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from consumer.push.signatures import advice, begins_as_text, is_binary, markup, stranger
from consumer.push.wide_text import wide_encoding
from schemas.errors import FileError

#: Bytes of the head that decide; more than the first record of nearly every text file.
HEAD_BYTES = 64 * 1024

CONTAINERS = ("gzip", "bz2", "xz", "zstd", "zip")
WORKBOOKS = ("XLSX", "XLSM", "XLSB", "ODS")
#: Everything a file can be besides. DELIMITED stands for CSV, TSV and the like, which are one format here.
DELIMITED, TSV, FIXED = "CSV", "TSV", "FIXED"
JSON, NDJSON, GEOJSON = "JSON", "NDJSON", "GeoJSON"
XLS, PARQUET, DBF = "XLS", "Parquet", "DBF"

_PACKED = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))
#: With the mark of its first block, or of the end where there is none.
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
#: What pzstd and others begin a zstd file with.
_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Beginnings of BIFF 2 to 5 streams without OLE around them.
_BARE_BIFF = re.compile(rb"\x09[\x00\x02\x04\x08][\x04\x06\x08]\x00[\x00\x02-\x05]", re.DOTALL)
_DBF_VERSIONS = bytes.fromhex("020304053031324363838b8ecbf5fb")

#: What a declared format, an extension or a Content-Type says of a *text*: only then the words count.
_TEXT_NAMES = {
    "tsv": TSV, "tab": TSV, "text/tab-separated-values": TSV, "text/tsv": TSV, "fixed": FIXED, "fwf": FIXED,
    "json": JSON, "application/json": JSON, "ndjson": NDJSON, "jsonl": NDJSON, "jsonlines": NDJSON,
    "application/x-ndjson": NDJSON, "application/jsonl": NDJSON, "application/x-jsonlines": NDJSON, "ldjson": NDJSON,
    "geojson": GEOJSON, "application/geo+json": GEOJSON, "application/vnd.geo+json": GEOJSON, "geojsonl": GEOJSON,
    "geojsons": GEOJSON, "application/geo+json-seq": GEOJSON, "csv": DELIMITED, "text/csv": DELIMITED,
}  # fmt: skip


@dataclass(frozen=True)
class Hints:
    """What was said about a file. *declared* is the resource's format, or the option *format*, which wins over it."""

    declared: str | None = None
    url: str | None = None
    filename: str | None = None  #: of Content-Disposition, or of an archive's member
    content_type: str | None = None
    forced: str | None = None

    def named(self) -> str | None:
        """The text format that the first telling word names."""
        words = (self.forced, self.declared, extension(self.filename), extension(url_name(self.url)), self.content_type)
        plain = ((word or "").partition(";")[0].strip().lower().lstrip(".") for word in words)
        return next((_TEXT_NAMES[word] for word in plain if word in _TEXT_NAMES), None)


def detect(path: Path, hints: Hints) -> str:
    """One of CONTAINERS, WORKBOOKS or the names above.

    Raises FileError: empty; not-tabular, encrypted or corrupt for what can be told from its beginning.
    """
    head = _head(path)
    if packed := next((name for magic, name in _PACKED if head.startswith(magic)), None):
        return packed
    if _BZIP2.match(head):
        return "bz2"
    if _SKIPPABLE_FRAME.match(head):
        return "zstd"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip_kind(path)
    if head.startswith(_OLE):
        return _ole_kind(path)
    if head.startswith(b"PAR1") and not begins_as_text(head):
        return PARQUET
    if name := stranger(head):
        raise _no_table(name, "encrypted" if name.startswith("an encrypted") else "not-tabular")
    if _is_dbf(head, path.stat().st_size):
        return DBF
    if _BARE_BIFF.match(head):
        return XLS
    return _text_kind(head, hints)


def url_name(url: str | None) -> str | None:
    """The last part of a URL's path."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1] if url else None


def extension(name: str | None) -> str:
    """Lower case, without the dot."""
    stem, dot, ending = (name or "").rpartition(".")
    return ending.lower() if dot and stem else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise FileError("empty", "The file is empty (0 bytes). Upload it again, or check the link.")
    return head


def _no_table(name: str, code: str = "not-tabular") -> FileError:
    return FileError(code, f"The file is {name}, not a table. {advice(name)}", details={"File": name})


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.lower().replace("\\", "/") for name in archive.namelist()}
            mimetype = _beginning(archive, "mimetype", 100).decode("latin-1") if "mimetype" in archive.namelist() else ""
            manifest = _beginning(archive, "META-INF/manifest.xml", 1_000_000) if "meta-inf/manifest.xml" in names else b""
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, KeyError) as error:
        raise FileError(
            "corrupt",
            "The file is a zip archive or a workbook (XLSX, ODS) that is damaged or incomplete. Upload it again.",
        ) from error
    return _office_kind(names, mimetype, manifest)


def _beginning(archive: zipfile.ZipFile, member: str, size_bytes: int) -> bytes:
    """No more is unpacked: whoever made the archive may have named a bomb so."""
    with archive.open(member) as file:
        return file.read(size_bytes)


def _office_kind(names: set[str], mimetype: str, manifest: bytes) -> str:
    if "opendocument.spreadsheet" in mimetype:
        if b"encryption-data" in manifest:
            raise encrypted_workbook()
        return "ODS"
    if "xl/workbook.bin" in names:
        return "XLSB"
    if any(name.startswith("xl/") for name in names):
        return "XLSM" if "xl/vbaproject.bin" in names else "XLSX"
    documents = {
        "word/document.xml": "a Word document", "ppt/presentation.xml": "a PowerPoint presentation",
        "content.xml": "an OpenDocument text or drawing", "doc.kml": "a KMZ file",
    }  # fmt: skip
    for member, name in documents.items():
        if member in names:
            raise _no_table(name)
    return "zip"


def encrypted_workbook() -> FileError:
    return FileError("encrypted", "The workbook is protected with a password. Publish it without one.")


def _ole_kind(path: Path) -> str:
    """What an OLE file holds, by the names in its directory: UTF-16 in any case, each filled up with NULs."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if _stream("EncryptedPackage").search(data):
            raise encrypted_workbook()
        if _stream("Workbook").search(data) or _stream("Book").search(data):
            return XLS
        for stream, what in (("WordDocument", "a Word document"), ("PowerPoint Document", "a PowerPoint presentation")):
            if _stream(stream).search(data):
                raise _no_table(what)
    raise FileError(
        "corrupt", "The file looks like an XLS workbook, but holds none: it is damaged, incomplete or something else."
    )


def _stream(name: str) -> "re.Pattern[bytes]":
    return re.compile(re.escape((name + "\0").encode("utf-16-le")), re.IGNORECASE)


def _is_dbf(head: bytes, size_bytes: int) -> bool:
    """A dBase header: version, a date, and lengths that fit each other and the file."""
    if len(head) < 33 or head[0] not in _DBF_VERSIONS:
        return False
    month, day = head[2], head[3]
    records, header_bytes, record_bytes = struct.unpack_from("<IHH", head, 4)
    if not (month <= 12 and day <= 31 and header_bytes >= 33 and record_bytes >= 1 and header_bytes <= size_bytes):
        return False
    ends = head[header_bytes - 1 : header_bytes] == b"\r" or b"\r" in head[32:header_bytes:32]
    return ends and (b"\x00" in head[:32]) and records * record_bytes < max(size_bytes, 1) * 1000


def _text_kind(head: bytes, hints: Hints) -> str:
    if name := markup(head):
        raise _no_table(name)
    named = hints.named()
    if named == FIXED:
        return FIXED
    if kind := _json_kind(head, named):
        return kind
    if is_binary(head):
        raise FileError(
            "not-tabular",
            "The file is binary data of a kind that is not known here, not a table. Publish the table as CSV or XLSX.",
        )
    # A text that is declared JSON but does not begin like it is whatever it is: most often CSV.
    return TSV if named == TSV else DELIMITED


#: An object or array that begins as only JSON does; `[1] Year,Value` and `{id},{name}` are headers of CSV files.
_SURELY_JSON = re.compile(r"\[\s*(\{\s*[\"}]|\]\s*$)|\{\s*(\"([^\"\\\n]|\\.)*\"\s*:|\}\s*$)")
_MAYBE_JSON = re.compile(r"[\[{\"]|(null|true|false|-?\d[\d.eE+-]*)\s*$")


def _json_kind(head: bytes, named: str | None) -> str | None:
    text = _decoded(head).lstrip(" \t\r\n\x1e")
    if not (_SURELY_JSON.match(text) or (named in (JSON, NDJSON, GEOJSON) and _MAYBE_JSON.match(text))):
        return None
    if re.match(r'\{[^[{]*"type"\s*:\s*"FeatureCollection"', text) or named == GEOJSON:
        return GEOJSON
    if named == NDJSON:
        return NDJSON
    return JSON


#: Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF8, "utf-8"),
)  # fmt: skip


def _decoded(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "ignore")
    wide = wide_encoding(head)
    return head.decode(wide, "ignore") if wide else head.decode("utf-8", "replace")
