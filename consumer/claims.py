"""Who runs what: the table `claims`. One running attempt per resource, whatever the bus delivers (promises 1, 4 and 5).

Times are the database's on PostgreSQL, so that workers with wrong clocks agree; an SQLite file has one machine's anyway.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Row, bindparam, case, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from consumer.memory import Kept
from consumer.outcome import Outcome
from consumer.plain_claims import finish_plainly, take_callback_plainly, take_plainly
from schemas.errors import Stopped
from schemas.messages import Job, Json, Kind
from schemas.store import reading_alone, store_now, writing, writing_alone
from schemas.tables import cancellations, claims, jobs

KEPT = (
    select(claims.c.kept)
    .where(claims.c.resource_key == bindparam("key"), claims.c.kept.is_not(None))
    .order_by(claims.c.changed_at.desc())
    .limit(1)
)

logger = logging.getLogger(__name__)

#: A longer key is hashed: PostgreSQL refuses index rows above a third of a page.
LONGEST_KEY = 500


@dataclass(frozen=True)
class Claim:
    """The right to run a job, until `good_until` (time.monotonic) unless renewed."""

    job_id: str
    owner: str
    starts: int
    good_until: float
    #: What was noted last for this resource, and not forgotten since (memory.py).
    kept: Kept = None
    #: Who had the job before and never let go of it: its process is gone.
    left_by: str = ""


@dataclass(frozen=True)
class Finished:
    """The job has ended before; its message is a duplicate, or its end was not told completely."""

    outcome: Outcome
    callback_delivered: bool


@dataclass(frozen=True)
class Busy:
    """The job, or another one of the same resource, runs."""


@dataclass(frozen=True)
class Cancelled:
    """Somebody wants the job not to run."""


@dataclass(frozen=True)
class Poison:
    """The job was started too often without any end."""

    starts: int


Taken = Claim | Finished | Busy | Cancelled | Poison


class Claims:
    """All methods may be called from any thread, and raise StoreUnavailable."""

    def __init__(self, engine: Engine, *, lease_s: float, max_starts: int, relaxed: bool = False) -> None:
        """*relaxed*: the bus is in the store's file, so that a power cut takes back no claim without what followed from it."""
        self._engine = engine
        self._relaxed = relaxed
        self._lease_s = lease_s
        self._max_starts = max_starts

    def take(self, job: Job, owner: str, replay: str = "") -> Taken:
        """Claims *job* for *owner*, and counts the start. *replay* names the replay of a dead job, if it is one."""
        asked_at, key = time.monotonic(), resource_key(job)
        try:
            with writing_alone(self._engine, relaxed=self._relaxed) as connection:
                if taken := take_plainly(connection, job.job_id, key, owner, self._lease_s):
                    return Claim(job.job_id, owner, 1, asked_at + self._lease_s, *taken)
            with writing(self._engine, relaxed=self._relaxed) as connection:
                row = _row(connection, job.job_id)
                refusal = self._refusal(connection, job, row, replay)
                starts = self._start(connection, job, owner, row, replay) if refusal is None else 0
                kept = _kept(connection, key) if refusal is None else None
        except IntegrityError:
            # The index `claims_one_running`: another job of the resource runs. Or the same job was taken a moment ago.
            return Busy()
        left_by = row.owner if row is not None and row.running and row.owner else ""
        return refusal or Claim(job.job_id, owner, starts, asked_at + self._lease_s, kept, left_by)

    def renew(self, claim: Claim) -> float | Literal["lost", "cancelled"]:
        """Until when (time.monotonic) the claim is good now; `lost` when another owner has the job or the resource."""
        asked_at = time.monotonic()
        # Each statement by itself: a worker that is cut off in between leaves no lock on its claim for another one to wait for.
        with writing_alone(self._engine) as connection:
            changed = (
                update(claims).where(*_held(claim)).values(lease_until=store_now(connection) + timedelta(seconds=self._lease_s))
            )
            if connection.execute(changed).rowcount == 0:
                return "lost"
            cancelled = _is_cancelled(connection, claim.job_id)
        return "cancelled" if cancelled else asked_at + self._lease_s

    def keep(self, claim: Claim, value: Kept) -> None:
        """Notes *value* for whoever claims the resource next; None forgets all that was noted for it.

        Raises: Stopped (`lost-claim`).
        """
        with writing(self._engine) as connection:
            if connection.execute(update(claims).where(*_held(claim)).values(kept=value)).rowcount == 0:
                raise Stopped("lost-claim")
            if value is None:
                key = select(claims.c.resource_key).where(claims.c.job_id == claim.job_id).scalar_subquery()
                noted = (claims.c.resource_key == key, claims.c.kept.is_not(None))
                connection.execute(update(claims).where(*noted).values(kept=None))

    def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """Keeps the outcome and frees the resource; false when the claim is lost, and with it the outcome."""
        with writing_alone(self._engine, relaxed=self._relaxed) as connection:
            return finish_plainly(connection, claim.job_id, claim.owner, claim.starts, outcome)

    def conclude(self, job: Job, kind: Kind, data: Mapping[str, Json], replay: str = "") -> Outcome:
        """Keeps an outcome for a job that is not started (any more); gives the one that was kept before, if any."""
        with writing(self._engine) as connection:
            row = _row(connection, job.job_id)
            if row is not None and row.outcome and not _replayed(kept := Outcome.from_dict(row.outcome), replay):
                return kept
            outcome = Outcome(kind=kind, data=data, start=row.starts if row is not None else 0, replay=replay)
            _put(connection, job.job_id, row, outcome=outcome.as_dict(), resource_key=resource_key(job), running=False)
        return outcome

    def release(self, claim: Claim, *, orderly: bool) -> None:
        """Frees the resource without an end. An *orderly* one (retry, drain, lost lease) does not count against MAX_STARTS.

        Of a claim that was lost only the orderly end is noted, and nothing when the job was started again since.
        """
        with writing_alone(self._engine) as connection:
            freed = {"running": False, "owner": None, "lease_until": None, "changed_at": store_now(connection)}
            ends = case(
                (claims.c.orderly_ends < claim.starts, claims.c.orderly_ends + int(orderly)), else_=claims.c.orderly_ends
            )
            mine = (claims.c.job_id == claim.job_id, claims.c.starts == claim.starts, claims.c.outcome.is_(None))
            connection.execute(update(claims).where(*mine).values(**freed, orderly_ends=ends))

    def take_callback(self, job_id: str, for_s: float) -> Literal["mine", "delivered", "busy"]:
        """The right to send the job's callback, for so long: copies of its message may be with several workers."""
        with writing_alone(self._engine) as connection:
            if take_callback_plainly(connection, job_id, for_s):
                return "mine"
            known = select(claims.c.callback_delivered).where(claims.c.job_id == job_id)
            delivered = connection.execute(known).scalar()
        return "mine" if delivered is None else "delivered" if delivered else "busy"

    def drop_callback(self, job_id: str) -> None:
        """It was not taken by the other side: whoever tries again need not wait."""
        with writing_alone(self._engine) as connection:
            connection.execute(update(claims).where(claims.c.job_id == job_id).values(callback_until=None))

    def mark_callback_delivered(self, job_id: str) -> None:
        with writing_alone(self._engine) as connection:
            connection.execute(update(claims).where(claims.c.job_id == job_id).values(callback_delivered=True))

    def requested(self, job_id: str) -> tuple[datetime | None, str | None]:
        """When the gateway accepted the job, and its `aps_job_id`; (None, None) for a job it does not know."""
        with reading_alone(self._engine) as connection:
            query = select(jobs.c.requested_at, jobs.c.aps_job_id).where(jobs.c.job_id == job_id)
            row = connection.execute(query).one_or_none()
        return (row.requested_at, row.aps_job_id) if row else (None, None)

    def purge(self, age: timedelta) -> int:
        """Forgets jobs that ended *age* ago, so that a duplicate that comes later would run again. Gives their number.

        Dead ones are kept as long as the job is: when it is replayed, its starts must go on from where they were.
        """
        with writing(self._engine) as connection:
            alive = exists().where(jobs.c.job_id == claims.c.job_id, jobs.c.state.not_in(("complete", "error", "cancelled")))
            old = claims.c.changed_at < store_now(connection) - age
            return connection.execute(delete(claims).where(old, ~claims.c.running, ~alive)).rowcount

    def _refusal(self, connection: Connection, job: Job, row: Row[Any] | None, replay: str) -> Taken | None:
        if row is not None and row.outcome:
            outcome = Outcome.from_dict(row.outcome)
            if not _replayed(outcome, replay):
                return Finished(outcome, row.callback_delivered)
        if row is not None and row.running and row.lease_until > store_now(connection):
            return Busy()
        starts = row.starts if row is not None else 0
        if _is_cancelled(connection, job.job_id):
            return Cancelled()
        if row is not None and not row.outcome and starts - row.orderly_ends >= self._max_starts:
            return Poison(starts)
        return None

    def _start(self, connection: Connection, job: Job, owner: str, row: Row[Any] | None, replay: str) -> int:
        key, now = resource_key(job), store_now(connection)
        expired = (claims.c.resource_key == key, claims.c.running, claims.c.lease_until <= now)
        connection.execute(update(claims).where(*expired).values(running=False, owner=None, lease_until=None))
        starts = row.starts + 1 if row is not None else 1
        taken = {"owner": owner, "running": True, "lease_until": now + timedelta(seconds=self._lease_s)}
        if row is not None and row.outcome:
            # A dead job is replayed: its crashes are forgiven, and its new end is told with a new callback.
            taken |= {"outcome": None, "callback_delivered": False, "orderly_ends": row.starts}
        _put(connection, job.job_id, row, resource_key=key, starts=starts, **taken)
        return starts


