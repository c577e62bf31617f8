"""Which type a column is, found out in the one pass that reads the file (tables.md §7).

Every column starts with all rules as candidates. A rule that most of the first values do not fit is dropped at once,
one that later fails more than a few values is dropped then; what is left is tried on every further batch. Rules that
contain others (a decimal is anything that an integer is) are tried only on the misfits of those. So a settled column
costs one expression a batch, and a text column none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import polars as pl

from consumer.push.rules import MOST_DIGITS, RULES, Rule, few_digits, rule_of_format

#: Values of the first batch on which hopeless rules are dropped: the plainly hopeless ones on a few of them.
FIRST_GLANCE = 16
FIRST_LOOK = 128

#: A rule lives on, though it cannot win any more, while its misfits are few: its count makes the reason for `text`.
FEW_MISFITS = 10
FEW_SHARE = 0.1

#: Texts up to this length fit 64 bits if they are integers.
_SHORT_INTEGER = 18

_CLOCK_MARKS = "[0-9]:[0-9]{2}.*[-+MmZ]"
_MERIDIEM = "[AaPp][Mm]"
_OFFSET = "[0-9:.Mm] ?(?:Z|[+-][0-9:]{2,5})$"
_SHORT_YEAR = "[^0-9:][0-9]{2}(?:[T ]|$)"


@dataclass
class Candidate:
    """A rule on trial in one column."""

    rule: Rule
    misfits: int = 0
    first: tuple[int, str] | None = None  #: row number and value of the first misfit
    dropped: bool = False
    proven: bool = False

    @property
    def fits(self) -> bool:
        return not self.misfits and not self.dropped


@dataclass
class Evidence:
    """What one column's values have shown so far."""

    candidates: dict[str, Candidate]
    values: int = 0  #: cells that are not empty
    tokens: Counter[str] = field(default_factory=Counter)  #: null tokens seen, as far as any rule needed them
    token_row: int | None = None  #: number of the first row with one
    small_integers: bool = True
    meridiem: bool = False
    offset: bool = False
    short_year: bool = False
    keep_all: bool = False  #: a forced type: the best of its rules is wanted, so none is dropped

    @property
    def typed_values(self) -> int:
        """Values that are no null tokens."""
        return self.values - self.tokens.total()

    @property
    def open(self) -> list[Candidate]:
        return [one for one in self.candidates.values() if not one.dropped]


@dataclass(frozen=True)
class Trial:
    """What the rules are tried with: the job's null tokens, and the rules themselves in order."""

    rules: tuple[Rule, ...]
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, tokens: Sequence[str], date_format: str | None) -> "Trial":
        return cls(((rule_of_format(date_format),) if date_format else ()) + RULES, tuple(tokens))

    def token_like(self, rule: Rule) -> bool:
        """Whether some null token (`-999`) is itself a text of *rule*: tokens must then be set aside first."""
        return rule.family != "boolean" and any(rule.fits(token) for token in self.tokens)


@dataclass
class Answer:
    """What one query told of one column of a batch."""

    longest: int = 0  #: bytes
    marked: bool | None = None  #: any cell has am, pm or an offset; None: not asked, as no rule of timestamps led then
    fits: dict[str, int] = field(default_factory=dict)  #: rule -> cells that fit it

    def take(self, what: str, value: int | bool | None) -> None:
        if what == "longest":
            self.longest = int(value or 0)
        elif what == "marked":
            self.marked = bool(value)
        else:
            self.fits[what.removeprefix("fit ")] = int(value or 0)


