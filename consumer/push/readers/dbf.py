"""dBase tables (DBF), by dbfread; values are taken from the bytes themselves, so that no digit is lost."""

import datetime
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dbfread import DBF, FieldParser
from dbfread.codepages import guess_encoding

from consumer.push.options import Options
from consumer.push.readers.cells import texts
from consumer.push.readers.legacy import detected
from consumer.push.table import Chunk
from schemas.errors import FileError

CHUNK_ROWS = 20_000
#: Bytes of texts that tell the encoding.
EVIDENCE_BYTES = 64 * 1024
#: Fields whose values are in a second file: memos, pictures, documents.
_MEMO_TYPES = "MGPB"
#: What dbfread raises on damaged files besides its own errors.
_DAMAGE = (ValueError, struct.error, IndexError, KeyError, TypeError, EOFError, UnicodeError, OverflowError)


@dataclass
class DbfRows:
    """A DBF as a source of rows (`table.Rows`). Row numbers count the records that are not deleted.

    Character and memo columns are text (`given`); the others are inferred from what they hold, because a numeric
    column's declared decimals are often wrong.
    """

    path: Path
    encoding: str
    names: Sequence[str]
    given: Mapping[int, str]
    format: str = "DBF"
    sheet: str | None = None
    error_cells: int = 0
    error_rows: Sequence[int] = ()
    notes: Sequence[str] = ()

    @property
    def width(self) -> int:
        return len(self.names)

    def chunks(self) -> Iterator[Chunk]:
        records, first = self._records(), 1
        while some := list(islice(records, CHUNK_ROWS)):
            yield Chunk.of_columns([texts(column) for column in zip(*some, strict=True)], range(first, first + len(some)))
            first += len(some)

    def _records(self) -> Iterator[list[object]]:
        try:
            table = _table(self.path, self.encoding)
            for record in table:
                yield [value for _, value in record]
        except UnicodeDecodeError as error:
            raise _undecodable(error, self.encoding) from error
        except _DAMAGE as error:
            raise _corrupt(error) from error


def open_dbf(path: Path, options: Options) -> DbfRows:
    """Raises FileError: corrupt, undecodable, empty (no columns)."""
    _check_length(path)
    try:
        encoding = options.encoding or _encoding(path)
        table = _table(path, encoding)
        fields = table.fields
    except _DAMAGE as error:
        raise _corrupt(error) from error
    if not fields:
        raise FileError("empty", "The DBF file has no columns.")
    given = {position: "text" for position, one in enumerate(fields) if one.type in "CM"}
    return DbfRows(path, encoding, [one.name for one in fields], given, notes=_missing_memos(table))


def _missing_memos(table: Any) -> list[str]:
    names = [one.name for one in table.fields if one.type in _MEMO_TYPES and table.memofilename is None]
    if not names:
        return []
    return [f"The file that goes with this DBF (.dbt or .fpt) is not here: what it holds of {', '.join(names)} is NULL."]


def _table(path: Path, encoding: str) -> Any:
    # Records as lists of pairs, not dicts: two columns may have the same name.
    return DBF(path, encoding=encoding, parserclass=_Parser, recfactory=list, ignore_missing_memofile=True, load=False)


def _encoding(path: Path) -> str:
    """UTF-8 if all text is; else the one its language driver names, else what the text looks like. The driver comes
    second because most programs that write UTF-8 leave another one in the header."""
    try:
        for _ in _table(path, "utf-8"):
            pass
        return "utf-8"
    except UnicodeDecodeError:
        with path.open("rb") as file:
            driver = file.read(30)[29]
    try:
        return str(guess_encoding(driver)) if driver else detected(_texts(path))
    except LookupError:
        return detected(_texts(path))


def _texts(path: Path) -> bytes:
    """Some of the values with bytes above ASCII."""
    evidence = bytearray()
    for record in _table(path, "latin-1"):
        found = (value.encode("latin-1") for _, value in record if isinstance(value, str) and not value.isascii())
        evidence += b"".join(one + b"\n" for one in found)
        if len(evidence) > EVIDENCE_BYTES:
            break
    return bytes(evidence)


def _check_length(path: Path) -> None:
    """Raises FileError corrupt for a file that is cut off: fewer records than its header says, and no mark of an end."""
    with path.open("rb") as file:
        records, header_bytes, record_bytes = struct.unpack_from("<IHH", file.read(12).ljust(12, b"\0"), 4)
        whole = max(0, path.stat().st_size - header_bytes) // max(1, record_bytes)
        file.seek(header_bytes + whole * record_bytes)
        if whole < records and file.read(1) != b"\x1a":
            raise _corrupt(EOFError(f"it has {whole:,} of {records:,} records"))


class _Parser(FieldParser):  # type: ignore[misc]
    """Values as `cells.texts` takes them. Numbers stay the text they are in the file."""

    def parseN(self, field: Any, data: bytes) -> str | None:
        text = data.split(b"\x00")[0].strip(b" \t*").replace(b",", b".").decode("ascii", "replace")
        if not text.strip("+-."):
            return None  # how some programs write that there is no number
        sign, digits = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
        whole = digits.lstrip("0")
        plain = whole if whole[:1].isdigit() else f"0{whole}"
        return sign.replace("+", "") + plain

    parseF = parseN

    def parseD(self, field: Any, data: bytes) -> datetime.date | None:
        text = data.strip(b" \x00")
        try:
            return datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        except ValueError:
            return None  # blank, or the zeros that many programs write for it

    def parseL(self, field: Any, data: bytes) -> bool | None:
        return {b"T": True, b"Y": True, b"F": False, b"N": False}.get(data.strip().upper())

    def parse0(self, field: Any, data: bytes) -> None:
        """_NullFlags: for the program, not for readers."""


def _undecodable(error: UnicodeDecodeError, encoding: str) -> FileError:
    return FileError(
        "undecodable",
        f"The texts of the DBF file cannot be read as {encoding}: {error.reason}. The option encoding can name another"
        " encoding.",
    )


def _corrupt(error: Exception) -> FileError:
    return FileError("corrupt", "The DBF file is damaged or incomplete.", details={"Reason": str(error)[:200]})
