"""Where callbacks wait until the store shows how their job ended.

CKAN asks for the job as soon as it is called back. The end of a job is told before its callback is published, but the
recorder may be a moment behind: CKAN would then show a finished job as pending.
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, and_, or_, select

from publisher.bus import Delivery
from schemas.errors import InvalidMessage, StoreUnavailable
from schemas.messages import A_START, Callback, State
from schemas.store import reading
from schemas.tables import jobs

logger = logging.getLogger(__name__)

#: How often the store is asked, for all that wait at once.
LOOK_EVERY_S = 0.05
#: A recorder that is away must not hold callbacks back for long: they carry the whole result themselves.
PATIENCE_S = 5.0
OPEN_STATES = tuple(state for state in State if not state.final)


@dataclass(frozen=True)
class _Guest:
    delivery: Delivery
    callback: Callback
    #: On the clock of `time.monotonic`.
    until: float


class Lobby:
    """`enter` may be called from any thread and returns at once; `run` has to run for anybody to be admitted."""

    def __init__(self, engine: Engine, admit: Callable[[Delivery], None]) -> None:
        self._engine = engine
        self._admit = admit
        self._arrivals: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._guests: list[_Guest] = []

    def enter(self, delivery: Delivery) -> None:
        self._arrivals.put(delivery)

    def close(self) -> None:
        """Ends `run`, which gives back who still waits."""
        self._arrivals.put(None)

    def run(self) -> None:
        while (delivery := self._arrivals.get()) is not None:
            self._seat(delivery)
            while self._guests and self._arrivals.empty():
                self._admit_guests()
                time.sleep(LOOK_EVERY_S if self._guests else 0)
        for guest in self._guests:
            guest.delivery.release()

    def _seat(self, delivery: Delivery) -> None:
        try:
            callback = Callback.decode(delivery.message.body)
        except InvalidMessage:
            self._admit(delivery)  # whoever delivers it says what is wrong with it
        else:
            self._guests.append(_Guest(delivery, callback, time.monotonic() + PATIENCE_S))

    def _admit_guests(self) -> None:
        """Those whose job's end is in the store, and those who have waited long enough."""
        open_jobs = self._open([guest.callback for guest in self._guests])
        now = time.monotonic()
        staying = [guest for guest in self._guests if guest.callback.job_id in open_jobs and now < guest.until]
        for guest in self._guests:
            if guest not in staying:
                self._admit(guest.delivery)
        self._guests = staying

    def _open(self, callbacks: Sequence[Callback]) -> set[str]:
        """Of the jobs of *callbacks*, those that the store knows and shows as not ended, or as ended before a replay."""
        known = [
            and_(
                jobs.c.job_id == callback.job_id,
                or_(jobs.c.state.in_(OPEN_STATES), jobs.c.sequence < callback.sequence - A_START),
            )
            for callback in callbacks
        ]
        try:
            with reading(self._engine) as connection:
                return set(connection.execute(select(jobs.c.job_id).where(or_(*known))).scalars())
        except StoreUnavailable as error:
            logger.warning("callbacks are sent without a look at their jobs: %s", error.message)
            return set()
