"""The bytes of a zip member as they really are, however many it declares.

By Intel's ISA-L (the package isal), in a third of zlib's time: a workbook's XML is inflated once for its limits to be
looked at and once more by calamine.
"""

import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from typing import IO, cast

from isal import isal_zlib
from isal.igzip_lib import IsalError

from consumer.push.readers.workbook_limits import CHUNK_BYTES, corrupt
from schemas.errors import FileError

#: Compressed bytes taken at a time.
_TAKEN_BYTES = 256 * 1024
#: zlib's word for deflate without a header.
_RAW = -15
#: isal's own types say that its error is none.
_ISAL_ERROR = cast(type[Exception], IsalError)
_DAMAGE = (zipfile.BadZipFile, zlib.error, _ISAL_ERROR, EOFError, OSError, ValueError, NotImplementedError)


def inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> Iterator[bytes]:
    """Raises FileError corrupt or encrypted, in the words for a workbook of the format *what*."""
    try:
        with archive.open(_as_it_is(info)) as member:
            yield from _deflated(member) if info.compress_type == zipfile.ZIP_DEFLATED else _read(member)
    except _DAMAGE as error:
        raise corrupt(what) from error
    except RuntimeError as error:  # "File … is encrypted, password required"
        raise FileError("encrypted", "The workbook is protected with a password. Publish it without one.") from error


def _as_it_is(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Such that zipfile gives deflated bytes untouched, and does not stop at the declared size while other readers go on."""
    honest = copy(info)
    honest.CRC = None  # type: ignore[assignment]
    honest.file_size = 1 << 62
    if info.compress_type == zipfile.ZIP_DEFLATED:
        honest.compress_type, honest.file_size = zipfile.ZIP_STORED, info.compress_size
    return honest


def _read(member: IO[bytes]) -> Iterator[bytes]:
    while chunk := member.read(CHUNK_BYTES):
        yield chunk


def _deflated(member: IO[bytes]) -> Iterator[bytes]:
    inflater = isal_zlib.decompressobj(_RAW)
    while not inflater.eof:
        taken = inflater.unconsumed_tail or member.read(_TAKEN_BYTES)
        chunk = inflater.decompress(taken, CHUNK_BYTES)
        if chunk:
            yield chunk
        elif not taken:
            raise EOFError
