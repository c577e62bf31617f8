"""Progress waits a moment for better; nothing else does, and the last is always told."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from consumer import unhurried
from consumer.unhurried import Unhurried
from schemas.messages import Json, Kind


class Heard(list[tuple[Kind, Mapping[str, Json]]]):
    def __call__(self, kind: Kind, data: Mapping[str, Json]) -> None:
        self.append((kind, data))


def step(number: int) -> tuple[Kind, dict[str, Any]]:
    return Kind.PROGRESS, {"stage": "reading", "rows": number}


def test_of_progress_that_comes_at_once_the_last_is_told_and_lines_do_not_wait() -> None:
    heard = Heard()
    holding = Unhurried(heard)
    holding.tell(*step(1))
    holding.tell(Kind.LOG, {"message": "a line"})
    holding.tell(*step(2))
    assert heard == [(Kind.LOG, {"message": "a line"})]
    holding.close()
    assert heard[1:] == [step(2)]
    holding.close()
    assert len(heard) == 2


def test_progress_that_nothing_follows_is_told_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unhurried, "HOLD_S", 0.02)
    heard = Heard()
    holding = Unhurried(heard)
    assert holding.patience_s is None
    holding.tell(*step(1))
    assert holding.patience_s is not None and 0 < holding.patience_s <= 0.02
    time.sleep(holding.patience_s)
    holding.go_on()
    assert heard == [step(1)] and holding.patience_s is None


def test_progress_that_never_stops_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unhurried, "HOLD_S", 0.02)
    heard = Heard()
    holding = Unhurried(heard)
    for number in range(20):
        holding.tell(*step(number))
        time.sleep(0.005)
    assert 2 <= len(heard) <= 10
