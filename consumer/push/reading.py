"""A table while it is read: cells cleaned, forced types enforced, types inferred, batch by batch."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import polars as pl

from consumer.push.behind import Behind
from consumer.push.columns import Plan, finish
from consumer.push.decide import Proofs, best_of_forced, shown
from consumer.push.header import Name
from consumer.push.infer import Inference, Trial
from consumer.push.options import ForcedType, Options, Override
from consumer.push.part import Part
from consumer.push.profiler import Profiler
from consumer.push.readers.tolerant import Parsed
from consumer.push.rules import Rule, forced_rule
from consumer.push.table import KEPT_PLACES, Batch, Column, Heading, Short, Tally
from consumer.push.values import matches
from schemas.errors import FileError

T = TypeVar("T")


class Reader(Protocol):
    """DelimitedReader, RowsReader."""

    heading: Heading
    names: list[Name]
    #: Whether it mostly works outside of Python's lock, so that another thread gains time beside it.
    leaves_lock: bool

    def pieces(self, tally: Tally, short: Short, prepare: Callable[[Parsed], T]) -> Iterator[T]: ...


@dataclass(frozen=True)
class Wishes:
    """What *types* and the data dictionary say, by column position, and what the format itself fixes."""

    forced: Mapping[int, ForcedType]
    given: Mapping[int, str]
    unstripped: frozenset[int]

    @classmethod
    def of(cls, heading: Heading, options: Options, overrides: Mapping[str, Override], given: Mapping[int, str]) -> "Wishes":
        """Raises FileError("bad-option") for a type of a column that the file does not have."""
        positions = {name: position for position, name in enumerate(heading.names)}
        labels = {label: position for position, label in enumerate(heading.labels) if label is not None}
        forced = {
            positions[name]: ForcedType.of(one.type_override)
            for name, one in overrides.items()
            if one.type_override and name in positions and _known_type(one.type_override)
        }
        for name, kind in options.types.items():
            position = positions.get(name, labels.get(name))
            if position is None:
                raise unknown_column(name, heading)
            forced[position] = kind
        unstripped = {p for name, p in positions.items() if _keeps_white_space(overrides.get(name), options)}
        return cls(forced, {p: rich for p, rich in given.items() if p not in forced}, frozenset(unstripped))


def _known_type(name: str) -> bool:
    try:
        return bool(ForcedType.of(name))
    except ValueError:
        return False


def _keeps_white_space(override: Override | None, options: Options) -> bool:
    wish = override.strip if override and override.strip is not None else options.strip
    return not wish


class ReadTable:
    """A Table (table.py): the reader's pieces, cleaned and typed."""

    def __init__(
        self, reader: Reader, options: Options, overrides: Mapping[str, Override], given: Mapping[int, str],
        *, is_sheet: bool = False,
    ) -> None:  # fmt: skip
        self._reader, self._options, self._is_sheet = reader, options, is_sheet
        self._wishes = Wishes.of(reader.heading, options, overrides, given)
        self._trial = Trial.of(options.null_tokens, options.date_format)
        self._tally = Tally()
        self._columns: tuple[Column, ...] | None = None

    @property
    def heading(self) -> Heading:
        return self._reader.heading

    @property
    def tally(self) -> Tally:
        return self._tally

    @property
    def columns(self) -> tuple[Column, ...]:
        if self._columns is None:
            raise RuntimeError("columns are known only when batches() is exhausted")
        return self._columns

    def batches(self) -> Iterator[Batch]:
        self._tally, self._columns = Tally(), None
        rules = self._forced_rules()
        tally, short = self._tally, ShortRows()
        profiler = Profiler(self.heading.width) if self._options.profile else None
        inference = Inference(self._trial, self._not_free(), self.heading.width)
        given_numbers = {p for p, rich in self._wishes.given.items() if rich in ("integer", "decimal")}
        with self._profiling(profiler) as profile:
            for frame, batch in self._clean(tally, short, rules):
                inference.add(frame, batch.row_numbers)
                if profile:
                    profile(frame, batch.cells, inference.plain_numbers() | given_numbers)
                yield batch
        plan = Plan(self.heading, tuple(self._reader.names), self._options, self._wishes.forced, self._wishes.given, rules)
        self._columns = finish(plan, inference.evidence, tally.rows, profiler)
        last = max((one.position for one in self._columns), default=0)
        tally.padded = short.up_to(last)
        tally.note("padded", short.places_up_to(last))
        self._check_rejects()

    # ------------------------------------------------------------------------------------------------ forced columns

    def _not_free(self) -> dict[int, str | None]:
        """Columns whose type is not looked for. The rules of some are tried all the same: they tell what values a
        forced column has (null tokens, a time of day) and whether integers fit 64 bits."""
        given = {p: rich if rich == "integer" else None for p, rich in self._wishes.given.items()}
        telling = ("integer", "decimal", "date", "timestamp", "time")
        return given | {p: one.rich if one.rich in telling else None for p, one in self._wishes.forced.items()}

    def _profiling(self, profiler: Profiler | None) -> "AbstractContextManager[Callable[..., None] | None]":
        """What is called with each part of the table, so that it is profiled."""
        if profiler and self._reader.leaves_lock:
            return Behind(profiler.add)
        return nullcontext(profiler.add if profiler else None)

    def _forced_rules(self) -> dict[int, Rule | None]:
        """The rule of each forced column; found by reading the file once before, if a type has several."""
        forced = {position: kind.rich for position, kind in self._wishes.forced.items()}
        unclear = {position: rich for position, rich in forced.items() if rich in ("decimal", "date", "timestamp")}
        rules: dict[int, Rule | None] = {p: forced_rule(rich) for p, rich in forced.items() if p not in unclear}
        if unclear:
            rules |= self._best_rules(unclear)
        return rules

    def _best_rules(self, unclear: Mapping[int, str]) -> dict[int, Rule]:
        rich: dict[int, str | None] = {**self._not_free(), **unclear}
        inference = Inference(self._trial, rich, self.heading.width)
        for frame, batch in self._clean(Tally(), ShortRows(), {}):
            inference.add(frame, batch.row_numbers)
        proofs = Proofs.of(inference.evidence)
        return {p: best_of_forced(inference.evidence[p], self._options, proofs) for p in unclear}

    # ---------------------------------------------------------------------------------------------------- one batch

    def _clean(self, tally: Tally, short: Short, rules: Mapping[int, Rule | None]) -> Iterator[tuple[pl.DataFrame, Batch]]:
        """Batches of accepted rows, as Polars and as Arrow."""
        blanks = Blanks(self._is_sheet)

        def prepare(piece: Parsed) -> tuple[Part, pl.Series | None]:
            part = Part.of(piece, self._wishes.unstripped)
            return part, filled_rows(part.frame)

        for part, filled in self._reader.pieces(tally, short, prepare):
            blanks.skip(filled, part.numbers, tally)
            if tally.undecodable:
                tally.note("undecodable", part.replaced())
            if filled is not None:
                part = part.where(filled)
            for position, rule in rules.items():
                part = self._enforce(part, position, rule, tally)
            part = self._limited(part, tally)
            tally.rows += len(part.frame)
            if len(part.frame):
                yield part.frame, Batch(part.cells, part.numbers)
            if tally.truncated:
                return

    def _limited(self, part: Part, tally: Tally) -> Part:
        """No more rows than *max_rows*."""
        limit = self._options.max_rows
        if limit is None or tally.rows + len(part.frame) <= limit:
            return part
        tally.truncated = True
        return part.head(limit - tally.rows)

    def _enforce(self, part: Part, position: int, rule: Rule | None, tally: Tally) -> Part:
        """Reject the rows whose cell does not fit the forced type of its column."""
        if rule is None:
            return part
        column = part.frame.to_series(position)
        fits = matches(column, rule)
        if rule.rich not in ("boolean", "json"):
            fits |= column.is_in(list(self._options.null_tokens))
        fits = fits.fill_null(True)
        if fits.all():
            return part
        name, kind = self.heading.names[position], self._wishes.forced[position]
        for index in (~fits).arg_true().to_list():
            reason = f"{shown(str(column[index]))} in the column {name} is no {kind.ckan or kind.rich}"
            text = (self.heading.delimiter or "\t").join(one or "" for one in part.frame.row(index))
            tally.reject(int(part.numbers[index]), reason, text, name)
        return part.where(fits)

    def _check_rejects(self) -> None:
        tally, limit = self._tally, self._options.max_rejects
        if not limit.exceeded(tally.rejected, tally.rows):
            return
        first = tally.rejects[0] if tally.rejects else None
        details: dict[str, object] = {"Rejected rows": tally.rejected, "Limit (max_rejects)": str(limit)}
        if first:
            details |= {"Row": first.row, "Reason": first.reason, "Text": first.text[:200]}
        details["Hint"] = "Correct these rows in the file, or allow more of them with the option max_rejects."
        raise FileError(
            "too-many-rejects",
            f"{tally.rejected:,} of {tally.rejected + tally.rows:,} rows do not fit the table, more than max_rejects "
            f"({limit}) allows." + (f" The first is row {first.row:,}: {first.reason}." if first else ""),
            details=details,
        )


