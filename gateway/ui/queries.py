"""What the dashboard reads from the store, by name. No query reads more rows than it says, however many jobs there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, DateTime, Subquery, bindparam, func, literal, literal_column, select, text

from gateway.queries import outbox_depth
from gateway.workers import LivingWorker, living
from schemas.messages import Json, State
from schemas.tables import cancellations, ckan_key, claims, jobs, rejects

#: Counts stop here: nobody needs to know how many more there are.
COUNTED = 10_000
#: Rows looked at for rates and for the oldest of the waiting.
SAMPLED = 5_000
#: Running jobs shown.
MOST_RUNNING = 200
MOST_CKANS = 50
#: Rates are those of so long.
RATE_SPAN = timedelta(minutes=5)
#: A worker's clock may be ahead of ours.
CLOCKS_DIFFER = timedelta(minutes=1)
#: The states whose jobs are not at rest, and the dead, which somebody should look at.
COUNTED_STATES = (State.QUEUED, State.RUNNING, State.RETRYING, State.DEAD)


#: As text: a hundred of them take SQLAlchemy longer to put together than a database to answer.
ENDED_IN_RANGE = """
    SELECT {start}, count(*) FILTER (WHERE state = 'complete'), count(*) FILTER (WHERE state IN ('error', 'dead')),
           count(*) FILTER (WHERE state = 'cancelled')
    FROM jobs WHERE finished_at >= :edge_{start} AND finished_at < :edge_{stop}
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A claim that holds: which worker runs which job. Times are naive UTC."""

    job_id: str
    #: "/worker/<host>/<process id>/<slot>"
    owner: str
    starts: int
    lease_until: datetime | None
    #: When this start began.
    changed_at: datetime
    #: None where the recorder has not heard of the job yet; so are the rest.
    job_type: str | None
    resource_id: str | None
    progress: Json

    @property
    def worker(self) -> str:
        """Host and process, without the slot."""
        return self.owner.removeprefix("/worker/").rpartition("/")[0] or self.owner

    @property
    def slot(self) -> str:
        return self.owner.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How many jobs ended, and how, in some span of time from *start* on."""

    start: datetime
    complete: int
    failed: int
    cancelled: int

    @property
    def all(self) -> int:
        return self.complete + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on."""

    #: State -> jobs, of COUNTED_STATES, up to COUNTED.
    counts: Mapping[str, int]
    #: Job type -> since when the longest waiting of its queued jobs waits.
    oldest: Mapping[str, datetime]
    #: Job type -> jobs that came in, and that ended, in the last RATE_SPAN.
    accepted: Mapping[str, int]
    ended: Mapping[str, int]
    #: Jobs that ended, span by span as it was asked for.
    spans: Sequence[Ended]
    last_hour: Ended
    running: Sequence[Running]
    workers: Sequence[LivingWorker]
    #: Accepted jobs that the bus does not have yet, and since when the oldest waits.
    outbox: tuple[int, datetime | None]


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the page of one job shows besides its row in `gateway.queries.JobRow`."""

    started_at: datetime | None
    worker: str | None
    resource_id: str | None
    ckan_url: str | None
    #: The claim, if a worker has taken the job before.
    starts: int | None
    owner: str | None
    lease_until: datetime | None
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Load:
    """One job of a resource, with its report."""

    job_id: str
    state: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_text: str | None
    data: Json


@dataclass(frozen=True, slots=True)
class Reject:
    row: int
    reason: str
    text: str | None


def activity(connection: Connection, now: datetime, edges: Sequence[datetime]) -> Activity:
    """All the overview shows of the store; jobs that ended from each of *edges* to the next."""
    minute = now.replace(second=0, microsecond=0)
    return Activity(
        counts=few_by_state(connection),
        oldest=oldest_waiting(connection),
        accepted=accepted_since(connection, now - RATE_SPAN),
        ended=ended_since(connection, now - RATE_SPAN),
        spans=ended_between(connection, edges),
        last_hour=ended_between(connection, (minute - timedelta(hours=1), now + CLOCKS_DIFFER))[0],
        running=running(connection),
        workers=living(connection),
        outbox=outbox_depth(connection),
    )


def few_by_state(connection: Connection) -> dict[str, int]:
    """Jobs in each of COUNTED_STATES, counted up to COUNTED."""
    counts = {}
    for state in COUNTED_STATES:
        found = select(literal(1).label("one")).where(jobs.c.state == state.value).limit(COUNTED).subquery()
        counts[state.value] = connection.execute(select(func.count()).select_from(found)).scalar_one()
    return counts


def oldest_waiting(connection: Connection) -> dict[str, datetime]:
    """Job type -> since when the longest waiting of its queued jobs waits; looks at the SAMPLED oldest."""
    waiting = select(jobs.c.job_type, jobs.c.requested_at).where(jobs.c.state == State.QUEUED.value)
    oldest = waiting.order_by(jobs.c.requested_at, jobs.c.job_id).limit(SAMPLED).subquery()
    found = connection.execute(select(oldest.c.job_type, func.min(oldest.c.requested_at)).group_by(oldest.c.job_type))
    return {job_type: moment for job_type, moment in found}


