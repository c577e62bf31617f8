"""The bus as the dashboard sees it: depths of all queues, and the dead. Its calls block, so they are made on threads."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from aiohttp import web

from gateway.store_threads import StoreThreads
from publisher import dead
from publisher.bus import Bus
from publisher.dead import Chosen, DeadLetter
from schemas.errors import BusError, StoreUnavailable
from schemas.topology import Topology, delay_label

T = TypeVar("T")

#: A page must not wait longer for figures.
DEPTHS_S = 1.5
#: Taking a thousand messages in hand and giving them back; publishing them anew.
LOOK_S, CHANGE_S = 15.0, 60.0
#: Several people who watch the overview ask the broker once.
FRESH_S = 2.0


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue and what it is for."""

    name: str
    purpose: str
    #: "work", "recorder", "callbacks", "retry", "dead"
    role: str
    #: Of a work queue.
    job_type: str
    #: Messages that wait; None where the bus does not tell.
    depth: int | None = None
    #: Processes that take them; None where the bus does not tell.
    consumers: int | None = None


class BusView:
    """Made for one gateway; `close` ends its threads."""

    def __init__(self, bus: Bus, topology: Topology) -> None:
        self._bus = bus
        self._topology = topology
        self._queues = tuple(_views(topology))
        # Two looks at the same time would hide messages from each other: one thread for them.
        self._figures, self._hands = StoreThreads("queue depths", 1), StoreThreads("dead letters", 1)
        self._known: tuple[float, tuple[QueueView, ...]] = (float("-inf"), ())

    @property
    def absence(self) -> str:
        """Why the bus cannot be used; "" when it can."""
        return self._bus.absence

    async def queues(self) -> tuple[QueueView, ...]:
        """Every queue, with its depth where the bus tells it in time."""
        if time.monotonic() - self._known[0] > FRESH_S:
            try:
                found = await _in_time(self._figures, self._measured, DEPTHS_S)
            except BusError:
                found = self._queues
            self._known = (time.monotonic(), found)
        return self._known[1]

    async def look(self, *, callbacks: bool) -> list[DeadLetter]:
        """The dead, at most `publisher.dead.WINDOW`, oldest first. Raises: BusError."""
        return await _in_time(self._hands, partial(dead.look, self._bus, self._queue(callbacks), dead.chosen()), LOOK_S)

    async def replay(self, is_chosen: Chosen, *, callbacks: bool) -> list[DeadLetter]:
        """Puts them back into the queues they come from. Raises: BusError."""
        call = partial(dead.replay, self._bus, self._topology.names, self._queue(callbacks), is_chosen)
        return await _in_time(self._hands, call, CHANGE_S)

    async def purge(self, is_chosen: Chosen, *, callbacks: bool) -> list[DeadLetter]:
        """Forgets them. Raises: BusError."""
        return await _in_time(self._hands, partial(dead.purge, self._bus, self._queue(callbacks), is_chosen), CHANGE_S)

    def close(self) -> None:
        self._figures.close()
        self._hands.close()

    def _queue(self, callbacks: bool) -> str:
        names = self._topology.names
        return names.dead_callbacks if callbacks else names.dead

    def _measured(self) -> tuple[QueueView, ...]:
        if not self._bus.connected:
            return self._queues
        return tuple(self._look_at(each) for each in self._queues)

    def _look_at(self, queue: QueueView) -> QueueView:
        consumers = self._bus.consumers(queue.name) if queue.role == "recorder" else None
        return replace(queue, depth=self._bus.depth(queue.name), consumers=consumers)


def _views(topology: Topology) -> Sequence[QueueView]:
    names = topology.names
    types = [binding.routing_key for binding in topology.bindings if binding.exchange == names.jobs]
    work = [QueueView(names.work(each), f"jobs: {each}", "work", each) for each in sorted(set(types))]
    waits = [
        QueueView(each.name, f"trying again after {delay_label(each.delay_s)}", "retry", "")
        for each in topology.queues
        if each.delay_s is not None
    ]
    return [
        *work,
        QueueView(names.callbacks, "callbacks to CKAN", "callbacks", ""),
        QueueView(names.recorder, "events for the recorder", "recorder", ""),
        *waits,
        QueueView(names.dead, "dead jobs", "dead", ""),
        QueueView(names.dead_callbacks, "dead callbacks", "dead", ""),
    ]


#: The gateway's own.
BUS_VIEW = web.AppKey("bus_view", BusView)


async def _in_time(threads: StoreThreads, call: Callable[[], T], limit_s: float) -> T:
    """Raises: BusError."""
    try:
        return await threads.run(call, limit_s=limit_s)
    except StoreUnavailable:  # what the threads say of a call that lasts too long
        raise BusError(f"The bus did not answer within {limit_s:g} s; try again later.") from None
