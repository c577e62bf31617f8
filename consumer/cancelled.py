"""Tells at once of cancelled jobs that wait: their messages may lie in a queue for an hour before a worker sees them.

Nobody starts a job that is cancelled, so its end is certain; the worker that gets the message later tells the same event
under the same id, and sends the callback.
"""

import logging
import time
from concurrent.futures import TimeoutError as FutureTimeout

from sqlalchemy import Engine, func, or_, select

from consumer.outcome import FINAL
from consumer.outgoing import event_message
from consumer.retry import CANCELLED
from publisher.bus import Bus
from schemas.errors import BusError, StoreUnavailable
from schemas.messages import A_START, Event, Kind, State
from schemas.store import reading
from schemas.tables import cancellations, claims, jobs
from schemas.topology import Names

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MOST = 100
CONFIRM_S = 10.0
OPEN_STATES = tuple(state for state in State if not state.final)


class WaitingCancelled:
    """For one thread."""

    def __init__(self, engine: Engine, bus: Bus, names: Names) -> None:
        self._engine = engine
        self._bus = bus
        self._names = names
        self._next_look = 0.0

    def turn(self) -> None:
        """Looks, if it is time."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        try:
            for event in self._find():
                self._bus.publish(event_message(event, self._names)).result(CONFIRM_S)
        except (StoreUnavailable, BusError, FutureTimeout) as error:
            logger.warning("waiting jobs that were cancelled are not told yet: %s", error)

    def _find(self) -> list[Event]:
        idle = or_(claims.c.job_id.is_(None), ~claims.c.running)
        query = (
            select(jobs.c.job_id, jobs.c.job_type, func.coalesce(claims.c.starts, 0).label("starts"))
            .join(cancellations, cancellations.c.job_id == jobs.c.job_id)
            .outerjoin(claims, claims.c.job_id == jobs.c.job_id)
            .where(jobs.c.state.in_(OPEN_STATES), idle, claims.c.outcome.is_(None))
            .limit(MOST)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            Event(
                job_id=row.job_id,
                job_type=row.job_type,
                kind=Kind.CANCELLED,
                sequence=row.starts * A_START + FINAL,
                data=CANCELLED.data,
                source="/recorder",
            )
            for row in rows
        ]
