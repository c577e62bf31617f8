"""Unpacks gzip, bz2, xz, zstd and zip: one file in, one file out, never more than the limits allow."""

import bz2
import errno
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from consumer.push.formats import extension
from schemas.errors import FileError
from schemas.settings import Settings

CHUNK_BYTES = 1024**2
#: Below this unpacked size no ratio is suspicious: a table of zeros may well shrink a thousandfold.
RATIO_FLOOR_BYTES = 64 * 1024**2
#: Memory that an xz file may ask for; `xz -9` needs 65 MiB.
XZ_MEMORY_BYTES = 256 * 1024**2
#: zstd is fed in small pieces, for it gives all it can at once: four bytes may stand for 128 KiB.
ZSTD_INPUT_BYTES = 4096


@dataclass(frozen=True)
class UnpackLimits:
    """MAX_EXPANDED_LENGTH and MAX_EXPANSION_RATIO."""

    max_bytes: int = 16 * 1024**3
    max_ratio: int = 200

    @classmethod
    def of(cls, settings: Settings) -> "UnpackLimits":
        return cls(settings.max_expanded_length, settings.max_expansion_ratio)


@dataclass(frozen=True)
class Unpacked:
    """*name* is what the archive calls the file, None where it does not."""

    path: Path
    name: str | None


def unpack(path: Path, kind: str, into: Path, *, member: str | None, limits: UnpackLimits) -> Unpacked:
    """The data file in the container *path* of *kind* (formats.CONTAINERS), written to *into*.

    Raises FileError: corrupt, encrypted, too-large; not-tabular (an archive without data), ambiguous-archive (with
    several, and no *member*), bad-option (no such member).
    """
    if kind == "zip":
        return _unzip(path, into, member, limits)
    _write(_decompressed(path, kind), into, path.stat().st_size, limits)
    return Unpacked(into, None)


def _write(chunks: Iterator[bytes], into: Path, packed_bytes: int, limits: UnpackLimits) -> None:
    done_bytes = 0
    with into.open("wb") as file:
        for chunk in chunks:
            done_bytes += len(chunk)
            _check(done_bytes, packed_bytes, limits)
            file.write(chunk)


def _check(done_bytes: int, packed_bytes: int, limits: UnpackLimits) -> None:
    if done_bytes > limits.max_bytes:
        raise FileError(
            "too-large",
            f"The archive holds more than {limits.max_bytes:,} bytes, the most that is unpacked (the setting"
            " DATAPUSHER_MAX_EXPANDED_LENGTH).",
        )
    if done_bytes > max(RATIO_FLOOR_BYTES, packed_bytes * limits.max_ratio):
        raise FileError(
            "too-large",
            f"The archive unpacks to more than {limits.max_ratio} times its size, which is the limit (the setting"
            " DATAPUSHER_MAX_EXPANSION_RATIO). Publish the file unpacked.",
        )


def _decompressed(path: Path, kind: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from _STREAMS[kind](file)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, ValueError) as error:
        # gzip.BadGzipFile and bz2's complaints are OSErrors; so is a disk error, which is not the file's fault.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileError(
            "corrupt", f"The {kind} file is damaged or incomplete. Pack it again and upload it anew.",
            details={"Reason": str(error)[:200]},
        ) from error  # fmt: skip


def _gzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _bz2(file: BinaryIO) -> Iterator[bytes]:
    with bz2.BZ2File(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _xz(file: BinaryIO) -> Iterator[bytes]:
    """By hand, because lzma.LZMAFile has no limit for the memory a file may ask for. Several streams may follow."""
    data = file.read(CHUNK_BYTES)
    while data.strip(b"\x00"):
        decompressor = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)
        while not decompressor.eof:
            chunk = decompressor.decompress(data, CHUNK_BYTES)
            data = file.read(CHUNK_BYTES) if decompressor.needs_input else b""
            if not chunk and not data and decompressor.needs_input:
                raise EOFError("the file ends in the middle of a stream")
            yield chunk
        data = decompressor.unused_data + data or file.read(CHUNK_BYTES)


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame: zstandard's stream reader ends quietly where a frame is cut off."""
    decompressor, unfinished = zstandard.ZstdDecompressor().decompressobj(), False
    while data := file.read(ZSTD_INPUT_BYTES):
        while data:
            yield decompressor.decompress(data)
            unfinished = not decompressor.eof
            data = decompressor.unused_data
            if decompressor.eof:
                decompressor = zstandard.ZstdDecompressor().decompressobj()
    if unfinished:
        raise EOFError("the file ends in the middle of a frame")


