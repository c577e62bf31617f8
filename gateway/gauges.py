"""What the store and the bus tell of the whole service at the moment of a scrape; the same from each gateway."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, select

from gateway.queries import outbox_depth
from gateway.ui.bus_view import QueueView
from gateway.ui.queries import oldest_waiting
from gateway.workers import LivingWorker, living
from schemas.messages import State
from schemas.metrics import Figures
from schemas.store import store_now
from schemas.tables import claims, jobs

#: The rest are at rest, and millions: counting them would take longer than all else.
COUNTED = (State.QUEUED, State.RUNNING, State.RETRYING, State.DEAD)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Times are naive UTC."""

    now: datetime
    #: State -> jobs, of COUNTED; states without jobs are absent.
    jobs: Mapping[str, int]
    #: Job type -> since when the longest waiting of its queued jobs waits.
    oldest: Mapping[str, datetime]
    outbox: int
    outbox_since: datetime | None
    #: Jobs that workers hold, and those of them whose lease is over.
    held: int
    expired: int
    workers: Sequence[LivingWorker]


def snapshot(connection: Connection) -> Snapshot:
    now = store_now(connection)
    depth, since = outbox_depth(connection)
    # Written as the index `claims_one_running` has it: SQLite compares the words.
    running = select(func.count(), func.count().filter(claims.c.lease_until < now)).where(literal_column("claims.running"))
    held, expired = connection.execute(running).one()
    return Snapshot(now, _by_state(connection), oldest_waiting(connection), depth, since, held, expired, living(connection))


def _by_state(connection: Connection) -> dict[str, int]:
    wanted = select(jobs.c.state, func.count()).where(jobs.c.state.in_([state.value for state in COUNTED]))
    return {state: count for state, count in connection.execute(wanted.group_by(jobs.c.state))}


class Gauges:
    """Shows snapshots. What is not in one is shown as none, not as it was."""

    def __init__(self, figures: Figures, job_types: Collection[str]) -> None:
        self._job_types = job_types
        self._up = figures.gauge("datapusher_store_up")
        self._jobs = figures.gauge("datapusher_jobs")
        self._outbox = figures.gauge("datapusher_outbox_jobs")
        self._outbox_s = figures.gauge("datapusher_outbox_oldest_seconds")
        self._queues = figures.gauge("datapusher_queue_messages")
        self._oldest_s = figures.gauge("datapusher_queue_oldest_seconds")
        self._claims = figures.gauge("datapusher_claims_running")
        self._workers = figures.gauge("datapusher_workers")
        self._slots = figures.gauge("datapusher_workers_slots")

    def show(self, seen: Snapshot | None) -> None:
        """*seen* is None when the store did not answer: the figures stay, and `datapusher_store_up` says that they are old."""
        self._up.set(seen is not None)
        if seen is None:
            return
        for state in COUNTED:
            self._jobs.labels(state.value).set(seen.jobs.get(state.value, 0))
        self._outbox.set(seen.outbox)
        self._outbox_s.set(_age(seen.outbox_since, seen.now))
        for job_type in self._job_types:
            self._oldest_s.labels(job_type).set(_age(seen.oldest.get(job_type), seen.now))
        self._claims.labels("held").set(seen.held)
        self._claims.labels("expired").set(seen.expired)
        busy, slots = sum(each.busy for each in seen.workers), sum(each.slots for each in seen.workers)
        self._workers.set(len(seen.workers))
        self._slots.labels("busy").set(busy)
        self._slots.labels("free").set(slots - busy)

    def show_queues(self, queues: Sequence[QueueView]) -> None:
        for queue in queues:
            self._queues.labels(queue.name).set(math.nan if queue.depth is None else queue.depth)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
