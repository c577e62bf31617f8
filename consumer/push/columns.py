"""The finished columns: evidence, decisions and wishes put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumer.push.decide import Decision, decide, seen_clock, token_notes
from consumer.push.header import Name, unique_names
from consumer.push.infer import Evidence
from consumer.push.layouts import Layout
from consumer.push.options import ForcedType, Options
from consumer.push.profiler import Profiler
from consumer.push.rules import Rule
from consumer.push.table import Column, Heading

#: Cells of given columns are in the form that table.Chunk names.
_ISO = Layout("ymd", "-")
_ISO_MOMENT = Layout("ymd", "-", time=True)

_WITHOUT_TOKENS = ("text", "boolean", "json")


@dataclass(frozen=True)
class Plan:
    """What was known of the columns before their values: *names* by position, "" for an empty header; *forced* and
    *given* types; *rules* that the values of forced columns were held against."""

    heading: Heading
    names: Sequence[Name]
    options: Options
    forced: Mapping[int, ForcedType]
    given: Mapping[int, str]
    rules: Mapping[int, Rule | None]


def finish(plan: Plan, evidence: Sequence[Evidence], rows: int, profiler: Profiler | None) -> tuple[Column, ...]:
    """The columns of the table. One with an empty header and without data is none."""
    kept = [p for p, name in enumerate(plan.names) if name.stored or evidence[p].values]
    names = unique_names(plan.names, set(kept))
    free = [p for p in kept if p not in plan.forced and p not in plan.given]
    decisions = dict(zip(free, decide([evidence[p] for p in free], plan.options), strict=True))
    result = []
    for position in kept:
        decision = decisions.get(position) or _wished(plan, position, evidence[position])
        rich = _rich(plan, position, decision)
        column = _column(plan, position, names[position], rich, decision, evidence[position], rows)
        result.append(column if profiler is None else profiler.profiled(column))
    return tuple(result)


def _wished(plan: Plan, position: int, evidence: Evidence) -> Decision:
    """Of a forced or given column."""
    rule = plan.rules.get(position)
    return Decision(seen_clock(rule, evidence) if rule and rule.layout else rule)


def _rich(plan: Plan, position: int, decision: Decision) -> str:
    if position in plan.forced:
        return plan.forced[position].rich
    return plan.given.get(position) or (decision.rule.rich if decision.rule else "text")


def _column(plan: Plan, position: int, name: Name, rich: str, decision: Decision, evidence: Evidence, rows: int) -> Column:
    rule = decision.rule
    tokens = {} if rich in _WITHOUT_TOKENS else dict(sorted(evidence.tokens.items()))
    counted = sum(tokens.values())
    layout = rule.layout if rule else {"date": _ISO, "timestamp": _ISO_MOMENT}.get(rich)
    return Column(
        position=position, name=name.stored, label=name.label, rich=rich, ckan=_ckan(plan, position, rich, evidence),
        nulls=rows - evidence.values + counted, null_tokens=counted, tokens=tuple(tokens),
        decimal_mark=rule.mark if rule else ".", grouping=rule.grouping if rule else "",
        fits_bigint=rich == "integer" and evidence.small_integers, layout=layout, forced=position in plan.forced,
        why_text=decision.why_text, notes=(*decision.notes, *token_notes(tokens, evidence.token_row)),
    )  # fmt: skip


def _ckan(plan: Plan, position: int, rich: str, evidence: Evidence) -> str:
    forced = plan.forced.get(position)
    if forced and forced.ckan:
        return forced.ckan
    mapped = plan.options.type_mapping[rich]
    too_long = rich == "integer" and mapped in ("bigint", "int8", "int", "int4") and not evidence.small_integers
    return "numeric" if too_long else mapped
