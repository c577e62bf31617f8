"""Compares the table that a file became with what its gold file says (tests/files/corpus/README.md)."""

import codecs
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from consumer.push.convert import convert
from consumer.push.summary import inspected
from consumer.push.table import Table
from schemas.errors import FileError

CORPUS = Path(__file__).parent.parent / "files" / "corpus"

_PLAIN = ("sheet", "header_row", "rows", "rejected", "blank_skipped", "padded", "delimiter")


@dataclass(frozen=True)
class Case:
    """One gold file."""

    name: str
    gold: dict[str, Any]

    @property
    def path(self) -> Path:
        return CORPUS / "files" / str(self.gold["file"])

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.gold.get("options") or {})

    @property
    def declared(self) -> str | None:
        return self.gold.get("resource_format") or None


def cases() -> list[Case]:
    return [Case(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((CORPUS / "gold").glob("*.json"))]


@dataclass(frozen=True)
class Outcome:
    """What a file became: facts with the keys of a gold file, and all rows."""

    facts: dict[str, Any]
    rows: list[tuple[str | None, ...]]


def outcome(table: Table) -> Outcome:
    batches = list(table.batches())
    rows: list[tuple[str | None, ...]] = []
    for batch in batches:
        rows.extend(zip(*(column.to_pylist() for column in convert(batch, table.columns).columns), strict=True))
    return Outcome(inspected(table), rows)


def failed(error: FileError) -> Outcome:
    return Outcome({"error": error.code}, [])


def differences(case: Case, found: Outcome) -> list[str]:
    """One line for each thing that is not as the gold says."""
    gold, facts = case.gold, found.facts
    if "error" in gold or "error" in facts:
        same = gold.get("error") == facts.get("error")
        return [] if same else [f"error: {facts.get('error')!r}, not {gold.get('error')!r}"]
    return [*_of_facts(gold, facts), *_of_columns(gold, facts), *_of_values(gold, found)]


def _of_facts(gold: dict[str, Any], facts: dict[str, Any]) -> Iterator[str]:
    for key in _PLAIN:
        if key in gold and facts.get(key) != gold[key]:
            yield f"{key}: {facts.get(key)!r}, not {gold[key]!r}"
    accepted = gold.get("encoding", [])
    accepted = accepted if isinstance(accepted, list) else [accepted]
    if accepted and _codec(facts.get("encoding")) not in map(_codec, accepted):
        yield f"encoding: {facts.get('encoding')!r}, not one of {accepted}"


def _codec(name: str | None) -> str:
    found = codecs.lookup(name).name if name else "none"
    return "utf-8" if found in ("ascii", "utf-8-sig") else found


def _of_columns(gold: dict[str, Any], facts: dict[str, Any]) -> Iterator[str]:
    wanted = [_told(column) for column in gold["columns"]]
    told = [_told(column) for column in facts["columns"]]
    if len(wanted) != len(told):
        yield f"columns: {[one[0] for one in told]}, not {[one[0] for one in wanted]}"
    for one, other in zip(told, wanted, strict=False):
        if one != other:
            yield f"column: {one}, not {other}"


def _told(column: dict[str, Any]) -> tuple[str, ...]:
    label = (column.get("label") or "").strip()
    return column["name"], column["rich"], column["ckan"], label if label != column["name"] else ""


def _of_values(gold: dict[str, Any], found: Outcome) -> Iterator[str]:
    names = [column["name"] for column in gold["columns"]]
    ckan = [column["ckan"] for column in gold["columns"]]
    wanted = [(row, place, value) for row, name, value in gold.get("sample", []) for place in [names.index(name)]]
    for key, row in (("first_row", 0), ("last_row", -1)):
        wanted += [(row, place, value) for place, value in enumerate(gold.get(key) or [])]
        if key in gold and gold[key] is None and found.rows:
            yield f"{key}: there are rows"
    for row, place, value in wanted:
        actual = found.rows[row][place] if -1 <= row < len(found.rows) and found.rows else "no such row"
        if not same(value, actual, ckan[place]):
            yield f"row {row}, {names[place]}: {actual!r}, not {value!r}"


def same(wanted: Any, actual: str | None, ckan: str) -> bool:
    """Whether two values are the same value of their type, however they are written."""
    if isinstance(wanted, dict) and "any_of" in wanted:
        return any(same(one, actual, ckan) for one in wanted["any_of"])
    if wanted is None or actual is None:
        return wanted is actual
    if isinstance(wanted, dict):
        return (len(actual), hashlib.sha256(actual.encode()).hexdigest()) == (wanted["length"], wanted["sha256"])
    try:
        return bool(_VALUE.get(ckan, str)(wanted) == _VALUE.get(ckan, str)(actual))
    except (ValueError, InvalidOperation):
        return False


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_VALUE: dict[str, Callable[[str], Any]] = {"numeric": Decimal, "timestamp": _moment, "json": json.loads}
