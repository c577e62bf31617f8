"""What is kept of a column that has too many distinct values to count them one by one (profiler.py)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

#: Hashes kept for the estimate; its error is about 1 / sqrt(of it): 3 %.
_HASHES = 1_024

#: Rows whose values are all counted for the most frequent ones; of later rows every n-th is. A prime, lest rows that
#: come in rounds (one of each station, again and again) are always the same station's.
_COUNTED_ROWS = 20_000
_EVERY = 127

#: Of these every n-th rows, that must have a value for its number to be told: it is right within some 30 % then.
_SEEN = 10

#: Values whose counts are kept in hand.
KEPT = 2_000

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float64]


@dataclass
class Moments:
    """Of numbers, as floats: good to about fifteen digits, enough to look at. *squares*: of the distances from the mean."""

    count: float = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float | None = None
    most: float | None = None

    def add(self, other: "Moments") -> None:
        """Without loss of digits, however far from zero the numbers are (Chan, Golub, LeVeque 1979)."""
        if not other.count or other.least is None or other.most is None:
            return
        total, distance = self.count + other.count, other.mean - self.mean
        self.squares += other.squares + distance * distance * self.count * other.count / total
        self.mean += distance * other.count / total
        self.count = total
        self.least = other.least if self.least is None else min(self.least, other.least)
        self.most = other.most if self.most is None else max(self.most, other.most)

    def profile(self) -> dict[str, Any]:
        if not self.count or not isfinite(self.squares):
            return {}
        return {"mean": self.mean, "stddev": sqrt(self.squares / self.count)}


@dataclass
class Many:
    """Of one column. *sample*: values and how often they are there, estimated."""

    sample: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    texts: tuple[str, str] | None = None  #: least and greatest
    lengths: tuple[int, int] | None = None
    moments: Moments = field(default_factory=Moments)
    _hashes: list[Hashes] = field(default_factory=list)
    _kept: int = 0
    _highest: np.uint64 | None = None  #: of _HASHES kept ones

    def add_hashes(self, hashes: Hashes) -> None:
        if self._highest is not None:
            hashes = hashes[hashes < self._highest]
        self._hashes.append(hashes)
        self._kept += len(hashes)
        if self._kept > 4 * _HASHES:
            self._lowest()

    def _lowest(self) -> Hashes:
        every = np.sort(np.concatenate([*self._hashes, np.empty(0, np.uint64)]))
        first = np.append(True, every[1:] != every[:-1])[: len(every)]  # np.unique is much slower than the sort
        lowest: Hashes = every[first & (every != _null_hash())][:_HASHES]
        self._hashes, self._kept = [lowest], len(lowest)
        self._highest = lowest[-1] if len(lowest) == _HASHES else None
        return lowest

    @property
    def distinct(self) -> int:
        """Estimated: hashes are spread evenly over 64 bits, so the place of the k-th smallest tells how many there are; no
        more than there are rows."""
        lowest = self._lowest()
        if self._highest is None:
            return len(lowest)
        return min(self.rows, round((_HASHES - 1) * 2.0**64 / float(self._highest)))

    def count_all(self, column: pl.Series, hashes: pl.Series) -> None:
        """The values that are there more than once."""
        repeated = column.filter(hashes.is_duplicated())  # few of them, which are counted sooner than all
        often = repeated.value_counts(name="times").filter(pl.col("times") > 1).top_k(KEPT, by="times")
        for value, times in often.iter_rows():
            if value is not None:
                self.sample[value] += times
        self._shorten()

    def count_some(self, values: Sequence[str | None]) -> None:
        """Those of every _EVERY-th row."""
        sample = self.sample
        for value in values:
            if value is not None:
                sample[value] += _EVERY
        self._shorten()

    def _shorten(self) -> None:
        if len(self.sample) > 2 * KEPT:
            self.sample = Counter({value: times for value, times in self.sample.items() if times > _EVERY})
        if len(self.sample) > 2 * KEPT:
            self.sample = Counter(dict(self.sample.most_common(KEPT)))

    def frequent(self) -> list[tuple[str, int]]:
        """Values that are seen often enough for an estimate, most frequent first."""
        least = _SEEN * _EVERY if self.rows > _COUNTED_ROWS else 2
        return sorted((one for one in self.sample.items() if one[1] >= least), key=lambda one: (-one[1], one[0]))

    def carry(self, counts: Counter[str], numeric: bool) -> None:
        """What was counted one by one until now."""
        often = sorted(counts.items(), key=lambda one: (one[1], one[0]), reverse=True)[:KEPT]
        self.sample = Counter(dict(often))
        self.rows = counts.total()
        values, times = pl.Series(list(counts), dtype=pl.String), pl.Series(list(counts.values()))
        self.add_hashes(values.hash().to_numpy())
        self.widen((str(values.min()), str(values.max())), lengths_of(values.to_arrow(compat_level=pl.CompatLevel.oldest())))
        if numeric:
            self.moments.add(moments_of(values.to_frame(), times)[0])

    def widen(self, texts: tuple[str, str], lengths: tuple[int, int]) -> None:
        self.texts, self.lengths = _wider(self.texts, texts), _wider(self.lengths, lengths)


@cache
def _null_hash() -> np.uint64:
    """What Polars makes of NULL."""
    return np.uint64(pl.Series([None], dtype=pl.String).hash()[0])


def _wider(known: tuple[Any, Any] | None, seen: tuple[Any, Any]) -> tuple[Any, Any]:
    return seen if known is None else (min(known[0], seen[0]), max(known[1], seen[1]))


def see(columns: Mapping[int, Many], frame: pl.DataFrame, cells: pa.RecordBatch, numeric: Collection[int]) -> None:
    """One batch, in both forms, of all columns with many values; those in *numeric* still may be plain numbers."""
    positions = [position for position, many in columns.items() if cells.column(position).null_count < len(frame)]
    if not positions:
        return
    hashed = frame.select(pl.nth(positions).hash()).get_columns()
    for position, hashes in zip(positions, hashed, strict=True):
        columns[position].add_hashes(hashes.to_numpy())
    numbers = [position for position in positions if position in numeric]
    if numbers:
        found = moments_of(pl.DataFrame([_as_numbers(frame, cells, position) for position in numbers]))
        for position, moments in zip(numbers, found, strict=True):
            columns[position].moments.add(moments)
    for position, texts in zip(positions, _ranges(frame.select(pl.nth(positions))), strict=True):
        columns[position].widen(texts, lengths_of(cells.column(position)))
    _count(columns, positions, frame, hashed)


def _as_numbers(frame: pl.DataFrame, cells: pa.RecordBatch, position: int) -> pl.Series:
    """The texts of one column as floats, null where they are none: by Arrow, if it takes them all, in half the time."""
    try:
        return pl.Series(str(position), pl.from_arrow(pc.cast(cells.column(position), pa.float64())))
    except pa.ArrowInvalid:
        return frame.to_series(position).cast(pl.Float64, strict=False).alias(str(position))


def _count(columns: Mapping[int, Many], positions: Sequence[int], frame: pl.DataFrame, hashed: Sequence[pl.Series]) -> None:
    """For the most frequent values."""
    some = frame.select(pl.nth(positions).gather_every(_EVERY)).get_columns()
    for position, values, hashes in zip(positions, some, hashed, strict=True):
        many = columns[position]
        if many.rows < _COUNTED_ROWS:
            many.count_all(frame.to_series(position), hashes)
        else:
            many.count_some(values.to_list())
        many.rows += len(frame)


def _ranges(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """Least and greatest text of each column, none of them all NULL."""
    asked = frame.select(pl.all().min().name.suffix(" least"), pl.all().max().name.suffix(" most"))
    found = asked.row(0)
    return list(zip(found[: frame.width], found[frame.width :], strict=True))


def moments_of(frame: pl.DataFrame, weights: pl.Series | None = None) -> list[Moments]:
    """Of each column's texts that are numbers; *weights* tell how often each is there."""
    numbers = frame.select(pl.all().cast(pl.Float64, strict=False))
    if weights is not None:
        times = weights.cast(pl.Float64).to_numpy()
        return [weighed(column.fill_null(float("nan")).to_numpy(), times) for column in numbers.get_columns()]
    found = _moments(numbers)
    if all(isfinite(one.squares) for one in found):
        return found
    return _moments(numbers.select(pl.when(pl.all().is_finite()).then(pl.all())))  # a null token may be NaN, and 1e999 infinite


