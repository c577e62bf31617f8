"""The values of one column in one batch that rules are tried on.

Many go through Polars. Of one batch with few rows they go through Python: there an expression of Polars costs as much as
some hundred values, and a small file has nothing but such batches.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import orjson
import polars as pl

from consumer.push.rules import MOST_DIGITS, Rule, few_digits

#: Rows up to which Python is faster.
FEW_ROWS = 256


class Values(Protocol):
    """Texts with their places in the batch, in its order."""

    def __len__(self) -> int: ...

    def first(self) -> tuple[int, str]:
        """Place and text; there is one."""

    def any(self, pattern: str) -> bool:
        """Whether *pattern* is found in any of them."""

    def found(self, pattern: str) -> "Values":
        """Those that *pattern* is found in."""

    def misfits(self, rule: Rule) -> "Values":
        """Those that do not fit *rule*."""

    def split(self, texts: Collection[str]) -> tuple["Values", "Values"]:
        """Those that are among *texts*, and the others."""

    def counts(self) -> Counter[str]: ...


@dataclass(frozen=True)
class Few:
    """In Python."""

    values: Sequence[tuple[int, str]]

    @classmethod
    def of(cls, column: pl.Series) -> "Few":
        return cls([(place, text) for place, text in enumerate(column.to_list()) if text is not None])

    def __len__(self) -> int:
        return len(self.values)

    def first(self) -> tuple[int, str]:
        return self.values[0]

    def any(self, pattern: str) -> bool:
        found = compiled(pattern).search
        return any(found(text) for _, text in self.values)

    def found(self, pattern: str) -> "Few":
        found = compiled(pattern).search
        return Few([one for one in self.values if found(one[1])])

    def misfits(self, rule: Rule) -> "Few":
        return Few([one for one in self.values if not rule.fits(one[1])])

    def split(self, texts: Collection[str]) -> tuple["Few", "Few"]:
        return Few([one for one in self.values if one[1] in texts]), Few([one for one in self.values if one[1] not in texts])

    def counts(self) -> Counter[str]:
        return Counter(text for _, text in self.values)


@dataclass(frozen=True)
class Many:
    """In Polars: a frame of `index` and `value`."""

    frame: pl.DataFrame

    @classmethod
    def of(cls, column: pl.Series) -> "Many":
        frame = pl.DataFrame({"value": column}).with_row_index("index")
        return cls(frame.drop_nulls("value") if column.null_count() else frame)

    def __len__(self) -> int:
        return len(self.frame)

    def first(self) -> tuple[int, str]:
        return int(self.frame["index"][0]), str(self.frame["value"][0])

    def any(self, pattern: str) -> bool:
        return bool(self.frame["value"].str.contains(pattern).any())

    def found(self, pattern: str) -> "Many":
        return Many(self.frame.filter(self.frame["value"].str.contains(pattern)))

    def misfits(self, rule: Rule) -> "Many":
        return Many(self.frame.filter(~matches(self.frame["value"], rule)))

    def split(self, texts: Collection[str]) -> tuple["Many", "Many"]:
        among = self.frame["value"].is_in(list(texts))
        return Many(self.frame.filter(among)), Many(self.frame.filter(~among))

    def counts(self) -> Counter[str]:
        return Counter(dict(self.frame["value"].value_counts().iter_rows()))


def values_of(column: pl.Series) -> Values:
    """Of all cells of *column* that are not null."""
    return Few.of(column) if len(column) <= FEW_ROWS else Many.of(column)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """*pattern* as Polars reads it: `$` is the end, and not also the place before a line break that ends the text."""
    return re.compile(pattern.replace("$", r"\Z"))


def matches(values: pl.Series, rule: Rule) -> pl.Series:
    """Whether each of *values* fits *rule*; null for null."""
    if rule.rich == "json":
        return values.map_elements(_is_json, return_dtype=pl.Boolean)
    fits = values.str.contains(rule.anchored)
    if rule.family == "number":
        long = fits & (values.str.len_bytes() > MOST_DIGITS)
        if long.any():
            few = values.filter(long).map_elements(few_digits, return_dtype=pl.Boolean)
            fits = fits.scatter(long.arg_true(), few)
    return fits


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
