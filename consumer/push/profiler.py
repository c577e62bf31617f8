"""Counts what a column's values look like, in the pass that reads the file.

While a column has few distinct values they are counted one by one, and everything is worked out from those counts at
the end. Beyond that its number of distinct values is estimated (the smallest of all hashes tell how densely they lie),
its most frequent values are those of a sample of rows, and sums are kept of numbers.
"""

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import polars as pl

from consumer.push.convert import converted
from consumer.push.profile import Profile
from consumer.push.table import Column

logger = logging.getLogger(__name__)

#: Distinct values that are counted one by one.
EXACT_VALUES = 2_000

#: Values whose counts are reported.
FREQUENT_VALUES = 10

#: Hashes kept for the estimate; its error is about 1 / sqrt(of it): 3 %.
_HASHES = 1_024

#: Of a column with many values every n-th row is looked at for its frequent ones; so many are kept in hand.
_EVERY = 64
_KEPT = 2_000

#: Longer values are cut where the profile shows them.
_SHOWN_CHARACTERS = 100


@dataclass
class Sums:
    """Of numbers, as floats: good to about fifteen digits, enough to look at."""

    count: float = 0
    total: float = 0.0
    squares: float = 0.0
    least: float | None = None
    most: float | None = None

    def add(self, other: "Sums") -> None:
        if other.count and other.least is not None and other.most is not None:
            self.count, self.total = self.count + other.count, self.total + other.total
            self.squares += other.squares
            self.least = other.least if self.least is None else min(self.least, other.least)
            self.most = other.most if self.most is None else max(self.most, other.most)

    def profile(self) -> dict[str, Any]:
        if not self.count:
            return {}
        mean = self.total / self.count
        return {"mean": mean, "stddev": sqrt(max(0.0, self.squares / self.count - mean * mean))}


@dataclass
class Many:
    """A column with too many distinct values to count."""

    hashes: list[pl.Series] = field(default_factory=list)
    kept: int = 0
    highest: int | None = None  #: of _HASHES kept ones
    sample: Counter[str] = field(default_factory=Counter)
    texts: tuple[str, str] | None = None
    lengths: tuple[int, int] | None = None
    sums: Sums = field(default_factory=Sums)

    def see(self, column: pl.Series) -> None:
        """Hashes of all values, and every n-th for the most frequent ones."""
        hashes = column.hash()
        if column.null_count():
            hashes = hashes.filter(column.is_not_null())
        if self.highest is not None:
            hashes = hashes.filter(hashes < self.highest)
        self.hashes.append(hashes)
        self.kept += len(hashes)
        if self.kept > 4 * _HASHES:
            self._compact()
        for value in column.gather_every(_EVERY):
            if value is not None:
                self.sample[value] += _EVERY
        if len(self.sample) > 2 * _KEPT:
            self.sample = Counter(dict(self.sample.most_common(_KEPT)))

    def _compact(self) -> pl.Series:
        lowest = pl.concat(self.hashes).unique().sort().head(_HASHES)
        self.hashes, self.kept = [lowest], len(lowest)
        self.highest = int(lowest[-1]) if len(lowest) == _HASHES else None
        return lowest

    def take(self, least: Any, most: Any, *more: Any, numeric: bool) -> None:
        """The answers to _questions."""
        if least is None:
            return
        if numeric:
            self.sums.add(Sums(more[0], more[1], more[2], least, most))
        else:
            self.texts = _wider(self.texts, (least, most))
            self.lengths = _wider(self.lengths, (int(more[0]), int(more[1])))

    @property
    def distinct(self) -> int:
        """Estimated: hashes are spread evenly over 64 bits, so the place of the k-th smallest tells how many there are."""
        lowest = self._compact()
        return len(lowest) if self.highest is None else round((_HASHES - 1) * 2.0**64 / self.highest)


def _wider(known: tuple[Any, Any] | None, seen: tuple[Any, Any]) -> tuple[Any, Any]:
    return seen if known is None else (min(known[0], seen[0]), max(known[1], seen[1]))


def _questions(position: int, numeric: bool) -> list[pl.Expr]:
    """Of a column with many values: of numbers the range and sums, of others the range and lengths."""
    cell = pl.nth(position)
    asked = [cell.min(), cell.max(), cell.str.len_chars().min(), cell.str.len_chars().max()]
    if numeric:
        number = cell.cast(pl.Float64, strict=False)
        asked = [number.min(), number.max(), number.count(), number.sum(), (number * number).sum()]
    return [one.alias(f"{position} {index}") for index, one in enumerate(asked)]


