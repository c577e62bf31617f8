"""Finds jobs that nobody works on any more, though they never ended, and brings them back (promise 1).

A job's message can only be lost with its queue or the broker's disk, and its last event only with a worker's and the broker's.
Then the store is what is left: a job that the gateway accepted is published again, as its claim keeps copies from running
twice; any other has its outcome told again, or that it was lost. The same where only the callback got lost.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, Select, and_, func, or_, select

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
#: A job is told to be lost when nothing was heard of it for that long; none is brought back more than once in that time.
STALE_S = 3600.0
#: One that can be brought back is after so long, since a copy of a message does no harm.
QUIET_S = 120.0
#: Callbacks are looked for among the jobs that ended in the last so many seconds; their longest wait is a day.
CALLBACKS_S = 26 * 3600.0
#: Jobs brought back in one sweep.
MOST = 1000
#: Younger jobs that are looked at, to see whether one has overtaken.
YOUNGER = 10_000
CONFIRM_S = 10.0
OPEN_STATES = tuple(state for state in State if not state.final)
LOST: Json = {"message": "The job was lost together with its message, and what it needs is not in the store. Send it again."}


@dataclass(frozen=True)
class Stale:
    job: Job
    requested_at: datetime
    #: When its claim was changed last; None for one that nobody has claimed.
    claimed_at: datetime | None
    outcome: Outcome | None
    starts: int

    @property
    def heard_of(self) -> datetime:
        return self.claimed_at or self.requested_at

    @property
    def harmless(self) -> bool:
        """Whether bringing it back changes nothing should its message be there after all."""
        return self.republished or self.outcome is not None

    @property
    def republished(self) -> bool:
        """Whether a worker is to see to it: it runs the job, or tells again how it ended and sends a missing callback."""
        return bool(self.job.api_key) and not (self.outcome and self.outcome.kind is Kind.DEAD)


class Sweeper:
    """For one thread."""

    def __init__(
        self, engine: Engine, bus: Bus, topology: Topology, stale_s: float = STALE_S, quiet_s: float = QUIET_S
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._topology = topology
        self._stale_s = stale_s
        self._quiet_s = min(quiet_s, stale_s)
        self._next_sweep = time.monotonic() + min(SWEEP_EVERY_S, stale_s)
        self._next_look_at_callbacks = time.monotonic() + stale_s
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
            if now >= self._next_look_at_callbacks:
                self._next_look_at_callbacks = now + self._stale_s
                self._sweep_callbacks(now)
        except (StoreUnavailable, BusError, FutureTimeout) as error:
            logger.warning("no sweep for stale jobs: %s", error)

    def _sweep(self, now: float) -> None:
        found = [stale for stale in self._found(self._open()) if stale.job.job_id not in self._brought_back]
        # As long as anything waits anywhere, it may be what we miss; but not if younger jobs have come out before it.
        idle = bool(found) and self._nothing_in(self._queues())
        overtakers = {} if idle else self._overtakers(found)
        long_ago = _ago(self._stale_s)
        for stale in found:
            if idle and (stale.harmless or stale.heard_of < long_ago):
                self._bring_back(stale, now)
            elif stale.harmless and stale.claimed_at is None and self._is_overtaken(stale, overtakers):
                self._bring_back(stale, now)

    def _sweep_callbacks(self, now: float) -> None:
        """Jobs that ended, and whose callback is neither delivered nor dead nor anywhere."""
        found = [stale for stale in self._found(self._uncalled()) if stale.republished]
        if found and self._nothing_in((*self._queues(), self._topology.names.callbacks)):
            for stale in found:
                self._bring_back(stale, now)

    def _bring_back(self, stale: Stale, now: float) -> None:
        logger.warning("job %s (%s) is stale: %s", stale.job.job_id, stale.job.job_type, _what_to_do(stale))
        self._bus.publish(self._message(stale)).result(CONFIRM_S)
        self._brought_back[stale.job.job_id] = now

    def _nothing_in(self, queues: Iterable[str]) -> bool:
        return not any(self._bus.depth(queue) for queue in queues)

    def _open(self) -> Select[Any]:
        """Unclaimed ones first: those that wait for another try have their message in a retry queue."""
        before = _ago(self._quiet_s)
        unclaimed = or_(claims.c.job_id.is_(None), and_(~claims.c.running, claims.c.changed_at < before))
        return (
            _with_claim()
            .outerjoin(outbox, outbox.c.job_id == jobs.c.job_id)
            .where(jobs.c.state.in_(OPEN_STATES), jobs.c.requested_at < before, outbox.c.job_id.is_(None), unclaimed)
            .order_by(claims.c.job_id.is_not(None), jobs.c.requested_at)
        )

    def _uncalled(self) -> Select[Any]:
        ended = jobs.c.finished_at.between(_ago(CALLBACKS_S), _ago(self._stale_s))
        waits = jobs.c.callback["state"].as_string().in_(("waiting", "retrying"))
        return _with_claim().where(ended, jobs.c.result_url.is_not(None), waits, ~claims.c.callback_delivered)

    def _overtakers(self, found: Sequence[Stale]) -> dict[str, datetime]:
        """By job type: when the youngest job was asked for that is much younger than the oldest of *found*, and has begun."""
        oldest: dict[str, datetime] = {}
        for stale in found:
            oldest[stale.job.job_type] = min(stale.requested_at, oldest.get(stale.job.job_type, stale.requested_at))
        with reading(self._engine) as connection:
            begun = {kind: connection.scalar(self._begun(kind, at)) for kind, at in oldest.items()}
        return {kind: at for kind, at in begun.items() if at is not None}

    def _begun(self, job_type: str, requested_at: datetime) -> Select[Any]:
        after = requested_at + timedelta(seconds=self._quiet_s)
        younger = select(jobs.c.job_id, jobs.c.requested_at).where(jobs.c.job_type == job_type, jobs.c.requested_at > after)
        some = younger.order_by(jobs.c.requested_at).limit(YOUNGER).subquery()
        return select(func.max(some.c.requested_at)).join(claims, claims.c.job_id == some.c.job_id).where(claims.c.starts > 0)

    def _is_overtaken(self, stale: Stale, overtakers: dict[str, datetime]) -> bool:
        youngest = overtakers.get(stale.job.job_type)
        return youngest is not None and youngest > stale.requested_at + timedelta(seconds=self._quiet_s)

    def _found(self, query: Select[Any]) -> list[Stale]:
        with reading(self._engine) as connection:
            return [_stale(row) for row in connection.execute(query.limit(MOST)).all()]

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


def _with_claim() -> Select[Any]:
    columns = (jobs, claims.c.outcome, claims.c.starts, claims.c.changed_at)
    return select(*columns).outerjoin(claims, claims.c.job_id == jobs.c.job_id)


def _stale(row: Row[Any]) -> Stale:
    told = row._mapping
    job = Job(
        job_id=told[jobs.c.job_id],
        job_type=told[jobs.c.job_type],
        api_key=told[jobs.c.api_key] or "",
        result_url=told[jobs.c.result_url],
        metadata=told[jobs.c.metadata],
        data=told[jobs.c.sent_data],
    )
    outcome = Outcome.from_dict(told[claims.c.outcome]) if told[claims.c.outcome] else None
    return Stale(job, told[jobs.c.requested_at], told[claims.c.changed_at], outcome, told[claims.c.starts] or 0)


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds)


def _what_to_do(stale: Stale) -> str:
    if stale.republished:
        return "it is published again"
    return "its outcome is told again" if stale.outcome else "it is told that it was lost"
