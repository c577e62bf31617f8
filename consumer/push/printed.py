"""Columns whose texts stand in the file just as PostgreSQL prints the values that they become.

CKAN's full text is made of values printed again after the cast. Where a column's texts have that form anyhow, they are
taken as they are: the server is spared a second cast and the printing, 5 to 8 % of its work (measured on mixed columns).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

#: What `numeric`, `date` and `timestamp` print (ISO DateStyle). A timestamp may have `T` or a space.
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
FORMS: Mapping[str, re.Pattern[str]] = {
    "number": re.compile(r"^(?:-?[1-9][0-9]*(?:\.[0-9]+)?|0(?:\.[0-9]+)?|-0\.[0-9]*[1-9][0-9]*)$"),
    "day": re.compile(f"^{_DAY}$"),
    "moment": re.compile(rf"^{_DAY}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{0,5}}[1-9])?$"),
}
#: Values that decide which form a column may have.
LOOK = 16
#: Different texts of another form that a column may have: they may turn out to be null tokens.
MOST_MISFITS = 8


@dataclass(frozen=True)
class Form:
    """One of FORMS, and the texts of a column that are no such."""

    name: str
    misfits: frozenset[str] = frozenset()


@dataclass
class _Column:
    watched: bool = True
    name: str | None = None
    misfits: set[str] = field(default_factory=set)

    def see(self, cells: pa.Array) -> None:
        if not self.watched or cells.null_count == len(cells):
            return
        self.name = self.name or _form_of(cells)
        self.watched = self.name is not None and self._fits(pl.Series(pl.from_arrow(cells)), FORMS[self.name])

    def _fits(self, texts: pl.Series, form: re.Pattern[str]) -> bool:
        fits = texts.str.contains(form.pattern)
        if not fits.all():
            self.misfits.update(texts.filter(~fits).unique().head(MOST_MISFITS + 1))
        return len(self.misfits) <= MOST_MISFITS


class Forms:
    """Feeds on the batches of a file of *width* columns."""

    def __init__(self, width: int) -> None:
        self._columns = [_Column() for _ in range(width)]

    def see(self, cells: pa.RecordBatch) -> None:
        for column, texts in zip(self._columns, cells.columns, strict=True):
            column.see(texts)

    def found(self) -> tuple[Form | None, ...]:
        """By position; None for a column that has no such form."""
        return tuple(Form(one.name, frozenset(one.misfits)) if one.watched and one.name else None for one in self._columns)


def _form_of(cells: pa.Array) -> str | None:
    """The form that most of the first values have."""
    head: Sequence[str] = cells.drop_null().slice(0, LOOK).to_pylist()
    counts = Counter(name for text in head for name, form in FORMS.items() if form.match(text))
    name, count = next(iter(counts.most_common(1)), (None, 0))
    return name if 2 * count >= len(head) else None
