"""What a resource's columns were from load to load, and how they changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.ui.queries import Load
from gateway.ui.words import between
from schemas.messages import Json, State


@dataclass(frozen=True, slots=True)
class Change:
    """How the columns differ from those of the load before."""

    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    #: (column, type before, type now)
    retyped: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.retyped)


@dataclass(frozen=True, slots=True)
class LoadLine:
    """A load as the page shows it. None for what the report does not tell."""

    load: Load
    rows: int | None
    rejected: int | None
    size_bytes: int | None
    columns: int | None
    seconds: float | None
    #: None where there is nothing to compare with.
    change: Change | None


def lines(loads: Sequence[Load]) -> list[LoadLine]:
    """*loads* newest first, each compared with the newest older one that told its columns."""
    found: list[LoadLine] = []
    before: Mapping[str, str] | None = None
    for load in reversed(loads):
        columns = columns_of(load.data) if load.state == State.COMPLETE else {}
        change = compared(before, columns) if before is not None and columns else None
        found.append(_line(load, columns, change))
        before = columns or before
    return found[::-1]


def compared(before: Mapping[str, str], now: Mapping[str, str]) -> Change:
    return Change(
        added=tuple(name for name in now if name not in before),
        gone=tuple(name for name in before if name not in now),
        retyped=tuple((name, before[name], now[name]) for name in now if name in before and before[name] != now[name]),
    )


def columns_of(data: Json) -> dict[str, str]:
    """Column -> type, as the report tells them."""
    told = data.get("columns") if isinstance(data, dict) else None
    columns = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return {str(each.get("name")): str(each.get("ckan")) for each in columns}


def _line(load: Load, columns: Mapping[str, str], change: Change | None) -> LoadLine:
    data = load.data if isinstance(load.data, dict) else {}
    file = data.get("file")
    return LoadLine(
        load=load,
        rows=_count(data.get("rows")),
        rejected=_count(data.get("rejected")),
        size_bytes=_count(file.get("size_bytes")) if isinstance(file, dict) else None,
        columns=len(columns) or None,
        seconds=between(load.started_at, load.finished_at),
        change=change,
    )


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
