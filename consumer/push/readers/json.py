"""JSON: an array of objects, an object that holds one such array, one object a line; GeoJSON as features.

Columns are all keys in order of first appearance. They must be known before the first row, so every source is read
twice: once for the keys, once for the rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar

import ijson

from consumer.push.options import Options
from consumer.push.readers.json_text import any_nested, as_utf8, cells, parsed
from consumer.push.table import Chunk
from schemas.errors import FileError

#: From here on a JSON document is streamed: as Python objects it would take five to eight times its size.
STREAM_FROM_BYTES = 256 * 1024**2
FIRST_BLOCK_ROWS = 1_000
BLOCK_ROWS = 20_000
#: A line longer than this is not looked at to tell NDJSON from JSON.
LINE_BYTES = 1024**2

Record = Mapping[str, Any]
#: Some records and the 1-based number (of record or line) of each.
Block = tuple[Sequence[Record], Sequence[int]]
Item = TypeVar("Item")

#: Key of a feature's geometry in the records here: no property can have it, for names hold no NUL.
GEOMETRY = "\x00geometry"


@dataclass
class JsonRows:
    """Records as a source of rows (`table.Rows`)."""

    format: str
    encoding: str
    keys: Sequence[str]
    given: Mapping[int, str]
    blocks: Callable[[], Iterator[Block]]
    sheet: str | None = None
    error_cells: int = 0
    error_rows: Sequence[int] = ()
    notes: Sequence[str] = ()
    names: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = [key.lstrip("\x00").encode("utf-8", "replace").decode() for key in self.keys]

    @property
    def width(self) -> int:
        return len(self.keys)

    def chunks(self) -> Iterator[Chunk]:
        for records, numbers in self.blocks():
            columns = [
                cells(list(map(methodcaller("get", key), records)), nested=position in self.given)
                for position, key in enumerate(self.keys)
            ]
            yield Chunk.of_columns(columns, numbers)


def open_json(path: Path, format: str, options: Options, folder: Path) -> JsonRows:
    """The records of the file; *format* is what it seems to be (formats.JSON, NDJSON or GEOJSON).

    Raises FileError: not-tabular, corrupt, undecodable, empty.
    """
    path, encoding = as_utf8(path, options, folder)
    if _is_lines(path, format):
        return _rows("NDJSON", encoding, lambda: _line_blocks(path))
    if path.stat().st_size > STREAM_FROM_BYTES:
        return _streamed(path, encoding)
    value = _document(path)
    records, is_geo = _records(value)
    return _rows("GeoJSON" if is_geo else "JSON", encoding, lambda: _blocks(_checked(records)))


def _rows(format: str, encoding: str, blocks: Callable[[], Iterator[Block]]) -> JsonRows:
    keys: dict[str, bool] = {}
    features = format == "GeoJSON"
    if format == "NDJSON":
        features = _all_features(blocks)
    source = partial(_flattened, blocks) if features else blocks
    for records, _ in source():
        for key in dict.fromkeys(chain.from_iterable(records)):
            keys[key] = keys.get(key, False) or any_nested(map(methodcaller("get", key), records))
    if features:
        keys.pop(GEOMETRY, None)
        keys[GEOMETRY] = True
    if not keys:
        raise FileError("empty", "The JSON file has no records: its array is empty.")
    given = {position: "json" for position, nested in enumerate(keys.values()) if nested}
    return JsonRows("GeoJSON" if features else format, encoding, list(keys), given, source)


# ---------------------------------------------------------------------------------------------------------- documents


def _document(path: Path) -> Any:
    try:
        return parsed(path.read_bytes())
    except (ValueError, RecursionError) as error:
        if _first_line_is_array(path):
            raise not_tabular("it has one array a line") from error
        raise FileError(
            "corrupt",
            f"The file begins like JSON, but is none: {_reason(error)}. Check that it is complete.",
        ) from error


def _first_line_is_array(path: Path) -> bool:
    with path.open("rb") as file:
        line = file.readline(LINE_BYTES)
    return isinstance(_value_or_none(line), list)


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _records(value: Any) -> tuple[Sequence[Any], bool]:
    """(the array of objects in a document, whether it is one of GeoJSON features)."""
    if isinstance(value, dict) and value.get("type") == "FeatureCollection" and isinstance(value.get("features"), list):
        return value["features"], True
    if isinstance(value, dict) and value.get("type") == "Feature" and "geometry" in value:
        return [value], True
    if isinstance(value, list) and (not value or isinstance(value[0], dict | None)):
        return value, False
    if isinstance(value, dict):
        return _only_array(value), False
    raise not_tabular("it is not an array of objects")


def _only_array(value: Mapping[str, Any]) -> Sequence[Any]:
    arrays = {key: item for key, item in value.items() if isinstance(item, list)}
    found = {key: item for key, item in arrays.items() if item and isinstance(item[0], dict)}
    if len(found) == 1:
        return next(iter(found.values()))
    if len(found) > 1:
        raise not_tabular(f"it is an object with several arrays of objects ({', '.join(list(found)[:8])})")
    if len(arrays) == 1 and not next(iter(arrays.values())):
        return []
    raise not_tabular("it is an object without an array of objects")


def not_tabular(what: str) -> FileError:
    return FileError(
        "not-tabular",
        f"The file is JSON, but no table: {what}. A table is an array of objects, `[{{…}}, {{…}}]`, an object that holds one"
        " such array, or one object a line.",
    )


def _blocks(records: Iterable[Item], first: int = 1) -> Iterator[tuple[Sequence[Item], Sequence[int]]]:
    stream, size = iter(records), FIRST_BLOCK_ROWS
    while block := list(islice(stream, size)):
        yield block, range(first, first + len(block))
        first, size = first + len(block), BLOCK_ROWS


def _checked(records: Iterable[Any]) -> Iterator[Record]:
    """null stands for a blank row."""
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict) and record is not None:
            raise not_tabular(f"item {number:,} of its array is no object")
        yield record or {}


# ------------------------------------------------------------------------------------------------------------ GeoJSON


def _flattened(blocks: Callable[[], Iterator[Block]]) -> Iterator[Block]:
    for records, numbers in blocks():
        yield [_feature(record) for record in records], numbers


def _feature(record: Record) -> Record:
    if not record:
        return record
    properties = record.get("properties")
    return {**(properties if isinstance(properties, dict) else {}), GEOMETRY: record.get("geometry")}


def _all_features(blocks: Callable[[], Iterator[Block]]) -> bool:
    """Whether lines are GeoJSON features (RFC 8142): the first block tells."""
    records = next(blocks(), ([], []))[0]
    return any(records) and all(record.get("type") == "Feature" and "geometry" in record for record in records if record)


# -------------------------------------------------------------------------------------------------------------- lines


def _is_lines(path: Path, format: str) -> bool:
    """Whether the first two lines with anything on them are objects of their own; one is enough if NDJSON is declared."""
    with path.open("rb") as file:
        lines = (line.strip(b" \t\r\n\x1e") for line in iter(lambda: file.readline(LINE_BYTES), b""))
        first, second = [*islice(filter(None, lines), 2), b"", b""][:2]
    if not first.startswith(b"{") or (second and not second.startswith(b"{")):
        return False
    return (bool(second) or format == "NDJSON") and isinstance(_value_or_none(first), dict)


def _value_or_none(line: bytes) -> Any:
    try:
        return parsed(line)
    except (ValueError, RecursionError):
        return None


def _line_blocks(path: Path) -> Iterator[Block]:
    with path.open("rb") as file:
        for lines, numbers in _blocks(line.strip(b" \t\r\n\x1e") or b"{}" for line in file):
            yield _parsed_lines(lines, numbers), numbers


def _parsed_lines(lines: Sequence[bytes], numbers: Sequence[int]) -> Sequence[Record]:
    """All at once as one array, which is several times faster; line by line only to say which one is wrong."""
    together = _value_or_none(b"[%b]" % b",".join(lines))
    if isinstance(together, list) and len(together) == len(lines) and set(map(type, together)) == {dict}:
        return together
    return [_line_record(line, number) for line, number in zip(lines, numbers, strict=True)]


def _line_record(line: bytes, number: int) -> Record:
    try:
        record = parsed(line)
    except (ValueError, RecursionError) as error:
        raise FileError(
            "corrupt", f"Line {number:,} of the file is not JSON: {_reason(error)}.", details={"Row": number}
        ) from error
    if not isinstance(record, dict):
        raise not_tabular(f"line {number:,} is no object")
    return record


# ------------------------------------------------------------------------------------------------------------ streams


def _streamed(path: Path, encoding: str) -> JsonRows:
    """A document too large for memory; only where its records are is found out by reading it through."""
    prefix, is_geo = _place_of_records(path)

    def blocks() -> Iterator[Block]:
        with path.open("rb") as file:
            yield from _blocks(_checked(_events(ijson.items(file, prefix))))

    return _rows("GeoJSON" if is_geo else "JSON", encoding, blocks)


def _place_of_records(path: Path) -> tuple[str, bool]:
    """(ijson's prefix of the records, whether they are features)."""
    found, is_geo, depth, key = [], False, 0, ""
    with path.open("rb") as file:
        for event, value in _events(ijson.basic_parse(file)):
            if event == "map_key" and depth == 1:
                key = value
            elif event == "string" and depth == 1 and (key, value) == ("type", "FeatureCollection"):
                is_geo = True
            elif event in ("start_map", "start_array"):
                depth += 1
                if (depth, event) == (1, "start_array"):
                    return "item", False
                if (depth, event) == (3, "start_map") and key not in found:
                    found.append(key)
            elif event in ("end_map", "end_array"):
                depth -= 1
    places = ["features"] if is_geo else found
    if len(places) != 1:
        raise not_tabular(f"it is an object with {len(places) or 'no'} arrays of objects")
    return f"{places[0]}.item", is_geo


def _events(events: Iterable[Item]) -> Iterator[Item]:
    try:
        yield from events
    except ijson.JSONError as error:
        raise FileError("corrupt", f"The file begins like JSON, but is none: {error}. Check that it is complete.") from error
