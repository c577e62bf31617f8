"""Finds jobs that nobody works on any more, though they never ended, and brings them back (promise 1).

A job's message can only be lost with the broker's disk, and its last event only with a worker's and the broker's. Then the
store is what is left: a job that the gateway accepted is published again, as its claim keeps copies from running twice; any
other has its outcome told again, or that it was lost.
"""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, and_, or_, select

from consumer.outcome import FINAL, Outcome
from consumer.outgoing import event_message
from publisher.bus import Bus, Message
from schemas.errors import BusError, StoreUnavailable
from schemas.messages import A_START, JOB_TYPE, Event, Job, Json, Kind, State
from schemas.store import reading
from schemas.tables import claims, jobs, outbox
from schemas.topology import Topology

logger = logging.getLogger(__name__)

SWEEP_EVERY_S = 60.0
#: A job is looked at when nothing was heard of it for that long, and is brought back once in that time.
STALE_S = 3600.0
#: Jobs brought back in one sweep.
MOST = 100
CONFIRM_S = 10.0
OPEN_STATES = tuple(state for state in State if not state.final)
LOST: Json = {"message": "The job was lost together with its message, and what it needs is not in the store. Send it again."}


@dataclass(frozen=True)
class Stale:
    job: Job
    outcome: Outcome | None
    starts: int

    @property
    def republished(self) -> bool:
        """Whether a worker is to see to it: it runs the job, or tells again how it ended and sends a missing callback."""
        return bool(self.job.api_key) and not (self.outcome and self.outcome.kind is Kind.DEAD)


class Sweeper:
    """For one thread."""

    def __init__(self, engine: Engine, bus: Bus, topology: Topology, stale_s: float = STALE_S) -> None:
        self._engine = engine
        self._bus = bus
        self._topology = topology
        self._stale_s = stale_s
        self._next_sweep = time.monotonic() + min(SWEEP_EVERY_S, stale_s)
        self._brought_back: dict[str, float] = {}

    def turn(self) -> None:
        """Sweeps, if it is time."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + min(SWEEP_EVERY_S, self._stale_s)
        self._brought_back = {key: at for key, at in self._brought_back.items() if at > now - self._stale_s}
        try:
            self._sweep(now)
        except (StoreUnavailable, BusError, FutureTimeout) as error:
            logger.warning("no sweep for stale jobs: %s", error)

    def _sweep(self, now: float) -> None:
        found = [stale for stale in self._find() if stale.job.job_id not in self._brought_back]
        # As long as anything waits anywhere, it may be what we miss.
        if not found or any(self._bus.depth(queue) for queue in self._queues()):
            return
        for stale in found:
            logger.warning("job %s (%s) is stale: %s", stale.job.job_id, stale.job.job_type, _what_to_do(stale))
            self._bus.publish(self._message(stale)).result(CONFIRM_S)
            self._brought_back[stale.job.job_id] = now

    def _find(self) -> list[Stale]:
        before = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=self._stale_s)
        unclaimed = or_(claims.c.job_id.is_(None), and_(~claims.c.running, claims.c.changed_at < before))
        query = (
            select(jobs, claims.c.outcome, claims.c.starts)
            .outerjoin(claims, claims.c.job_id == jobs.c.job_id)
            .outerjoin(outbox, outbox.c.job_id == jobs.c.job_id)
            .where(jobs.c.state.in_(OPEN_STATES), jobs.c.requested_at < before, outbox.c.job_id.is_(None), unclaimed)
            .order_by(jobs.c.requested_at)
            .limit(MOST)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            Stale(
                job=Job(
                    job_id=row.job_id,
                    job_type=row.job_type,
                    api_key=row.api_key or "",
                    result_url=row.result_url,
                    metadata=row._mapping[jobs.c.metadata],
                    data=row.sent_data,
                ),
                outcome=Outcome.from_dict(row.outcome) if row.outcome else None,
                starts=row.starts or 0,
            )
            for row in rows
        ]

    def _queues(self) -> Iterable[str]:
        names = self._topology.names
        waiting = [queue.name for queue in self._topology.queues if queue.delay_s is not None]
        return (*(each.queue for each in self._topology.bindings if each.exchange == names.jobs), *waiting)

    def _message(self, stale: Stale) -> Message:
        job, names = stale.job, self._topology.names
        if stale.republished:
            return Message(
                exchange=names.jobs, routing_key=job.job_type, body=job.encode(), message_id=job.job_id, type=JOB_TYPE
            )
        if stale.outcome:
            return event_message(stale.outcome.event(job.job_id, job.job_type, "/recorder"), names)
        lost = Event(
            job_id=job.job_id,
            job_type=job.job_type,
            kind=Kind.DEAD,
            sequence=stale.starts * A_START + FINAL,
            data={"reason": "lost", "error": LOST},
            source="/recorder",
        )
        return event_message(lost, names)


def _what_to_do(stale: Stale) -> str:
    if stale.republished:
        return "it is published again"
    return "its outcome is told again" if stale.outcome else "it is told that it was lost"