class Inference:
    """Feeds on batches, answers with the evidence of each column."""

    def __init__(self, trial: Trial, rich: Mapping[int, str | None], width: int) -> None:
        """*rich*: columns that are not free: position -> None (not to be inferred at all) or the rich type whose
        rules are the only ones to try."""
        self.trial = trial
        self.evidence = [self._start(rich.get(position, "any")) for position in range(width)]
        self._token_like = {rule.name: trial.token_like(rule) for rule in trial.rules}
        self._clean_tokens = not any(self._token_like.values())

    def _start(self, rich: str | None) -> Evidence:
        rules = [rule for rule in self.trial.rules if rich in ("any", rule.rich)]
        return Evidence({rule.name: Candidate(rule) for rule in rules}, keep_all=rich not in ("any", None))

    def add(self, frame: pl.DataFrame, row_numbers: Sequence[int]) -> None:
        """One batch of trimmed cells, "" already null."""
        columns = frame.get_columns()
        fresh = [one.values == 0 for one in self.evidence]
        for evidence, column in zip(self.evidence, columns, strict=True):
            evidence.values += len(column) - column.null_count()
        for evidence, column, first in zip(self.evidence, columns, fresh, strict=True):
            if first and evidence.open and not evidence.keep_all:
                self._first_look(evidence, column)
        answers = self._ask(frame)
        for position, (evidence, column) in enumerate(zip(self.evidence, columns, strict=True)):
            if evidence.open and column.null_count() < len(column):
                step = _Step(self, evidence, column, row_numbers, answers[position])
                if not step.is_settled():
                    step.run()

    def plain_numbers(self) -> set[int]:
        """Positions of the columns whose values may all be numbers without grouping."""
        return {p for p, evidence in enumerate(self.evidence) if _may_be(evidence, "integer", "decimal")}

    def _first_look(self, evidence: Evidence, column: pl.Series) -> None:
        """Drop the rules that most of the first values do not fit; of those that hardly any fits, a few values decide."""
        head = column.drop_nulls().head(FIRST_LOOK)
        texts = head.to_list()
        for size in (FIRST_GLANCE, FIRST_LOOK):
            values = texts[:size]
            typed = [value for value in values if value not in self.trial.tokens]
            for one in evidence.open:
                seen = values if one.rule.family == "boolean" else typed
                one.dropped = bool(seen) and 2 * sum(map(one.rule.fits, seen)) < len(seen)

    def _ask(self, frame: pl.DataFrame) -> dict[int, "Answer"]:
        """For every column with open candidates: how many cells fit each of its leading rules, how long its longest
        cell is, and whether any has clock marks. One parallel query for the whole batch."""
        query: list[pl.Expr] = []
        for position, evidence in enumerate(self.evidence):
            if not evidence.open:
                continue
            cell = pl.nth(position)
            query.append(cell.str.len_bytes().max().alias(f"{position} longest"))
            for one in leading(evidence.open):
                query.append(cell.str.contains(one.rule.anchored).sum().alias(f"{position} fit {one.rule.name}"))
            clocks = any(one.rule.rich == "timestamp" and one.fits for one in leading(evidence.open))
            if clocks and not (evidence.meridiem and evidence.offset):
                query.append(cell.str.contains(_CLOCK_MARKS).any().alias(f"{position} marked"))
        found = frame.select(query).row(0, named=True) if query else {}
        answers: dict[int, Answer] = {}
        for name, value in found.items():
            place, _, what = name.partition(" ")
            answers.setdefault(int(place), Answer()).take(what, value)
        return answers