def resource_key(job: Job) -> str:
    """What only one job at a time may write: the CKAN and the resource; the job itself where it names none."""
    ckan, resource = job.metadata.get("ckan_url"), job.metadata.get("resource_id")
    if not isinstance(resource, str) or not resource:
        return f"job {job.job_id}"
    key = f"{ckan if isinstance(ckan, str) else ''}".rstrip("/").lower() + f" {resource}"
    return key if len(key) <= LONGEST_KEY else "sha256 " + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _replayed(outcome: Outcome, replay: str) -> bool:
    """Whether somebody has put the dead job back since: each replay has a name of its own in the message's headers."""
    return outcome.state == "dead" and replay != "" and replay != outcome.replay


def _row(connection: Connection, job_id: str) -> Row[Any] | None:
    return connection.execute(select(claims).where(claims.c.job_id == job_id).with_for_update()).one_or_none()


def _put(connection: Connection, job_id: str, row: Row[Any] | None, **values: object) -> None:
    """Inserts or updates the claim of *job_id*, of which *row* is what was read in this transaction."""
    values["changed_at"] = store_now(connection)
    if row is None:
        connection.execute(insert(claims).values(**{"starts": 0, "job_id": job_id, **values}))
    else:
        connection.execute(update(claims).where(claims.c.job_id == job_id).values(**values))


def _kept(connection: Connection, key: str) -> Kept:
    kept: Kept = connection.execute(KEPT, {"key": key}).scalar()
    return kept


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return claims.c.job_id == claim.job_id, claims.c.owner == claim.owner, claims.c.starts == claim.starts, claims.c.running


def _is_cancelled(connection: Connection, job_id: str) -> bool:
    return connection.execute(select(cancellations.c.job_id).where(cancellations.c.job_id == job_id)).first() is not None
