"""Counts what a column's values look like, in the pass that reads the file.

While a column has few distinct values they are counted one by one, and everything is worked out from those counts at
the end. Beyond that its number of distinct values is estimated (the smallest of all hashes tell how densely they lie),
its most frequent values are those of a sample of rows, and moments are kept of numbers (many_values.py).
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from consumer.push.convert_few import texts_of
from consumer.push.many_values import Many, see, weighed
from consumer.push.profile import Profile
from consumer.push.table import Column
from consumer.push.values import FEW_ROWS

logger = logging.getLogger(__name__)

#: Distinct values that are counted one by one.
EXACT_VALUES = 2_000

#: Values whose counts are reported.
FREQUENT_VALUES = 10

#: Longer values are cut where the profile shows them.
_SHOWN_CHARACTERS = 100


class Profiler:
    """Feeds on the batches; told at the end what each column turned out to be. A value that it stumbles over ends the
    profile, not the job."""

    def __init__(self, width: int) -> None:
        self._counts: list[Counter[str] | None] = [Counter() for _ in range(width)]
        self._many: dict[int, Many] = {}
        self._broken = False

    def add(self, frame: pl.DataFrame, cells: pa.RecordBatch, numeric: Collection[int]) -> None:
        """One batch of trimmed cells in both forms, "" already null. *numeric*: columns that still may be plain numbers."""
        if self._broken:
            return
        try:
            for position, column in enumerate(frame.get_columns()):
                if self._counts[position] is not None and _has_many(column):
                    self._give_up(position, position in numeric)
            see(self._many, frame, cells, numeric)
            for position, column in enumerate(frame.get_columns()):
                self._count(position, column, cells.column(position), position in numeric)
        except (pl.exceptions.PolarsError, pa.ArrowException, ArithmeticError, ValueError):
            logger.warning("no column profile of this file", exc_info=True)
            self._broken = True

    def _count(self, position: int, column: pl.Series, cells: pa.Array, numeric: bool) -> None:
        """Count values one by one where they are few."""
        counts = self._counts[position]
        if counts is not None:
            counts.update(_times(column, cells))
            if len(counts) > EXACT_VALUES:
                self._give_up(position, numeric)

    def _give_up(self, position: int, numeric: bool) -> None:
        """From now on this column has many values; what was counted is carried over."""
        counts = self._counts[position]
        self._counts[position] = None
        self._many[position] = many = Many()
        if counts:
            many.carry(counts, numeric)

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


def _times(column: pl.Series, cells: pa.Array) -> Mapping[str, int]:
    """How often each value of one column, given in both forms, is there."""
    if len(column) <= FEW_ROWS:
        times = dict(Counter(column.to_list()))
    else:
        values, numbers = cells.value_counts().flatten()  # twice as fast as Polars'
        times = dict(zip(values.to_pylist(), numbers.to_pylist(), strict=True))
    times.pop(None, None)
    return times


def _has_many(column: pl.Series) -> bool:
    """Whether the first values tell at once that they are too many to be counted one by one."""
    return len(column) > EXACT_VALUES and column.head(2 * EXACT_VALUES).n_unique() > EXACT_VALUES


def _of_many(many: Many, column: Column) -> Profile:
    facts: dict[str, Any] = {"distinct": many.distinct - len(column.tokens), "distinct_exact": False}
    if many.lengths:
        facts |= {"min_length": int(many.lengths[0]), "max_length": int(many.lengths[1])}
    if column.rich in ("integer", "decimal"):
        facts |= many.moments.profile()
        if many.moments.least is not None and many.moments.most is not None:
            facts |= {"min": _plain(many.moments.least), "max": _plain(many.moments.most)}
    elif many.texts and (column.layout is None or (column.layout.order == "ymd" and not column.tokens)):
        facts |= {"min": _shown(many.texts[0]), "max": _shown(many.texts[1])}
    frequent = [one for one in many.frequent() if one[0] not in column.tokens]
    return Profile(**facts, frequent=tuple((_shown(v), n) for v, n in frequent[:FREQUENT_VALUES]), frequent_exact=False)


def _of_counts(counts: Counter[str], column: Column) -> Profile:
    known = {value: count for value, count in counts.items() if value not in column.tokens}
    if not known:
        return Profile(distinct=0)
    lengths = [len(value) for value in known]
    frequent = sorted(known.items(), key=lambda one: (-one[1], one[0]))[:FREQUENT_VALUES]
    return Profile(
        distinct=len(known), min_length=min(lengths), max_length=max(lengths),
        frequent=tuple((_shown(value), count) for value, count in frequent), **_extremes(known, column),
    )  # fmt: skip


def _extremes(known: Mapping[str, int], column: Column) -> dict[str, Any]:
    """Least, greatest and mean by the values' own order."""
    if column.rich in ("integer", "decimal"):
        plain = _texts(known, replace(column, ckan="numeric"))
        numbers = [float(text) for text in plain]
        places = range(len(plain))
        extremes = {"min": plain[min(places, key=numbers.__getitem__)], "max": plain[max(places, key=numbers.__getitem__)]}
        return {**extremes, **weighed(np.array(numbers), np.array(list(known.values()), float)).profile()}
    values: Sequence[str] = list(known)
    if column.rich in ("date", "timestamp"):
        values = _texts(known, replace(column, ckan="date" if column.rich == "date" else "timestamp"))
    return {"min": _shown(min(values)), "max": _shown(max(values))}


def _texts(known: Mapping[str, int], column: Column) -> list[str]:
    return [str(text) for text in texts_of(list(known), column)]


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
