"""Every write of the store that the gateway makes, by name: new jobs, the outbox, cancellations, deletions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ColumnElement, Connection, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from gateway.submission import Submission
from publisher.bus import HeaderValue
from schemas.json_text import dump_json
from schemas.messages import Json, State
from schemas.tables import cancellations, claims, jobs, logs, outbox, rejects

FINAL_STATES = tuple(state.value for state in State if state.final)
#: Jobs deleted in one transaction: others must not wait long for their turn.
DELETED_AT_ONCE = 500
#: Longer than a job can wait in a queue and its callback in retries.
TOMBSTONE_DAYS = 60
#: The column that only serves to find jobs by their resource.
RESOURCE_ID_LENGTH = 200


#: All jobs of a group come as one JSON text: binding each value of each row by itself costs many times the insert.
#: Sent as one text, both statements are one transaction, and one round trip.
INSERT_ON_POSTGRESQL = text("""
    SET LOCAL statement_timeout = :limit_ms;
    WITH new AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS row (
            job_id text, job_type text, requested_at timestamp, resource_id text, ckan_url text, result_url text,
            job_key text, aps_job_id text, metadata text, sent_data text, api_key text,
            body text, headers text, due_at timestamp)
    ), added AS (
        INSERT INTO jobs (job_id, job_type, state, requested_at, resource_id, ckan_url, result_url, job_key, aps_job_id,
                          metadata, sent_data, api_key)
        SELECT job_id, job_type, 'queued', requested_at, resource_id, ckan_url, result_url, job_key, aps_job_id,
               CAST(metadata AS json), CAST(sent_data AS json), api_key
        FROM new ON CONFLICT (job_id) DO NOTHING RETURNING job_id
    ), kept AS (
        INSERT INTO outbox (job_id, job_type, body, headers, created_at, due_at)
        SELECT job_id, job_type, convert_to(body, 'UTF8'), CAST(headers AS json), requested_at, due_at
        FROM new JOIN added USING (job_id)
    )
    SELECT job_id FROM added
""")
#: SQLite has no INSERT inside WITH: first the messages of the jobs that are new, then the jobs.
KEEP_ON_SQLITE = text("""
    INSERT INTO outbox (job_id, job_type, body, headers, created_at, due_at)
    SELECT value ->> 'job_id', value ->> 'job_type', CAST(value ->> 'body' AS BLOB), value ->> 'headers',
           value ->> 'requested_at', value ->> 'due_at'
    FROM json_each(:rows) WHERE value ->> 'job_id' NOT IN (SELECT job_id FROM jobs)
""")
INSERT_ON_SQLITE = text("""
    INSERT INTO jobs (job_id, job_type, state, requested_at, resource_id, ckan_url, result_url, job_key, aps_job_id,
                      metadata, sent_data, api_key)
    SELECT value ->> 'job_id', value ->> 'job_type', 'queued', value ->> 'requested_at', value ->> 'resource_id',
           value ->> 'ckan_url', value ->> 'result_url', value ->> 'job_key', value ->> 'aps_job_id',
           value ->> 'metadata', value ->> 'sent_data', value ->> 'api_key'
    FROM json_each(:rows) WHERE true ON CONFLICT (job_id) DO NOTHING RETURNING job_id
""")

FORGET_ON_POSTGRESQL = text("DELETE FROM outbox WHERE job_id = ANY(:ids)")
FORGET_ON_SQLITE = text("DELETE FROM outbox WHERE job_id IN (SELECT value FROM json_each(:ids))")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A job message that the bus has not confirmed."""

    job_id: str
    job_type: str
    body: bytes
    headers: dict[str, HeaderValue]


def insert_jobs(connection: Connection, submissions: Sequence[Submission], due_at: datetime, limit_s: float = 0) -> set[str]:
    """Adds the jobs with their messages, which others leave alone until *due_at*; gives the ids that were free.

    One statement for the database, unless a client chose an id. PostgreSQL gives up after *limit_s* seconds, if that is not 0.
    """
    named = [each.job.job_id for each in submissions if each.named]
    taken = _deleted_ids(connection, named) if named else set()
    wanted = {each.job.job_id: each for each in reversed(submissions) if each.job.job_id not in taken}
    rows: dict[str, object] = {"rows": dump_json([_new_job(each, due_at) for each in wanted.values()]).decode()}
    if connection.dialect.name == "postgresql":
        limit_ms = ceil(1000 * limit_s)
        return set(connection.execute(INSERT_ON_POSTGRESQL, {**rows, "limit_ms": limit_ms}).scalars())
    connection.execute(KEEP_ON_SQLITE, rows)
    return set(connection.execute(INSERT_ON_SQLITE, rows).scalars())


def take_back(connection: Connection, job_ids: Collection[str]) -> None:
    """Removes jobs that nobody has published yet; their messages first, so that none can run whose row is gone."""
    for table in (outbox, jobs):
        connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))


