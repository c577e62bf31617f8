"""Live events of jobs, from the bus to whoever listens in this process."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from publisher.bus import Bus, Consumer, Message
from schemas.errors import InvalidMessage
from schemas.messages import Event

logger = logging.getLogger(__name__)

#: Events a slow listener may fall behind; what it misses it finds in the store.
BACKLOG = 1000
#: How long the bus is listened to after the last listener has gone, since another one often follows.
LINGER_S = 30.0


class Listener:
    """Hears the events of one job. To be used on the event loop only."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Event] = asyncio.Queue(BACKLOG)

    def tell(self, event: Event) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._heard.put_nowait(event)

    async def next(self, limit_s: float) -> Event | None:
        """The next event; None when none comes within *limit_s* seconds."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._heard.get()
        except TimeoutError:
            return None


@dataclass(slots=True)
class _Tap:
    """One subscription on the bus, for all listeners to jobs of one type."""

    consumer: Consumer
    listeners: int = 0
    closing: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class EventHub:
    """Shares subscriptions among listeners: the bus is asked once a job type, and only while somebody listens."""

    bus: Bus
    exchange: str
    loop: asyncio.AbstractEventLoop
    _taps: dict[str, _Tap] = field(default_factory=dict)
    _listeners: dict[str, list[Listener]] = field(default_factory=dict)

    def open_tap(self, job_type: str) -> None:
        """Listens to this job type for good: a synchronous job may end before a fresh subscription is there."""
        self._tap(job_type).listeners += 1

    @contextlib.contextmanager
    def listening(self, job_id: str, job_type: str) -> Iterator[Listener]:
        listener = Listener()
        tap = self._tap(job_type)
        tap.listeners += 1
        self._listeners.setdefault(job_id, []).append(listener)
        try:
            yield listener
        finally:
            self._leave(job_id, listener)
            tap.listeners -= 1
            if not tap.listeners:
                tap.closing = self.loop.call_later(LINGER_S, self._close_tap, job_type)

    def close(self) -> None:
        for job_type in list(self._taps):
            self._close_tap(job_type)

    def _tap(self, job_type: str) -> _Tap:
        tap = self._taps.get(job_type)
        if tap is None:
            tap = self._taps[job_type] = _Tap(self.bus.subscribe(self.exchange, f"job.*.{job_type}", self._hear))
        if tap.closing is not None:
            tap.closing.cancel()
            tap.closing = None
        return tap

    def _close_tap(self, job_type: str) -> None:
        tap = self._taps.pop(job_type, None)
        if tap is None:  # the hub was closed meanwhile
            return
        if tap.closing is not None:
            tap.closing.cancel()
        tap.consumer.cancel()

    def _leave(self, job_id: str, listener: Listener) -> None:
        remaining = [each for each in self._listeners[job_id] if each is not listener]
        if remaining:
            self._listeners[job_id] = remaining
        else:
            del self._listeners[job_id]

    def _hear(self, message: Message) -> None:
        """On the bus's thread."""
        if not self._listeners:
            return
        try:
            event = Event.decode(message.body)
        except InvalidMessage as error:
            logger.warning("an event that is none, on %s: %s", message.routing_key, error)
            return
        if event.job_id in self._listeners:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self.loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners.get(event.job_id, ()):
            listener.tell(event)