_STREAMS: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {"gzip": _gzip, "bz2": _bz2, "xz": _xz, "zstd": _zstd}

_DATA = frozenset("csv tsv tab psv xls xlsx xlsm xlsb ods json ndjson jsonl geojson geojsonl parquet dbf".split())
_ARCHIVES = frozenset("zip gz gzip bz2 xz zst 7z rar tar tgz tbz txz z".split())
#: Never data: parts of a shapefile, papers and pictures that come along.
_NO_DATA = frozenset(
    "prj shp shx cpg sbn sbx qix qpj qmd dbt fpt xml xsd xsl html htm pdf doc docx odt rtf md rst ppt pptx png jpg jpeg gif svg"
    " tif tiff bmp webp ico mp3 mp4 avi mov wav py r js css sql exe dll bat sh log url lnk ini yml yaml sas sps do".split()
)
#: Papers that come along without an extension, or as text.
_PAPER = re.compile(
    r"(read[ _-]?me|licen[cs]e|copying|copyright|notice|authors|changelog|manifest)(?![a-z])[^.]*(\.txt)?$", re.I
)


def _unzip(path: Path, into: Path, wish: str | None, limits: UnpackLimits) -> Unpacked:
    try:
        with zipfile.ZipFile(path) as archive:
            info = _wished(archive, wish) if wish else _only_data(archive)
            _refuse_nested(info.filename)
            _write(_member(archive, info), into, max(info.compress_size, 1), limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, lzma.LZMAError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: sought before the beginning
            raise
        raise FileError("corrupt", "The zip archive is damaged or incomplete. Pack it again and upload it anew.") from error
    return Unpacked(into, info.filename)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.flag_bits & 0x1:
        raise FileError("encrypted", f'The file "{info.filename}" in the zip archive needs a password. Publish it without.')
    try:
        with archive.open(info) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except NotImplementedError as error:
        raise FileError(
            "corrupt",
            f'The file "{info.filename}" in the zip archive is packed in an uncommon way ({error}). Pack it with Deflate.',
        ) from error


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in archive.infolist() if info.filename and not info.is_dir() and not _is_hidden(info.filename)]


def _is_hidden(name: str) -> bool:
    parts = [part for part in re.split(r"[/\\]", name) if part not in (".", "..")]
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or parts[-1].startswith("~$") or parts[-1].lower() in ("thumbs.db", "desktop.ini")


def _wished(archive: zipfile.ZipFile, wish: str) -> zipfile.ZipInfo:
    """The member of that full name, else the only one whose last part is it."""
    files = [info for info in archive.infolist() if info.filename and not info.is_dir()]
    exact = [info for info in files if info.filename == wish]
    found = exact or [info for info in files if info.filename.rsplit("/", 1)[-1] == wish]
    if len(found) == 1 or exact:
        return found[0]
    raise FileError(
        "bad-option",
        f'The zip archive has {"several files" if found else "no file"} named "{wish}". It holds {_shown(files)}.',
        details={"Option": "member"},
    )


def _only_data(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = _files(archive)
    kinds = {info.filename: extension(info.filename.rsplit("/", 1)[-1]) for info in files}
    sure = [info for info in files if kinds[info.filename] in _DATA]
    maybe = [info for info in files if kinds[info.filename] not in _NO_DATA | _ARCHIVES]
    packed = [info for info in files if kinds[info.filename] in _ARCHIVES]
    other = [info for info in maybe if not _PAPER.match(info.filename.rsplit("/", 1)[-1])]
    telling = [info for info in other if kinds[info.filename] not in ("", "txt")]
    found = sure or telling or other or maybe or packed
    if not found:
        holds = f"it holds {_shown(files)}" if files else "it is empty"
        raise FileError("not-tabular", f"The file is a zip archive without a table: {holds}. Publish the table as CSV or XLSX.")
    if len(found) > 1:
        raise FileError(
            "ambiguous-archive",
            f"The zip archive holds {len(found)} files that could be the table: {_shown(found)}. The option member names"
            " the one to load; or publish one archive for each.",
            details={"Option": "member"},
        )
    return found[0]


def _refuse_nested(name: str) -> None:
    if extension(name) in _ARCHIVES:
        raise nested(name)


def nested(name: str | None) -> FileError:
    """The error for an archive in an archive."""
    inner = f'"{name}"' if name else "another one"
    return FileError(
        "not-tabular", f"The file is an archive that holds an archive ({inner}). Publish the table packed once or not at all."
    )


def _shown(files: list[zipfile.ZipInfo]) -> str:
    names = [f'"{info.filename}"' for info in files[:8]]
    return ", ".join(names) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
