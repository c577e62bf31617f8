"""Rows as the JSON texts that CKAN takes, cut into chunks of a size that it takes.

A record's text is made by Polars, column-wise, and never passes through a Python dict: measured on 20,000 rows × 20
columns, 0.014 s against 0.12 s with dicts and orjson.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson
import polars as pl
import pyarrow as pa

from consumer.push.convert import convert
from consumer.push.convert_few import texts_of
from consumer.push.table import Batch, Column
from consumer.push.values import FEW_ROWS


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the file as one call of CKAN's API sends them."""

    #: How many rows come before it.
    offset: int
    #: A JSON object each.
    records: tuple[str, ...]
    #: Their row numbers in the file.
    row_numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def end(self) -> int:
        return self.offset + len(self)

    @property
    def size_bytes(self) -> int:
        return len(self.json())

    def json(self) -> bytes:
        """The records as a JSON array."""
        return f"[{','.join(self.records)}]".encode()

    def part(self, start: int, stop: int) -> "Chunk":
        return Chunk(self.offset + start, self.records[start:stop], self.row_numbers[start:stop])

    def halves(self) -> tuple["Chunk", "Chunk"]:
        middle = len(self) // 2
        return self.part(0, middle), self.part(middle, len(self))


@dataclass
class ChunkLimits:
    """What one call may carry; lowered when the server refuses a size."""

    rows: int = 10_000
    bytes: int = 8_388_608


def even(rows: int, most: int, connections: int) -> int:
    """Rows of a chunk, at *most* as many, so that several *connections* get equally many chunks of about the same size."""
    if connections == 1 or rows <= most:
        return most
    rounds = -(-rows // (connections * most))
    return -(-rows // (connections * rounds))


def chunks(batches: Iterable[Batch], columns: Sequence[Column], limits: ChunkLimits) -> Iterator[Chunk]:
    """The rows of *batches* in chunks as large as *limits* allows at that moment; a single row may be larger."""
    left = Chunk(0, (), ())
    for batch in batches:
        for part in _parts(batch, limits.rows):
            records = record_texts(part.cells, columns)
            left = Chunk(left.offset, left.records + tuple(records), left.row_numbers + tuple(part.row_numbers))
            while (rows := _fitting(left.records, limits)) < len(left):
                yield left.part(0, rows)
                left = left.part(rows, len(left))
    if len(left):
        yield left


def without(parts: Iterable[Chunk], rows: int) -> Iterator[Chunk]:
    """*parts* without the first *rows* rows."""
    for chunk in parts:
        if chunk.end > rows:
            yield chunk.part(max(0, rows - chunk.offset), len(chunk))


def record_texts(cells: pa.RecordBatch, columns: Sequence[Column]) -> list[str]:
    """A JSON object for each row, with every column's name; values are texts (numbers too: no digit is lost, and
    PostgreSQL reads them itself), NULL is null, columns of type json hold their JSON."""
    if len(cells) <= FEW_ROWS:
        return _few_texts(cells, columns)
    frame = pl.DataFrame(pl.from_arrow(convert(cells, columns)))
    texts = [column.name for column in columns if column.ckan not in ("json", "jsonb")]
    nested = [column.name for column in columns if column.name not in texts]
    whole = pl.struct(texts).struct.json_encode() if texts else pl.lit("{}")
    for name in nested:
        whole = _with_member(whole, name, with_comma=bool(texts) or name != nested[0])
    return frame.select(whole.alias("record"))["record"].to_list()


def _few_texts(cells: pa.RecordBatch, columns: Sequence[Column]) -> list[str]:
    """The same with dicts: few rows are not worth Polars' expressions."""
    values: list[Sequence[object]] = []
    for column in columns:
        texts = texts_of(cells.column(column.position).to_pylist(), column)
        values.append([text and orjson.Fragment(text) for text in texts] if column.ckan in ("json", "jsonb") else texts)
    names = [column.name for column in columns]
    return [orjson.dumps(dict(zip(names, row, strict=True))).decode() for row in zip(*values, strict=True)]


def _with_member(record: pl.Expr, name: str, *, with_comma: bool) -> pl.Expr:
    """The record's text with one more member, whose value is JSON already."""
    key = pl.Series([{name: None}]).struct.json_encode()[0].removeprefix("{").removesuffix("null}")
    return pl.concat_str(
        record.str.head(-1), pl.lit(("," if with_comma else "") + key), pl.col(name).fill_null("null"), pl.lit("}")
    )


def _parts(batch: Batch, rows: int) -> Iterator[Batch]:
    for start in range(0, len(batch), rows):
        yield Batch(batch.cells.slice(start, rows), batch.row_numbers[start : start + rows])


def _fitting(records: Sequence[str], limits: ChunkLimits) -> int:
    """How many of *records*, at least one, go into one call."""
    room = limits.bytes
    for number, record in enumerate(records[: limits.rows]):
        room -= len(record.encode()) + 1
        if room < 0:
            return max(number, 1)
    return min(len(records), limits.rows)
