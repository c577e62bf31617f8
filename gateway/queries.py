"""Every read of the store that the gateway makes, by name. Each runs on SQLite and PostgreSQL alike."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy import exists as sql_exists

from schemas.messages import A_START, Json, State
from schemas.tables import claims, jobs, logs, outbox, rejects

#: `pending`, `complete` and `error` of the old service, as our states.
STATES_OF_STATUS = {
    status: tuple(state.value for state in State if state.legacy_status == status)
    for status in ("pending", "complete", "error")
}

#: A listing that takes longer is given up, by the database too.
LISTING_MS = 1500


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of `jobs`, without what only the recorder needs. Times are naive UTC."""

    job_id: str
    job_type: str
    state: str
    sequence: int
    attempt: int
    requested_at: datetime
    finished_at: datetime | None
    result_url: str | None
    job_key: str | None
    aps_job_id: str | None
    metadata: Mapping[str, Json]
    sent_data: Json
    api_key: str | None
    data: Json
    error: Json
    error_text: str | None
    progress: Json
    progress_sequence: int
    callback: Json
    #: Who told the state: while the job runs the worker and its slot.
    worker: str | None

    @property
    def final(self) -> bool:
        return State(self.state).final


class LogRow(NamedTuple):
    """One line of a job's log."""

    sequence: int
    timestamp: datetime
    level: str
    message: str
    module: str | None
    func_name: str | None
    lineno: int | None


@dataclass(frozen=True, slots=True)
class Log:
    """The newest lines of a job's log, oldest first, and how many older ones there are."""

    lines: tuple[LogRow, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of job ids, newest first, and how many there are in all."""

    job_ids: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a listing has: those of a status (or state) whose metadata hold each of these values."""

    status: str = ""
    metadata: Mapping[str, str] | None = None
    limit: int = 100
    offset: int = 0


_JOB = tuple(jobs.c[field.name] for field in fields(JobRow))
_LOG = tuple(logs.c[name] for name in LogRow._fields)
#: What is asked most, put together once.
_ONE_JOB = select(*_JOB).where(jobs.c.job_id == bindparam("job_id"))
_NEWEST_LOG = (
    select(*_LOG).where(logs.c.job_id == bindparam("job_id")).order_by(logs.c.sequence.desc()).limit(bindparam("newest"))
)


def answers(connection: Connection) -> None:
    """Nothing, if the store does answer."""
    connection.execute(select(1))


def job(connection: Connection, job_id: str) -> JobRow | None:
    row = connection.execute(_ONE_JOB, {"job_id": job_id}).first()
    return None if row is None else JobRow(*row)


def job_and_log(connection: Connection, job_id: str, newest: int) -> tuple[JobRow, Log] | None:
    """The job with the *newest* lines of its log."""
    row = job(connection, job_id)
    return None if row is None else (row, log(connection, job_id, newest))


def ended_job(connection: Connection, job_id: str, newest: int) -> tuple[JobRow, Log, bool] | None:
    """The job with its log and whether its result is a bare text, once it has ended; None until then."""
    found = job_and_log(connection, job_id, newest)
    if found is None or not found[0].final:
        return None
    outcome = connection.execute(select(claims.c.outcome).where(claims.c.job_id == job_id)).scalar()
    told = outcome.get("data") if isinstance(outcome, dict) else None
    return (*found, isinstance(told, dict) and told.get("raw") is True)


def log(connection: Connection, job_id: str, newest: int) -> Log:
    rows = connection.execute(_NEWEST_LOG, {"job_id": job_id, "newest": newest + 1}).all()
    found = tuple(LogRow._make(row) for row in rows)
    if len(found) <= newest:
        return Log(found[::-1])
    total = connection.execute(select(func.count()).where(logs.c.job_id == job_id)).scalar_one()
    return Log(found[:newest][::-1], total - newest)


def log_after(connection: Connection, job_id: str, sequence: int, limit: int) -> tuple[LogRow, ...]:
    """The lines that came after event *sequence*, oldest first."""
    query = select(*_LOG).where(logs.c.job_id == job_id, logs.c.sequence > sequence)
    return tuple(LogRow(*row) for row in connection.execute(query.order_by(logs.c.sequence).limit(limit)))


def listing(connection: Connection, wanted: JobFilter) -> Listing:
    if connection.dialect.name == "postgresql":  # whoever may ask this may ask for what reads every job
        connection.execute(text(f"SET LOCAL statement_timeout = {LISTING_MS}"))
    conditions = [*_status_is(wanted.status), *(_metadata_is(connection, *pair) for pair in (wanted.metadata or {}).items())]
    order = (jobs.c.requested_at.desc(), jobs.c.job_id)
    query = select(jobs.c.job_id).where(*conditions).order_by(*order).limit(wanted.limit).offset(wanted.offset)
    total = connection.execute(select(func.count()).select_from(jobs).where(*conditions)).scalar_one()
    return Listing(tuple(connection.execute(query).scalars()), total)


def counts_by_state(connection: Connection) -> dict[str, int]:
    """How many jobs there are in each state; every state is there."""
    found = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
    return {**dict.fromkeys((state.value for state in State), 0), **{state: count for state, count in found}}


def outbox_depth(connection: Connection) -> tuple[int, datetime | None]:
    """How many accepted jobs the bus does not have yet, and since when the oldest of them waits."""
    depth, oldest = connection.execute(select(func.count(), func.min(outbox.c.created_at))).one()
    return depth, oldest


def rejected_rows(connection: Connection, job_id: str) -> tuple[tuple[int, str, str | None], ...]:
    """(row number, reason, text) of the last attempt that told any, in the order they were told."""
    last = select(func.max(rejects.c.sequence // A_START * A_START)).where(rejects.c.job_id == job_id).scalar_subquery()
    query = select(rejects.c.row, rejects.c.reason, rejects.c.text).where(
        rejects.c.job_id == job_id, rejects.c.sequence >= last
    )
    found = connection.execute(query.order_by(rejects.c.sequence, rejects.c.position))
    return tuple((row, reason, text) for row, reason, text in found)


def _status_is(status: str) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.state.in_(STATES_OF_STATUS.get(status, (status,))),) if status else ()


def _metadata_is(connection: Connection, key: str, value: str) -> ColumnElement[bool]:
    """Values compare as text: a number or `true` is written as in JSON, as the old service stored them."""
    if key == "resource_id":
        return jobs.c.resource_id == value
    if connection.dialect.name == "postgresql":
        # A job published directly may hold a NUL; `->>` fails for the whole query where it meets one.
        sound = func.strpos(cast(jobs.c.metadata, String), r"\u0000") == 0
        return case((sound, jobs.c.metadata.op("->>")(literal(key)).cast(String))) == value
    return _sqlite_metadata_is(key, value)


def _sqlite_metadata_is(key: str, value: str) -> ColumnElement[bool]:
    """Through json_each, since a JSON path cannot name every key (https://www.sqlite.org/json1.html#path_arguments)."""
    each = func.json_each(jobs.c.metadata).table_valued("key", "value", "type")
    words = {"true": "true", "false": "false", "null": "null"}
    shown = case(words, value=each.c.type, else_=cast(each.c.value, String))
    return sql_exists(select(literal_column("1")).select_from(each).where(and_(each.c.key == key, shown == value)))