def _deleted_ids(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Those of *job_ids* that a deleted job still holds: its message may be on its way, its worker may not have stopped.

    Once a worker has ended it, id and claim are free again: a claim that has its outcome would swallow the new job.
    """
    deleted = set(_which(connection, cancellations.c.job_id, cancellations.c.deleted, job_ids))
    if not deleted:
        return set()
    ended = list(_which(connection, claims.c.job_id, claims.c.outcome.is_not(None), deleted))
    connection.execute(delete(claims).where(claims.c.job_id.in_(ended)))
    connection.execute(delete(cancellations).where(cancellations.c.job_id.in_(ended)))
    return deleted - set(ended)


def _which(
    connection: Connection, column: ColumnElement[str], condition: ColumnElement[bool], values: Collection[str]
) -> Sequence[str]:
    return connection.execute(select(column).where(column.in_(values), condition)).scalars().all()


def _new_job(submission: Submission, due_at: datetime) -> dict[str, object]:
    """What INSERT_… read: columns of `jobs` and `outbox`. JSON columns and the message are JSON as text."""
    job = submission.job
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "requested_at": _moment(submission.requested_at),
        "resource_id": _findable(job.metadata.get("resource_id")),
        "ckan_url": _text(job.metadata.get("ckan_url")),
        "result_url": job.result_url,
        "job_key": submission.job_key,
        "aps_job_id": submission.aps_job_id,
        "metadata": dump_json(job.metadata).decode(),
        "sent_data": None if job.data is None else dump_json(job.data).decode(),
        "api_key": job.api_key,
        "body": submission.body.decode(),
        "headers": dump_json(submission.headers).decode(),
        "due_at": _moment(due_at),
    }


def _moment(moment: datetime) -> str:
    """As SQLAlchemy writes it for SQLite, and PostgreSQL reads it."""
    return moment.isoformat(" ", "microseconds")


def _findable(value: Json) -> str | None:
    return None if value is None else (value if isinstance(value, str) else dump_json(value).decode())[:RESOURCE_ID_LENGTH]


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def forget_published(connection: Connection, job_ids: Collection[str]) -> None:
    """The bus has them: takes them out of the outbox. As one value: an IN of hundreds costs more than the deletion."""
    if connection.dialect.name == "postgresql":
        connection.execute(FORGET_ON_POSTGRESQL, {"ids": list(job_ids)})
    else:
        connection.execute(FORGET_ON_SQLITE, {"ids": dump_json(list(job_ids)).decode()})


def make_due(connection: Connection, job_ids: Collection[str], due_at: datetime) -> None:
    connection.execute(update(outbox).where(outbox.c.job_id.in_(job_ids)).values(due_at=due_at))


def take_due(connection: Connection, now: datetime, until: datetime, limit: int) -> list[OutboxRow]:
    """The messages that are due, at most *limit*, put ahead to *until* so that other gateways leave them alone."""
    due = select(outbox.c.job_id).where(outbox.c.due_at <= now).order_by(outbox.c.due_at).limit(limit)
    job_ids = list(connection.execute(due.with_for_update(skip_locked=True)).scalars())
    if not job_ids:
        return []
    make_due(connection, job_ids, until)
    columns = (outbox.c.job_id, outbox.c.job_type, outbox.c.body, outbox.c.headers)
    found = connection.execute(select(*columns).where(outbox.c.job_id.in_(job_ids)).order_by(outbox.c.created_at))
    return [OutboxRow(*row) for row in found]


def cancel(connection: Connection, job_id: str, now: datetime) -> bool:
    """Asks workers not to run it, or not to go on; False if it has ended already."""
    state = connection.execute(select(jobs.c.state).where(jobs.c.job_id == job_id)).scalar()
    if state is None or state in FINAL_STATES:
        return False
    _add_cancellation(connection, job_id, now, deleted=False)
    return True


def delete_job(connection: Connection, job_id: str, now: datetime) -> None:
    """Takes every trace of the job away, and lets nobody run it or write of it any more."""
    _add_cancellation(connection, job_id, now, deleted=True)
    _delete_traces(connection, [job_id])


def delete_old(connection: Connection, now: datetime, days: int) -> int:
    """Deletes some jobs that ended more than *days* days ago, and gives their number: call it until that is 0."""
    old = (jobs.c.state.in_(FINAL_STATES), jobs.c.finished_at < now - timedelta(days=days))
    job_ids = list(connection.execute(select(jobs.c.job_id).where(*old).limit(DELETED_AT_ONCE)).scalars())
    _delete_traces(connection, job_ids)
    connection.execute(delete(cancellations).where(cancellations.c.job_id.in_(job_ids), ~cancellations.c.deleted))
    return len(job_ids)


def forget_tombstones(connection: Connection, now: datetime) -> None:
    """Marks of deleted jobs that no message can be on its way for any more."""
    connection.execute(delete(cancellations).where(cancellations.c.requested_at < now - timedelta(days=TOMBSTONE_DAYS)))


def _delete_traces(connection: Connection, job_ids: Collection[str]) -> None:
    for table in (jobs, logs, rejects, outbox):
        connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))


def _add_cancellation(connection: Connection, job_id: str, now: datetime, *, deleted: bool) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(cancellations).values(job_id=job_id, requested_at=now, deleted=deleted)
    again = {"deleted": cancellations.c.deleted | deleted}
    connection.execute(row.on_conflict_do_update(index_elements=[cancellations.c.job_id], set_=again))
