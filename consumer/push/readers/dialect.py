"""Which delimiter, quote and escape a delimited text has, by the evidence of its first records (tables.md §3)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from consumer.push.header import WHITESPACE
from consumer.push.options import Options
from consumer.push.readers.scan import Dialect, Record, scan
from consumer.push.rules import RULES, Rule

#: Tried first; of the others one is believed only if every record bears it out.
USUAL_DELIMITERS = (",", ";", "\t", "|")
RARE_DELIMITERS = ("^", "~", ":", " ", "\x01")
#: Of the rare ones those that stand for nothing else in words, numbers and times.
UNMISTAKABLE = ("^", "~", "\x01")
#: Shares so close are alike: two ragged records in a hundred say nothing.
NEAR = 0.02
#: What the delimiter of the file's name may explain less than another one.
HINT_NEAR = 0.2
#: A comma that is neither within a number (`1,5`) nor within words (`Doe, J`).
_STRONG_COMMA = re.compile(r",(?! |(?<=\d,)\d)")

#: Records and characters that are looked at for each dialect.
_RECORDS = 200
_CHARACTERS = 64 << 10

_SEP_LINE = re.compile(r"\A[\"']?[sS][eE][pP]=(.)[\"']?(?:\r\n|\r|\n|\Z)")

#: Rules whose texts hold a rare delimiter themselves (`10:30:00`, `31 Jan 2024`): such lines are one cell.
_WITH_DELIMITERS = tuple(rule for rule in RULES if rule.family in ("date", "time") or rule.mark == "," or " " in rule.grouping)


@dataclass(frozen=True)
class Evidence:
    """How well a dialect explains the records: *share* of them that have the usual number of cells, which is *width*;
    *flaws* are quotes that stand where none belongs; *start* counts the records before the first two of that width in a row."""

    share: float
    width: int
    flaws: int
    start: int = 0

    @property
    def score(self) -> float:
        return self.share - 0.01 * self.flaws


def separator_line(text: str) -> str | None:
    """The delimiter that a leading `sep=;` line names."""
    found = _SEP_LINE.match(text)
    return found.group(1) if found else None


def sniff(text: str, options: Options, hint: str | None = None) -> Dialect:
    """The dialect of *text*, the head of the file; *hint* is the delimiter that the format suggests."""
    named = options.delimiter or separator_line(text)
    sample = text[:_CHARACTERS]
    if separator_line(text):
        sample = re.sub(r"\A[^\r\n]*(?:\r\n|\r|\n)?", "", sample)
    quotes = (options.quote or None,) if options.quote is not None else ('"', "'")
    dialects = [_with_delimiter(sample, Dialect(None, quote), named, hint) for quote in quotes]
    best = dialects[0]
    if len(dialects) == 2 and _apostrophes_quote(sample, *dialects):
        best = dialects[1]
    if options.escape is not None:
        return replace(best, escape=options.escape or None)
    return _with_escape(sample, best)


def _with_delimiter(sample: str, dialect: Dialect, named: str | None, hint: str | None) -> Dialect:
    if named:
        return replace(dialect, delimiter=named)
    usual = {one: look(sample, replace(dialect, delimiter=one)) for one in USUAL_DELIMITERS if one in sample}
    likely = {one: evidence for one, evidence in usual.items() if evidence.width > 1}
    if likely:
        return replace(dialect, delimiter=_most_likely(sample, dialect, likely, hint))
    if only_blank := [one for one, evidence in usual.items() if not evidence.width]:
        return replace(dialect, delimiter=only_blank[0])
    if found := _rare(sample, dialect):
        return replace(dialect, delimiter=found)
    return dialect


def _most_likely(sample: str, dialect: Dialect, likely: Mapping[str, Evidence], hint: str | None) -> str | None:
    """The one that divides the header, too (a decimal comma or a list within cells leaves it whole), and then the widest."""
    top = max(evidence.score for evidence in likely.values())
    if hint and hint in likely and likely[hint].score >= top - HINT_NEAR:
        return hint
    weak = () if _STRONG_COMMA.search(sample) else (",",)
    near = [one for one, evidence in likely.items() if evidence.score >= top - NEAR]
    best = min(near, key=lambda one: (likely[one].start, one in weak, -likely[one].width))
    if best in weak and likely[best].start:  # the header has none: all are within numbers or words
        return None if _one_cell_a_line(_lines(sample)[1:]) else _rare(sample, dialect) or best
    return best if likely[best].share == 1.0 else _rare(sample, dialect, UNMISTAKABLE) or best


def _rare(sample: str, dialect: Dialect, delimiters: Sequence[str] = RARE_DELIMITERS) -> str | None:
    lines = _lines(sample)
    if len(lines) < 2 or _one_cell_a_line(lines[1:]):
        return None
    for one in delimiters:
        evidence = look(sample, replace(dialect, delimiter=one))
        if one in sample and evidence.width > 1 and evidence.share == 1.0:
            return one
    return None


def _lines(sample: str) -> list[str]:
    """The first ones that are not blank."""
    lines = (line.strip(WHITESPACE) for line in re.split(r"\r\n|\r|\n", sample)[:_RECORDS])
    return [line for line in lines if line]


def _one_cell_a_line(lines: Sequence[str]) -> bool:
    """Whether the lines as they are already are values of a type."""
    return any(_all_fit(rule, lines) for rule in _WITH_DELIMITERS)


def _all_fit(rule: Rule, lines: Iterable[str]) -> bool:
    return all(rule.fits(line) for line in lines)


def look(sample: str, dialect: Dialect) -> Evidence:
    """*sample* read in *dialect*."""
    records = _records(sample, dialect)
    widths = Counter(len(one.cells) for one in records if one.cells is not None)
    flaws = sum(one.flaws for one in records)
    if not widths:
        return Evidence(0.0, 0, flaws)
    width = max(widths, key=lambda one: (widths[one], one))
    regular = [one.cells is not None and len(one.cells) == width for one in records]
    start = next((index for index, both in enumerate(pairwise(regular)) if all(both)), 0)
    return Evidence(widths[width] / len(records), width, flaws, start)


@lru_cache(maxsize=8)  # one sample is looked at several times in one dialect
def _records(sample: str, dialect: Dialect) -> Sequence[Record]:
    """The first records with data; the last one may be cut by the end of the sample and is left out then."""
    records = []
    for record in scan(sample, dialect, final=len(sample) < _CHARACTERS):
        if record.cells is None or any(cell.strip(WHITESPACE) for cell in record.cells):
            records.append(record)
        if len(records) == _RECORDS:
            break
    return records


def _apostrophes_quote(sample: str, double: Dialect, single: Dialect) -> bool:
    """Whether `'` and not `"` is the quote: no cell that it opens stays open, and it makes the widths more regular or
    most records have such cells."""
    if (
        '"' in sample
        and look(sample, double).flaws == 0
        and re.search(rf'(?:^|{re.escape(double.delimiter or "$")})"', sample, re.M)
    ):
        return False
    opened = [one for one in _records(sample, single) if one.quoted or one.flaws]
    if not opened or any(one.flaws for one in opened):
        return False
    ours, theirs = look(sample, single), look(sample, double)
    if (ours.share, ours.width) == (theirs.share, theirs.width):
        return 2 * len(opened) > len(_records(sample, single))
    return ours.share >= theirs.share and ours.width > 1


def _with_escape(sample: str, dialect: Dialect) -> Dialect:
    """Backslashes escape if that explains the records better."""
    if not (dialect.quote and f"\\{dialect.quote}" in sample) and f"\\{dialect.delimiter}" not in sample:
        return dialect
    escaped = replace(dialect, escape="\\")
    without, with_it = look(sample, dialect), look(sample, escaped)
    better = (with_it.flaws, -with_it.share) < (without.flaws, -without.share)
    return escaped if better and with_it.share >= without.share else dialect
