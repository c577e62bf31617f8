"""What the doctor looks at, and what it says of each thing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from publisher.bus import Bus
from schemas.settings import Settings
from schemas.topology import Topology

Verdict = Literal["ok", "warning", "wrong"]
CONNECT_S = 5.0
#: Clocks further apart than this make leases and `task_created` comparisons wrong.
CLOCK_LIMIT_S = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check saw. *advice* says what to do; empty where nothing is to be done.

    A promise does not hold with what is `wrong`; with a `warning` it holds less well, or could not be looked at.
    """

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined. *ckan_url*, *api_key* and *gateway_url* are looked at where given."""

    settings: Settings
    store_url: str
    topology: Topology
    connect: Callable[[], Bus]
    ckan_url: str = ""
    api_key: str = ""
    gateway_url: str = ""

    @property
    def on_rabbitmq(self) -> bool:
        return self.settings.broker_url.startswith("amqp")


def either(check: str, holds: bool, good: str, bad: str, advice: str) -> Finding:
    return Finding(check, "ok", good) if holds else Finding(check, "wrong", bad, advice)


def clock(check: str, there: object) -> Finding:
    """*there* is what it says what time it is; without a zone it is UTC."""
    if isinstance(there, str):
        there = datetime.fromisoformat(there)
    assert isinstance(there, datetime)
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    apart_s = abs((datetime.now(UTC) - there).total_seconds())
    if apart_s <= CLOCK_LIMIT_S:
        return Finding(check, "ok", f"{apart_s:.1f} s from ours")
    advice = "run NTP on both machines: leases and CKAN's task times rest on it"
    return Finding(check, "wrong", f"{apart_s:.0f} s from ours", advice)
