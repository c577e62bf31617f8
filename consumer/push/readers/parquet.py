"""Parquet, by pyarrow: batch by batch, each column's type taken from the file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from consumer.push.readers.cells import text as cell_text
from consumer.push.readers.json_text import dumped
from consumer.push.table import Chunk
from schemas.errors import FileError

BATCH_ROWS = 50_000
#: Bytes of a column read ahead: without it a whole row group is in memory at once.
BUFFER_BYTES = 8 * 1024**2

#: What pyarrow raises on damaged files; some of its messages are no UTF-8, and it stumbles over them itself.
_DAMAGE = (pa.ArrowException, OSError, UnicodeError)

ToText = Callable[[pa.Array], pa.Array]


@dataclass
class ParquetRows:
    """A Parquet file as a source of rows (`table.Rows`); row numbers are record numbers."""

    path: Path
    names: Sequence[str]
    given: Mapping[int, str]
    texts: Sequence[ToText]
    format: str = "Parquet"
    sheet: str | None = None
    encoding: str | None = None
    error_cells: int = field(default=0)
    error_rows: Sequence[int] = ()
    notes: Sequence[str] = ()

    @property
    def width(self) -> int:
        return len(self.names)

    def chunks(self) -> Iterator[Chunk]:
        first = 1
        try:
            with _opened(self.path) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    columns = [text(column) for text, column in zip(self.texts, batch.columns, strict=True)]
                    yield Chunk.of_columns(columns, range(first, first + batch.num_rows))
                    first += batch.num_rows
        except _DAMAGE as error:
            raise _corrupt(error) from error


def open_parquet(path: Path) -> ParquetRows:
    """Raises FileError: corrupt, encrypted, empty (no columns)."""
    try:
        with _opened(path) as file:
            schema = file.schema_arrow
    except _DAMAGE as error:
        raise _corrupt(error) from error
    if not len(schema):
        raise FileError("empty", "The Parquet file has no columns.")
    kinds = [_kind(column.type) for column in schema]
    return ParquetRows(path, schema.names, {at: rich for at, (rich, _) in enumerate(kinds)}, [text for _, text in kinds])


def _opened(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)


def _corrupt(error: Exception) -> FileError:
    if "encrypt" in str(error).lower() or "decrypt" in str(error).lower():
        return FileError("encrypted", "The Parquet file is encrypted. Publish it without encryption.")
    return FileError(
        "corrupt", "The Parquet file is damaged or incomplete. Upload it again.", details={"Reason": str(error)[:200]}
    )


def _kind(kind: pa.DataType) -> tuple[str, ToText]:
    """(rich type, how to make its text) of an Arrow type."""
    if pa.types.is_dictionary(kind):
        rich, text = _kind(kind.value_type)
        return rich, lambda column: text(column.cast(kind.value_type))
    if pa.types.is_nested(kind):
        return "json", _nested
    for is_kind, rich, text in _KINDS:
        if is_kind(kind):
            return rich, text
    return "text", _other


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _float(column: pa.Array) -> pa.Array:
    numbers = pl.Series(pl.from_arrow(column.cast(pa.float64() if column.type == pa.float16() else column.type)))
    return numbers.set(~numbers.is_finite(), None).cast(pl.String).to_arrow().cast(pa.string())


def _date(column: pa.Array) -> pa.Array:
    return _iso(column.cast(pa.timestamp("us"), safe=False), date_only=True)


def _timestamp(column: pa.Array) -> pa.Array:
    """UTC, without its zone: Arrow keeps zoned timestamps in UTC. Nanoseconds are cut to microseconds."""
    return _iso(column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.timestamp("us")), date_only=False)


def _iso(moments: pa.Array, *, date_only: bool) -> pa.Array:
    series = pl.Series(pl.from_arrow(moments))
    # PostgreSQL's input and tables.md know the years 1 to 9999 only.
    series = series.set(~series.dt.year().is_between(1, 9999), None)
    whole = date_only or not (series.dt.microsecond() != 0).any()
    layout = "%Y-%m-%d" if date_only else "%Y-%m-%dT%H:%M:%S" if whole else "%Y-%m-%dT%H:%M:%S%.6f"
    return series.dt.to_string(layout).to_arrow().cast(pa.string())


def _time(column: pa.Array) -> pa.Array:
    moments = column.cast(pa.time64("us"), safe=False)
    try:
        return moments.cast(pa.time32("s")).cast(pa.string())
    except pa.ArrowInvalid:
        return moments.cast(pa.string())


def _nested(column: pa.Array) -> pa.Array:
    values = column.to_pylist(maps_as_pydicts="lossy")
    return pa.array([None if value is None else dumped(_json_safe(value)) for value in values], pa.string())


def _json_safe(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if isinstance(value, bytes):
        return _bytes_text(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _binary(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if value is None else _bytes_text(value) for value in column.to_pylist()], pa.string())


def _bytes_text(value: bytes) -> str:
    """UTF-8 if it is, else hexadecimal as PostgreSQL writes bytes."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "\\x" + value.hex()


def _duration(column: pa.Array) -> pa.Array:
    """As a spreadsheet's `[h]:mm:ss`."""
    return pa.array(list(map(cell_text, column.cast(pa.duration("us"), safe=False).to_pylist())), pa.string())


def _other(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str, ToText], ...] = (
    (_is_text, "text", _plain),
    (pa.types.is_boolean, "boolean", partial(pc.cast, target_type=pa.string())),
    (pa.types.is_integer, "integer", _plain),
    (pa.types.is_floating, "decimal", _float),
    (pa.types.is_decimal, "decimal", _plain),
    (pa.types.is_date, "date", _date),
    (pa.types.is_timestamp, "timestamp", _timestamp),
    (pa.types.is_time, "time", _time),
    (pa.types.is_duration, "text", _duration),
    (_is_binary, "text", _binary),
)
