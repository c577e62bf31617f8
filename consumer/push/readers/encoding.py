"""Which encoding a text file is in (tables.md §2), and its bytes as UTF-8."""

import codecs
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from consumer.push.options import Options
from consumer.push.readers.legacy import detected
from consumer.push.table import Tally
from consumer.push.wide_text import wide_encoding
from schemas.errors import FileError

#: Bytes read at once while looking through the whole file.
_READ_BYTES = 1 << 20

#: Bytes of lines that are collected for the detector, and how far it is looked for them.
_EVIDENCE_BYTES = 64 << 10
_WINDOW_BYTES = 16 << 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """*name* is Python's; *skip* the bytes of the byte order mark."""

    name: str
    skip: int = 0

    @property
    def is_utf8(self) -> bool:
        return codecs.lookup(self.name).name == "utf-8"


def find_encoding(path: Path, options: Options) -> Encoding:
    """The encoding of the file: *encoding*, its byte order mark, UTF-16 and UTF-32 by their NULs, UTF-8 if all of it is
    valid, else a legacy one. A file said to be UTF-8 is one to its last byte, unless *encoding_errors* is `replace`.
    Raises FileError("empty") for no bytes, ("undecodable") for bytes that are no UTF-8 where only that can be."""
    with path.open("rb") as file:
        head = file.read(_READ_BYTES)
    if not head:
        raise FileError("empty", "The file is empty (0 bytes).")
    bom = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), None)
    if options.encoding:
        return _checked(path, _named(options.encoding, head), options)
    if bom:
        return _checked(path, Encoding(bom[1], len(bom[0])), options)
    if wide := wide_encoding(head):
        return Encoding(wide)
    offset = first_invalid(path)
    if offset is None or (options.encoding_errors == "replace" and _few_invalid(head, offset)):
        return Encoding("utf-8")
    return Encoding(_legacy(path, offset))


def _checked(path: Path, encoding: Encoding, options: Options) -> Encoding:
    """*encoding*, if UTF-8 is not claimed wrongly."""
    if encoding.is_utf8 and options.encoding_errors == "strict":
        offset = first_invalid(path, encoding.skip)
        if offset is not None:
            with path.open("rb") as file:
                file.seek(offset)
                raise undecodable(encoding.name, offset, file.read(1))
    return encoding


def _named(encoding: str, head: bytes) -> Encoding:
    """The encoding that was asked for; `utf-16` and `utf-32` say nothing of the order of bytes."""
    plain = codecs.lookup(encoding).name.removesuffix("-sig")
    unordered = plain in ("utf-16", "utf-32")
    for mark, name in _BOMS:
        if head.startswith(mark) and (name == plain or (unordered and name.startswith(plain))):
            return Encoding(name, len(mark))
    wide = wide_encoding(head) or ""
    return Encoding(plain if not unordered else wide if wide.startswith(plain) else f"{plain}-le")


def first_invalid(path: Path, start: int = 0) -> int | None:
    """Offset of the first byte that is no UTF-8, or None."""
    offset, rest = start, b""
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_READ_BYTES):
            data = rest + block if rest else block
            whole = len(data) if data.isascii() else _whole_characters(data)
            if not data.isascii() and not _is_utf8(memoryview(data)[:whole]):
                return offset + _first_invalid_in(data[:whole])
            offset, rest = offset + whole, data[whole:]
    return offset if rest else None


def _whole_characters(data: bytes) -> int:
    """Where the last character that may go on behind *data* starts; len(data) if there is none."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if needed > back else len(data)
        if byte < 0x80:
            break
    return len(data)


def _is_utf8(data: bytes | memoryview) -> bool:
    """By Arrow, several times as fast as Python's decoder."""
    offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    binary = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        binary.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _first_invalid_in(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    raise AssertionError("Arrow and Python disagree on what UTF-8 is")


def _few_invalid(head: bytes, offset: int) -> bool:
    """With *encoding_errors* `replace`: the text is UTF-8 with some bad bytes if more of it is valid UTF-8 than not."""
    text = head.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(1 for one in text[: 1 << 16] if ord(one) > 127) - bad
    return good > bad


def _legacy(path: Path, offset: int) -> str:
    """Detected from lines that are no UTF-8, from the first invalid byte on: the head is usually ASCII."""
    with path.open("rb") as file:
        file.seek(max(0, offset - 200))
        window = file.read(_WINDOW_BYTES)
    evidence = bytearray()
    for line in window.splitlines(keepends=True):
        if not line.isascii() and not _is_utf8(line):
            evidence += line
        if len(evidence) > _EVIDENCE_BYTES:
            break
    return detected(bytes(evidence))


def utf8_blocks(path: Path, encoding: Encoding, options: Options, tally: Tally, size_bytes: int) -> Iterator[bytes]:
    """The file from its start as blocks of valid UTF-8 (cut anywhere), without byte order mark and
    NULs, which *tally* counts. Raises FileError("undecodable") naming the byte."""
    for block in _decoded(path, encoding, options, tally, size_bytes):
        if b"\x00" in block:
            tally.nul_removed += block.count(b"\x00")
            block = block.replace(b"\x00", b"")
        if block:
            yield block


def _decoded(path: Path, encoding: Encoding, options: Options, tally: Tally, size_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(encoding.skip)
        if encoding.is_utf8 and options.encoding_errors == "strict":
            # find_encoding has seen that every byte is right.
            while block := file.read(size_bytes):
                yield block
            return
        decoder = codecs.getincrementaldecoder(encoding.name)(options.encoding_errors)
        offset = encoding.skip
        while block := file.read(size_bytes):
            yield _transcoded(decoder, block, offset, encoding, tally)
            offset += len(block)
        yield _transcoded(decoder, b"", offset, encoding, tally)


def _transcoded(decoder: codecs.IncrementalDecoder, block: bytes, offset: int, encoding: Encoding, tally: Tally) -> bytes:
    state = decoder.getstate()[0]
    pending = len(state)
    try:
        text = decoder.decode(block, final=not block)
        data = text.encode("utf-8")
    except UnicodeDecodeError as error:
        raise undecodable(encoding.name, offset - pending + error.start, error.object[error.start : error.end]) from None
    except UnicodeEncodeError:
        raise undecodable(encoding.name, offset, b"") from None
    if "\ufffd" in text:
        own = (state + block).count(b"\xef\xbf\xbd") if encoding.is_utf8 else 0
        tally.undecodable += max(0, text.count("\ufffd") - own)
    return data


def undecodable(encoding: str, offset: int, found: bytes) -> FileError:
    shown = " ".join(f"0x{one:02x}" for one in found[:4])
    return FileError(
        "undecodable",
        f"The byte at offset {offset:,} ({shown}) is no {encoding}. Save the file as UTF-8, or name its encoding with "
        "the option encoding, or set encoding_errors to replace.",
        details={"Offset": offset, "Encoding": encoding},
    )