class Profiler:
    """Feeds on the batches; told at the end what each column turned out to be. A value that it stumbles over ends the
    profile, not the job."""

    def __init__(self, width: int) -> None:
        self._counts: list[Counter[str] | None] = [Counter() for _ in range(width)]
        self._many: dict[int, Many] = {}
        self._broken = False

    def add(self, frame: pl.DataFrame, numeric: Collection[int]) -> None:
        """One batch of trimmed cells, "" already null. *numeric*: columns that still may be plain numbers."""
        if self._broken:
            return
        try:
            self._count(frame, numeric)
            if self._many:
                self._ask(frame, numeric)
        except (pl.exceptions.PolarsError, ArithmeticError, ValueError):
            logger.warning("no column profile of this file", exc_info=True)
            self._broken = True

    def _count(self, frame: pl.DataFrame, numeric: Collection[int]) -> None:
        """Count values one by one where they are few."""
        for position, column in enumerate(frame.get_columns()):
            counts = self._counts[position]
            if counts is None:
                self._many[position].see(column)
            elif column.head(2 * EXACT_VALUES).n_unique() > EXACT_VALUES:
                self._turn(position, counts, position in numeric)
                self._many[position].see(column)
            else:
                for value, count in column.drop_nulls().value_counts().iter_rows():
                    counts[value] += count

    def _ask(self, frame: pl.DataFrame, numeric: Collection[int]) -> None:
        """One parallel query over the columns with many values."""
        query = [one for position in self._many for one in _questions(position, position in numeric)]
        answers: dict[int, list[Any]] = {}
        for name, value in frame.select(query).row(0, named=True).items():
            answers.setdefault(int(name.partition(" ")[0]), []).append(value)
        for position, found in answers.items():
            self._many[position].take(*found, numeric=position in numeric)
        for position, counts in enumerate(self._counts):
            if counts is not None and len(counts) > EXACT_VALUES:
                self._turn(position, counts, position in numeric)

    def _turn(self, position: int, counts: Counter[str], numeric: bool) -> None:
        """Give up counting; what was counted is carried over."""
        many = Many(sample=Counter(dict(counts.most_common(_KEPT))))
        if counts:
            values = pl.Series(list(counts), dtype=pl.String)
            many.hashes, many.kept = [values.hash()], len(values)
            asked = [one.alias(str(index)) for index, one in enumerate(_questions(0, False))]
            many.take(*values.to_frame().select(asked).row(0), numeric=False)
            if numeric:
                many.sums.add(_weighed(values.cast(pl.Float64, strict=False), pl.Series(list(counts.values()))))
        self._counts[position] = None
        self._many[position] = many

    def profiled(self, column: Column) -> Column:
        """*column* with what its values look like; null tokens are no values."""
        if self._broken:
            return column
        try:
            counts = self._counts[column.position]
            profile = _of_many(self._many[column.position], column) if counts is None else _of_counts(counts, column)
        except (pl.exceptions.PolarsError, ArithmeticError, ValueError):
            logger.warning("no profile of the column %s", column.name, exc_info=True)
            return column
        return replace(column, profile=profile)


def _weighed(numbers: pl.Series, weights: pl.Series) -> Sums:
    """Distinct numbers, each as often as its weight says; nulls are none."""
    known = numbers.is_not_null()
    numbers, weights = numbers.filter(known), weights.filter(known).cast(pl.Float64)
    if not len(numbers):
        return Sums()
    least, most = float(_number(numbers.min())), float(_number(numbers.max()))
    return Sums(float(weights.sum()), float((numbers * weights).sum()), float((numbers**2 * weights).sum()), least, most)


def _of_many(many: Many, column: Column) -> Profile:
    facts: dict[str, Any] = {"distinct": many.distinct - len(column.tokens), "distinct_exact": False}
    if many.lengths:
        facts |= {"min_length": int(many.lengths[0]), "max_length": int(many.lengths[1])}
    if column.rich in ("integer", "decimal"):
        facts |= many.sums.profile()
        if many.sums.least is not None and many.sums.most is not None:
            facts |= {"min": _plain(many.sums.least), "max": _plain(many.sums.most)}
    elif many.texts and (column.layout is None or (column.layout.order == "ymd" and not column.tokens)):
        facts |= {"min": _shown(many.texts[0]), "max": _shown(many.texts[1])}
    frequent = [
        one for one in many.sample.most_common(2 * FREQUENT_VALUES) if one[1] > 2 * _EVERY and one[0] not in column.tokens
    ]
    return Profile(**facts, frequent=tuple((_shown(v), n) for v, n in frequent[:FREQUENT_VALUES]), frequent_exact=False)


def _of_counts(counts: Counter[str], column: Column) -> Profile:
    known = {value: count for value, count in counts.items() if value not in column.tokens}
    if not known:
        return Profile(distinct=0)
    values, weights = pl.Series(list(known), dtype=pl.String), pl.Series(list(known.values()), dtype=pl.Float64)
    lengths = values.str.len_chars()
    frequent = Counter(known).most_common(FREQUENT_VALUES)
    return Profile(
        distinct=len(known), min_length=_whole(lengths.min()), max_length=_whole(lengths.max()),
        frequent=tuple((_shown(value), count) for value, count in frequent), **_extremes(values, weights, column),
    )  # fmt: skip


def _extremes(values: pl.Series, weights: pl.Series, column: Column) -> dict[str, Any]:
    """Least, greatest and mean by the values' own order."""
    if column.rich in ("integer", "decimal"):
        plain = converted(values, replace(column, ckan="numeric"))
        numbers = plain.cast(pl.Float64)
        extremes = {"min": plain[numbers.arg_min() or 0], "max": plain[numbers.arg_max() or 0]}
        return {**extremes, **_weighed(numbers, weights).profile()}
    if column.rich in ("date", "timestamp"):
        values = converted(values, replace(column, ckan="date" if column.rich == "date" else "timestamp"))
    return {"min": _shown(str(values.min())), "max": _shown(str(values.max()))}


def _whole(value: Any) -> int:
    return int(value)


def _number(value: Any) -> Any:
    return value


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