class Blanks:
    """Counts blank rows; in a sheet those below the last data are no rows."""

    def __init__(self, is_sheet: bool) -> None:
        self._is_sheet = is_sheet
        self._pending, self._places = 0, list[int]()  # at the end so far

    def skip(self, filled: pl.Series | None, numbers: Sequence[int], tally: Tally) -> None:
        """Counts the blank rows that are now known to be skipped ones. *filled* as filled_rows gives it for the rows of
        these *numbers*."""
        if filled is None:
            return self._settle(tally)
        blank = (~filled).arg_true().to_list()
        tail = trailing_blank(filled) if self._is_sheet else 0
        inner = len(blank) - tail
        if tail < len(filled):
            self._settle(tally)
            tally.blank_skipped += inner
            tally.note("blank_skipped", (numbers[index] for index in blank[:inner]))
        self._pending += tail
        self._places += [numbers[index] for index in blank[inner : inner + KEPT_PLACES]]

    def _settle(self, tally: Tally) -> None:
        tally.blank_skipped += self._pending
        tally.note("blank_skipped", self._places)
        self._pending, self._places = 0, []


class ShortRows:
    """Rows that ended before the table's last column, by the number of their cells: which of the last columns are kept is
    known at the end only."""

    def __init__(self) -> None:
        self._rows = Counter[int]()
        self._places: defaultdict[int, list[int]] = defaultdict(list)

    def __call__(self, cells: int, rows: int, places: Sequence[int], /) -> None:
        self._rows[cells] += rows
        self._places[cells] = sorted([*self._places[cells], *places])[:KEPT_PLACES]

    def up_to(self, last: int) -> int:
        """How many rows have no more than *last* cells."""
        return sum(rows for cells, rows in self._rows.items() if cells <= last)

    def places_up_to(self, last: int) -> list[int]:
        return sorted(place for cells, places in self._places.items() if cells <= last for place in places)


def filled_rows(frame: pl.DataFrame) -> pl.Series | None:
    """Which rows have any data; None: all of them."""
    if any(column.null_count() == 0 for column in frame.get_columns()):
        return None
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return None if filled.all() else filled


def trailing_blank(filled: pl.Series) -> int:
    """Blank rows at the end."""
    last = filled.arg_true()
    return len(filled) - 1 - int(last[-1]) if len(last) else len(filled)


def unknown_column(name: str, heading: Heading) -> FileError:
    return FileError(
        "bad-option",
        f"The option types names the column {name!r}, which the file does not have. It has: {', '.join(heading.names[:50])}.",
        details={"Option": "types", "Column": name},
    )
