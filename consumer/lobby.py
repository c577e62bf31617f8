"""Where callbacks wait until the store shows how their job ended.

CKAN asks for the job as soon as it is called back. The end of a job is told before its callback is published, but the
recorder may be a moment behind: CKAN would then show a finished job as pending.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, bindparam, select

from publisher.bus import Delivery
from schemas.errors import InvalidMessage, StoreUnavailable
from schemas.messages import A_START, Callback, State
from schemas.store import reading_alone
from schemas.tables import jobs

logger = logging.getLogger(__name__)

#: How often the store is asked, for all that wait at once.
LOOK_EVERY_S = 0.05
#: A recorder that is away must not hold callbacks back for long: they carry the whole result themselves.
PATIENCE_S = 5.0
OPEN_STATES = frozenset(state for state in State if not state.final)
LOOK = select(jobs.c.job_id, jobs.c.state, jobs.c.sequence).where(jobs.c.job_id.in_(bindparam("job_ids", expanding=True)))


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
        jobs_now = self._looked_up([guest.callback.job_id for guest in self._guests])
        now = time.monotonic()
        staying = []
        for guest in self._guests:
            if now < guest.until and _is_open(jobs_now.get(guest.callback.job_id), guest.callback):
                staying.append(guest)
            else:
                self._admit(guest.delivery)
        self._guests = staying

    def _looked_up(self, job_ids: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """State and sequence of the jobs that the store knows."""
        try:
            with reading_alone(self._engine) as connection:
                found = connection.execute(LOOK, {"job_ids": job_ids})
                return {job_id: (state, sequence) for job_id, state, sequence in found}
        except StoreUnavailable as error:
            logger.warning("callbacks are sent without a look at their jobs: %s", error.message)
            return {}


def _is_open(job: tuple[str, int] | None, callback: Callback) -> bool:
    """Whether *job* is known and shown as not ended, or as ended before a replay."""
    if job is None:
        return False
    state, sequence = job
    return state in OPEN_STATES or sequence < callback.sequence - A_START