def leading(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other of *candidates* is tried before."""
    names = {one.rule.name for one in candidates}
    return [one for one in candidates if not names.intersection(one.rule.within)]


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


class _Step:
    """One column, one batch: try the open candidates on the values that could still tell something about them."""

    def __init__(
        self, inference: Inference, evidence: Evidence, column: pl.Series, row_numbers: Sequence[int], answer: Answer
    ) -> None:
        self.trial, self.token_like = inference.trial, inference._token_like
        self.evidence, self.column, self.rows, self.answer = evidence, column, row_numbers, answer
        self.present = len(column) - column.null_count()
        self.long = answer.longest > MOST_DIGITS
        self.rests: dict[str, pl.DataFrame | None] = {}  #: name -> misfits; None: there are none
        self._indexed: pl.DataFrame | None = None
        self._typed: pl.DataFrame | None = None

    def is_settled(self) -> bool:
        """Whether this batch can tell nothing new: every cell fits every leading rule, without a closer look."""
        return not self.answer.marked and all(self._told(one) for one in leading(self.evidence.open))

    def _told(self, one: Candidate) -> bool:
        rule = one.rule
        closer = (rule.proof and not one.proven) or (rule.layout and rule.layout.month_name)
        if rule.family == "number" and (self.long or (self._integers() and self.answer.longest > _SHORT_INTEGER)):
            return False
        return not closer and not self.token_like[rule.name] and self.answer.fits.get(rule.name) == self.present

    def run(self) -> None:
        if self.answer.longest > _SHORT_INTEGER and self._integers():
            self.evidence.small_integers = self._fit_64_bits()
        for one in self.evidence.open:
            self._try(one)
        for one in self.evidence.open:
            one.dropped = not self.evidence.keep_all and _hopeless(one.misfits, self.evidence.values)

    def _try(self, one: Candidate) -> None:
        rule = one.rule
        inner = [name for name in rule.within if name in self.rests]
        base = self.rests[inner[-1]] if inner else self._all(rule)
        if base is not None and rule.proof and not one.proven:
            one.proven = bool(base["value"].str.contains(f"^(?:{rule.proof})$").any())
        rest = None if base is None else self._misfits(base, rule)
        self.rests[rule.name] = rest
        if rest is not None:
            one.misfits += len(rest)
            one.first = one.first or (self.rows[int(rest["index"][0])], str(rest["value"][0]))
        if rule.rich == "timestamp" and one.fits:
            self._look_at_clock(base)
        if rule.layout and rule.layout.month_name and one.fits and not self.evidence.short_year and base is not None:
            self.evidence.short_year = bool(base["value"].str.contains(_SHORT_YEAR).any())

    def _all(self, rule: Rule) -> pl.DataFrame | None:
        """All values that *rule* is to be tried on; None if all of them are known to fit it."""
        long = self.long and rule.family == "number"
        if self.answer.fits.get(rule.name) == self.present and not long and not self.token_like[rule.name]:
            if rule.proof or rule.rich == "timestamp" or (rule.layout and rule.layout.month_name):
                return self.indexed
            return None
        return self.indexed if rule.family == "boolean" else self.typed

    @property
    def indexed(self) -> pl.DataFrame:
        if self._indexed is None:
            frame = pl.DataFrame({"value": self.column}).with_row_index("index")
            self._indexed = frame if self.present == len(frame) else frame.drop_nulls("value")
        return self._indexed

    @property
    def typed(self) -> pl.DataFrame:
        """The values that are no null tokens; the tokens are counted when this is first asked for."""
        if self._typed is None:
            known = self.indexed["value"].is_in(list(self.trial.tokens))
            if self.evidence.token_row is None and known.any():
                self.evidence.token_row = self.rows[int(self.indexed["index"].filter(known)[0])]
            for token, count in self.indexed["value"].filter(known).value_counts().iter_rows():
                self.evidence.tokens[token] += count
            self._typed = self.indexed.filter(~known)
        return self._typed

    def _misfits(self, base: pl.DataFrame, rule: Rule) -> pl.DataFrame | None:
        if self.answer.fits.get(rule.name) == self.present and not (self.long and rule.family == "number"):
            return None
        rest = base.filter(~matches(base["value"], rule))
        return rest if len(rest) else None

    def _look_at_clock(self, base: pl.DataFrame | None) -> None:
        evidence = self.evidence
        if base is None or self.answer.marked is False or (evidence.meridiem and evidence.offset):
            return
        marked = base["value"].filter(base["value"].str.contains(_CLOCK_MARKS))
        evidence.meridiem = evidence.meridiem or bool(marked.str.contains(_MERIDIEM).any())
        evidence.offset = evidence.offset or bool(marked.str.contains(_OFFSET).any())

    def _integers(self) -> bool:
        integer = self.evidence.candidates.get("integer")
        return integer is not None and not integer.dropped and self.evidence.small_integers

    def _fit_64_bits(self) -> bool:
        long = self.column.filter(self.column.str.len_bytes() > _SHORT_INTEGER)
        return long.cast(pl.Int64, strict=False).null_count() == 0


def _may_be(evidence: Evidence, *names: str) -> bool:
    return any(name in evidence.candidates and evidence.candidates[name].fits for name in names)


def _hopeless(misfits: int, values: int) -> bool:
    return misfits > max(FEW_MISFITS, FEW_SHARE * values)
