"""From the evidence of all columns to the type of each (tables.md §7, what needs more than one column to know)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.push.infer import Candidate, Evidence
from consumer.push.layouts import Layout
from consumer.push.options import Options
from consumer.push.rules import Rule

#: Texts that are shown of a value in the log.
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Decision:
    """*rule* is None for text (*why_text* says why, if few values were in the way)."""

    rule: Rule | None
    why_text: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proofs:
    """What the whole file proves, each empty where columns prove nothing or contradict each other.

    order        of day and month: `dmy` or `mdy`.
    conventions  how localised numbers are written: names of the rules that all of them may follow. `12,5` alone leaves open
                 whether thousands are written `1.234` or `1 234`.
    """

    order: str | None
    conventions: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Sequence[Evidence]) -> "Proofs":
        orders = {order for evidence in columns if (order := _proven_order(evidence))}
        conventions = [names for evidence in columns if (names := _proven_conventions(evidence))]
        shared = [name for name in conventions[0] if all(name in names for names in conventions)] if conventions else []
        return cls(orders.pop() if len(orders) == 1 else None, tuple(shared))


def decide(columns: Sequence[Evidence], options: Options) -> list[Decision]:
    """One decision a column, in order."""
    proofs = Proofs.of(columns)
    return [_decide(evidence, options, proofs) for evidence in columns]


def best_of_forced(evidence: Evidence, options: Options, proofs: Proofs) -> Rule:
    """Of the rules of a forced type the one that fits most values."""
    least = min(one.misfits for one in evidence.candidates.values())
    best = [one for one in evidence.candidates.values() if one.misfits == least]
    if options.decimal:
        best = [one for one in best if one.rule.mark == options.decimal] or best
    if len(best) > 1 and best[0].rule.family == "date":
        return _ordered(best, options, proofs)[0].rule
    return next((one.rule for one in best if one.proven), best[0].rule)


def _decide(evidence: Evidence, options: Options, proofs: Proofs) -> Decision:
    if not evidence.typed_values:
        return Decision(None)
    whole = [one for one in evidence.candidates.values() if one.fits and _allowed(one, evidence, options, proofs)]
    if not whole:
        return Decision(None, why_text(evidence))
    first = whole[0]
    if first.rule.family == "date" and first.rule.name != "date_format":
        rivals = [one for one in whole if one.rule.rich == first.rule.rich and one.rule.family == "date"]
        chosen, notes = _ordered(rivals, options, proofs)
        return Decision(seen_clock(chosen.rule, evidence), notes=notes)
    if first.rule.proof and not first.proven and not options.decimal:
        return Decision(first.rule, notes=("no value tells how thousands are written; read as the file's other numbers are",))
    return Decision(seen_clock(first.rule, evidence) if first.rule.layout else first.rule)


def _allowed(one: Candidate, evidence: Evidence, options: Options, proofs: Proofs) -> bool:
    """Whether a rule that fits every value may be taken: a localised number needs the *decimal* option or a proof, its
    own or the file's."""
    rule = one.rule
    if rule.rich != "decimal":
        return True
    if options.decimal:
        return rule.mark == options.decimal
    return rule.proof is None or one.proven or (rule.name in proofs.conventions and not _may_be_thousands(rule, evidence))


def _may_be_thousands(rule: Rule, evidence: Evidence) -> bool:
    """Whether what *rule* reads as decimals, `1,234`, may be thousands all the same: other columns do not prove that."""
    thousands = evidence.candidates.get("1,234.5")
    return rule.mark == "," and thousands is not None and thousands.fits


def _proven_conventions(evidence: Evidence) -> list[str]:
    """Names of the rules of localised numbers, in order, that a column proves; a column of plain numbers proves none."""
    whole = [one for one in evidence.candidates.values() if one.fits and one.rule.rich in ("integer", "decimal")]
    plain = any(one.rule.proof is None for one in whole)
    return [] if plain or not evidence.typed_values else [one.rule.name for one in whole if one.proven]


def _ordered(rivals: Sequence[Candidate], options: Options, proofs: Proofs) -> tuple[Candidate, tuple[str, ...]]:
    """Of the layouts that fit, the one whose order of day and month is right, and what to tell about it."""
    by_order = {one.rule.layout.order: one for one in rivals if one.rule.layout}
    if len(by_order) < 2:
        return rivals[0], ()
    if proofs.order in by_order:
        first = "the day" if proofs.order == "dmy" else "the month"
        return by_order[proofs.order], (f"no value tells day from month; {first} is first as in the file's other dates",)
    order = "dmy" if options.day_first else "mdy"
    first = "the day" if options.day_first else "the month"
    return by_order[order], (f"no value tells day from month; {first} is taken to be first (option day_first)",)


def _proven_order(evidence: Evidence) -> str | None:
    """`dmy` or `mdy` if this is a date column that can be read only so."""
    whole = [one for one in evidence.candidates.values() if one.fits and one.rule.family == "date"]
    orders = {one.rule.layout.order for one in whole if one.rule.layout and one.rule.layout.separator in "/-"}
    if not evidence.typed_values or not whole or not orders <= {"dmy", "mdy"} or len(orders) != 1:
        return None
    return orders.pop() if not any(one.rule.layout and one.rule.layout.month_name for one in whole) else None


def seen_clock(rule: Rule, evidence: Evidence) -> Rule:
    """*rule* with what its values really have of a clock and of years."""
    layout = rule.layout
    assert layout is not None
    if layout.strptime:
        return rule
    seen: Layout = replace(
        layout, meridiem=evidence.meridiem, offset=evidence.offset, short_year=evidence.short_year and layout.month_name
    )
    return replace(rule, layout=seen)


def why_text(evidence: Evidence) -> str | None:
    """`99,998 of 100,000 values are numbers; row 41,002 is 'call us'`, or None if nothing came near."""
    near = [one for one in evidence.candidates.values() if not one.dropped and one.first and _near(one, evidence)]
    if not near:
        return None
    best = min(near, key=lambda one: one.misfits)
    assert best.first is not None
    total = evidence.values if best.rule.family == "boolean" else evidence.typed_values
    row, value = best.first
    return f"{total - best.misfits:,} of {total:,} values are {best.rule.what}; row {row:,} is {shown(value)}"


def _near(one: Candidate, evidence: Evidence) -> bool:
    total = evidence.values if one.rule.family == "boolean" else evidence.typed_values
    return total > 2 and (one.misfits == 1 or 10 * one.misfits <= total)


def shown(value: str) -> str:
    """A value as a message shows it."""
    return repr(value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "…")


def token_notes(tokens: Mapping[str, int], first: int | None) -> tuple[str, ...]:
    """*first* is the number of the first row with one."""
    if not tokens:
        return ()
    seen = ", ".join(f"{token} ({count:,})" for token, count in sorted(tokens.items(), key=lambda one: -one[1]))
    return (f"counted as NULL: {seen}" + (f"; the first in row {first:,}" if first else ""),)
