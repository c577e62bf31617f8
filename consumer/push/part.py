"""Rows on their way into a batch: cells trimmed, empty ones NULL, in Arrow's and in Polars' form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from consumer.push.header import WHITESPACE
from consumer.push.readers.tolerant import Parsed, record_batch


@dataclass(frozen=True)
class Part:
    """Some rows in both forms, with their numbers."""

    frame: pl.DataFrame
    cells: pa.RecordBatch
    numbers: Sequence[int]

    @classmethod
    def of(cls, piece: Parsed, unstripped: frozenset[int]) -> "Part":
        """Cells trimmed, but not those of the *unstripped* columns, and "" as null."""
        columns = piece.cells.columns
        trimmed = (one if position in unstripped else _trimmed(one) for position, one in enumerate(columns))
        cells = record_batch(_without_empty(one) for one in trimmed)
        return cls(pl.DataFrame(pl.from_arrow(cells)), cells, piece.row_numbers)

    def where(self, keep: pl.Series) -> "Part":
        indices = keep.arg_true().to_list()
        numbers = [int(self.numbers[index]) for index in indices]
        return Part(self.frame.filter(keep), self.cells.take(pa.array(indices, pa.int64())), numbers)

    def replaced(self) -> Iterator[int]:
        """Numbers of the rows with characters that stand for undecodable bytes."""
        marked = self.frame.select(pl.any_horizontal(pl.all().str.contains("\ufffd", literal=True))).to_series()
        return (self.numbers[index] for index in marked.fill_null(False).arg_true())

    def head(self, rows: int) -> "Part":
        return Part(self.frame.head(rows), self.cells.slice(0, rows), self.numbers[:rows])


def _trimmed(cells: pa.Array) -> pa.Array:
    return pc.utf8_trim(cells, characters=WHITESPACE) if _may_be_padded(cells) else cells


def _may_be_padded(cells: pa.Array) -> bool:
    """Whether any cell starts or ends with a byte that white space starts or ends with. Looking at these two bytes costs
    a quarter of trimming, and few columns need it."""
    _, offsets, data = cells.buffers()
    if data is None or not data.size:
        return False
    borders = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    text = np.frombuffer(data, np.uint8)
    leading, trailing = _white_bytes()
    # Of an empty cell the neighbours' bytes are looked at, which does no harm.
    first, last = text.take(borders[:-1], mode="clip"), text.take(borders[1:] - 1, mode="clip")
    return bool(leading.take(first).any() or trailing.take(last).any())


@cache
def _white_bytes() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each byte whether some white space starts, and ends, with it in UTF-8."""
    leading, trailing = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
    for character in WHITESPACE:
        data = character.encode()
        leading[data[0]] = trailing[data[-1]] = True
    return leading, trailing


def _without_empty(cells: pa.Array) -> pa.Array:
    """ "" as null."""
    lengths = pc.binary_length(cells)
    if pc.min(lengths).as_py() != 0:
        return cells
    return pc.if_else(pc.not_equal(lengths, 0), cells, pa.scalar(None, cells.type))
