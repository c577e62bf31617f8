"""Which type a column is, found out in the one pass that reads the file (tables.md §7).

Every column starts with all rules as candidates. A rule that most of the first values do not fit is dropped at once,
one that later fails more than a few values is dropped then; what is left is tried on every further batch. Rules that
contain others (a decimal is anything that an integer is) are tried only on the misfits of those. So a settled column
costs one expression a batch, and a text column none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from consumer.push.rules import MARKS, MOST_DIGITS, RULES, Rule, rule_of_format
from consumer.push.values import FEW_ROWS, Values, compiled, values_of

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
        return rule.family != "boolean" and rule.fitting(self.tokens) > 0


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
        self._tokens = frozenset(trial.tokens)
        self._token_like = {rule.name: trial.token_like(rule) for rule in trial.rules}

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
        """Drop the rules that most of the first values do not fit: first those that a few values refute, then the rest. A
        short batch has the first look only, as what is left is tried on the whole of it in any case."""
        texts = _first_texts(column)
        for size in (FIRST_GLANCE, FIRST_LOOK) if len(column) > FIRST_LOOK else (FIRST_GLANCE,):
            self._drop_hopeless(evidence, texts[:size])

    def _drop_hopeless(self, evidence: Evidence, values: Sequence[str]) -> None:
        initials = {value[:1] for value in values}
        marks = {mark for mark in MARKS if any(mark in value for value in values)}
        whole = set[str]()
        typed = [value for value in values if value not in self._tokens]
        for one in evidence.open:
            seen = values if one.rule.family == "boolean" else typed
            if whole.intersection(one.rule.within):
                fitting = len(seen)
            else:
                fitting = one.rule.fitting(seen) if one.rule.may_fit(initials, marks) else 0
            one.dropped = 2 * fitting < len(seen)
            if fitting == len(seen):
                whole.add(one.rule.name)

    def _ask(self, frame: pl.DataFrame) -> dict[int, "Answer"]:
        """For every column with open candidates: how many cells fit each of its leading rules, how long its longest
        cell is, and whether any has clock marks. Of many rows by one parallel query for the whole batch."""
        if len(frame) <= FEW_ROWS:
            return {p: self._answer(one, frame.to_series(p)) for p, one in enumerate(self.evidence) if one.open}
        query: list[pl.Expr] = []
        for position, evidence in enumerate(self.evidence):
            if not evidence.open:
                continue
            cell = pl.nth(position)
            query.append(cell.str.len_bytes().max().alias(f"{position} longest"))
            for one in leading(evidence.open):
                query.append(cell.str.contains(one.rule.anchored).sum().alias(f"{position} fit {one.rule.name}"))
            if _clocks(evidence):
                query.append(cell.str.contains(_CLOCK_MARKS).any().alias(f"{position} marked"))
        found = frame.select(query).row(0, named=True) if query else {}
        answers: dict[int, Answer] = {}
        for name, value in found.items():
            place, _, what = name.partition(" ")
            answers.setdefault(int(place), Answer()).take(what, value)
        return answers

    def _answer(self, evidence: Evidence, column: pl.Series) -> "Answer":
        texts = [text for text in column.to_list() if text is not None]
        marked = compiled(_CLOCK_MARKS).search
        return Answer(
            longest=_longest(texts),
            marked=any(marked(text) for text in texts) if _clocks(evidence) else None,
            fits={one.rule.name: one.rule.fitting(texts) for one in leading(evidence.open)},
        )


def _first_texts(column: pl.Series) -> list[str]:
    if len(column) > FEW_ROWS:
        column = column.drop_nulls().head(FIRST_LOOK)
    return [text for text in column.to_list() if text is not None][:FIRST_LOOK]


def _longest(texts: Sequence[str]) -> int:
    """Bytes."""
    lengths = map(len, texts) if all(map(str.isascii, texts)) else (len(text.encode()) for text in texts)
    return max(lengths, default=0)


def _clocks(evidence: Evidence) -> bool:
    """Whether it is worth asking for am, pm and offsets."""
    clocks = any(one.rule.rich == "timestamp" and one.fits for one in leading(evidence.open))
    return clocks and not (evidence.meridiem and evidence.offset)


def leading(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other of *candidates* is tried before."""
    names = {one.rule.name for one in candidates}
    return [one for one in candidates if not names.intersection(one.rule.within)]


class _Step:
    """One column, one batch: try the open candidates on the values that could still tell something about them."""

    def __init__(
        self, inference: Inference, evidence: Evidence, column: pl.Series, row_numbers: Sequence[int], answer: Answer
    ) -> None:
        self.trial, self.token_like = inference.trial, inference._token_like
        self.evidence, self.column, self.rows, self.answer = evidence, column, row_numbers, answer
        self.present = len(column) - column.null_count()
        self.long = answer.longest > MOST_DIGITS
        self.rests: dict[str, Values | None] = {}  #: name -> misfits; None: there are none
        self._everything: Values | None = None
        self._typed: Values | None = None

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
            one.proven = base.any(f"^(?:{rule.proof})$")
        rest = None if base is None else self._misfits(base, rule)
        self.rests[rule.name] = rest
        if rest is not None:
            one.misfits += len(rest)
            one.first = one.first or self._place(rest)
        if rule.rich == "timestamp" and one.fits:
            self._look_at_clock(base)
        if rule.layout and rule.layout.month_name and one.fits and not self.evidence.short_year and base is not None:
            self.evidence.short_year = base.any(_SHORT_YEAR)

    def _place(self, values: Values) -> tuple[int, str]:
        index, text = values.first()
        return self.rows[index], text

    def _all(self, rule: Rule) -> Values | None:
        """All values that *rule* is to be tried on; None if all of them are known to fit it."""
        long = self.long and rule.family == "number"
        if self.answer.fits.get(rule.name) == self.present and not long and not self.token_like[rule.name]:
            if rule.proof or rule.rich == "timestamp" or (rule.layout and rule.layout.month_name):
                return self.everything
            return None
        return self.everything if rule.family == "boolean" else self.typed

    @property
    def everything(self) -> Values:
        if self._everything is None:
            self._everything = values_of(self.column)
        return self._everything

    @property
    def typed(self) -> Values:
        """The values that are no null tokens; the tokens are counted when this is first asked for."""
        if self._typed is None:
            known, self._typed = self.everything.split(self.trial.tokens)
            if self.evidence.token_row is None and len(known):
                self.evidence.token_row = self._place(known)[0]
            self.evidence.tokens.update(known.counts())
        return self._typed

    def _misfits(self, base: Values, rule: Rule) -> Values | None:
        if self.answer.fits.get(rule.name) == self.present and not (self.long and rule.family == "number"):
            return None
        return base.misfits(rule) or None

    def _look_at_clock(self, base: Values | None) -> None:
        evidence = self.evidence
        if base is None or self.answer.marked is False or (evidence.meridiem and evidence.offset):
            return
        marked = base.found(_CLOCK_MARKS)
        evidence.meridiem = evidence.meridiem or marked.any(_MERIDIEM)
        evidence.offset = evidence.offset or marked.any(_OFFSET)

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