def accepted_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Job type -> how many jobs came in, counted up to SAMPLED in all."""
    newest = select(jobs.c.job_type).where(jobs.c.requested_at >= since)
    return _by_type(connection, newest.order_by(jobs.c.requested_at.desc()).limit(SAMPLED).subquery())


def ended_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Job type -> how many jobs ended, counted up to SAMPLED in all."""
    newest = select(jobs.c.job_type).where(jobs.c.finished_at >= since)
    return _by_type(connection, newest.order_by(jobs.c.finished_at.desc()).limit(SAMPLED).subquery())


def _by_type(connection: Connection, found: Subquery) -> dict[str, int]:
    query = select(found.c.job_type, func.count()).group_by(found.c.job_type)
    return {job_type: count for job_type, count in connection.execute(query)}


def ended_between(connection: Connection, edges: Sequence[datetime]) -> tuple[Ended, ...]:
    """What ended from each edge to the next. Counted range by range along the index, which sorts nothing: measured with
    33,000 jobs, 4 ms on SQLite where a GROUP BY takes 14."""
    if connection.dialect.name == "postgresql":
        # Else it starts parallel workers for so many arms, which takes 60 ms for 5 ms of work.
        connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
    ranges = " UNION ALL ".join(ENDED_IN_RANGE.format(start=number, stop=number + 1) for number in range(len(edges) - 1))
    bound = [bindparam(f"edge_{number}", edge, DateTime) for number, edge in enumerate(edges)]
    found = sorted(tuple(row) for row in connection.execute(text(ranges).bindparams(*bound)))
    return tuple(Ended(edges[number], *ended) for number, *ended in found)


def running(connection: Connection) -> list[Running]:
    """What workers run now, by worker."""
    columns = (
        claims.c.job_id, claims.c.owner, claims.c.starts, claims.c.lease_until, claims.c.changed_at,
        jobs.c.job_type, jobs.c.resource_id, jobs.c.progress,
    )  # fmt: skip
    # Written as the index `claims_one_running` has it: SQLite compares the words.
    holds: ColumnElement[bool] = literal_column("claims.running")
    query = select(*columns).outerjoin_from(claims, jobs, claims.c.job_id == jobs.c.job_id).where(holds)
    found = connection.execute(query.order_by(claims.c.owner).limit(MOST_RUNNING))
    return [Running(row.job_id, row.owner or "", *row[2:]) for row in found]


def job_facts(connection: Connection, job_id: str) -> JobFacts:
    """Of a job that is there."""
    own = select(jobs.c.started_at, jobs.c.worker, jobs.c.resource_id, jobs.c.ckan_url).where(jobs.c.job_id == job_id)
    claim = select(claims.c.starts, claims.c.owner, claims.c.lease_until).where(claims.c.job_id == job_id)
    row, claimed = connection.execute(own).one(), connection.execute(claim).first()
    cancelled = connection.execute(select(cancellations.c.job_id).where(cancellations.c.job_id == job_id)).first()
    starts, owner, lease_until = claimed or (None, None, None)
    return JobFacts(*row, starts, owner, lease_until, cancelled is not None)


def first_rejects(connection: Connection, job_id: str, most: int) -> tuple[Reject, ...]:
    query = select(rejects.c.row, rejects.c.reason, rejects.c.text).where(rejects.c.job_id == job_id)
    found = connection.execute(query.order_by(rejects.c.sequence, rejects.c.position).limit(most))
    return tuple(Reject(*row) for row in found)


def newest_loads(connection: Connection, resource_id: str, most: int) -> tuple[Load, ...]:
    """The newest jobs of the resource, newest first; of all CKANs, since ids of resources are UUIDs."""
    columns = (
        jobs.c.job_id, jobs.c.state, jobs.c.requested_at, jobs.c.started_at, jobs.c.finished_at, jobs.c.error_text, jobs.c.data,
    )  # fmt: skip
    query = select(*columns).where(jobs.c.resource_id == resource_id)
    found = connection.execute(query.order_by(jobs.c.requested_at.desc(), jobs.c.job_id.desc()).limit(most))
    return tuple(Load(*row) for row in found)


def known_ckans(connection: Connection) -> list[str]:
    """The CKANs that have sent jobs, the first MOST_CKANS: each found by one step through the index `jobs_ckan`."""
    first = select(ckan_key).where(ckan_key.is_not(None)).order_by(ckan_key).limit(1).scalar_subquery()
    known = select(first.label("url"), literal(1).label("number")).cte("known", recursive=True)
    following = select(ckan_key).where(ckan_key > known.c.url).order_by(ckan_key).limit(1).correlate(known).scalar_subquery()
    more = select(following, known.c.number + 1).where(known.c.url.is_not(None), known.c.number < MOST_CKANS)
    known = known.union_all(more)
    return list(connection.execute(select(known.c.url).where(known.c.url.is_not(None))).scalars())