def _moments(numbers: pl.DataFrame) -> list[Moments]:
    asked = [
        one.alias(f"{position} {index}")
        for position in range(numbers.width)
        for index, one in enumerate(_questions(pl.nth(position)))
    ]
    found = numbers.select(asked).row(0)
    rows = (found[5 * position : 5 * position + 5] for position in range(numbers.width))
    return [Moments(n, mean, variance * n, least, most) if n else Moments() for n, mean, variance, least, most in rows]


def _questions(number: pl.Expr) -> list[pl.Expr]:
    return [number.count(), number.mean(), number.var(ddof=0), number.min(), number.max()]


def weighed(numbers: Numbers, weights: Numbers) -> Moments:
    """Of *numbers*, each as often as its weight says; infinite ones and NaN are left out."""
    known = np.isfinite(numbers)
    values, times = numbers[known], weights[known]
    if not len(values):
        return Moments()
    count = float(times.sum())
    mean = float((values * times).sum()) / count
    return Moments(count, mean, float(((values - mean) ** 2 * times).sum()), float(values.min()), float(values.max()))


def lengths_of(cells: pa.Array) -> tuple[int, int]:
    """Characters of the shortest and of the longest cell; not all of *cells* are NULL."""
    data = cells.buffers()[2]
    plain = data is None or not data.size or np.frombuffer(data, np.uint8).max() < 128
    extremes = pc.min_max(pc.binary_length(cells) if plain else pc.utf8_length(cells))
    return extremes["min"].as_py(), extremes["max"].as_py()
