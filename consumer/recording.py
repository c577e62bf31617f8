"""From messages to rows: folded in memory first (`told`, `fold`), then a handful of statements (`upserts`) for the whole batch.

Which of two events sets a job's state does not depend on the order they come in: the end of a job beats everything that is
none, and else the higher sequence wins. (`dead` is no such end: a replay makes the job run again.)
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from consumer.upserts import ADD_LOGS, ADD_REJECTS, CALLBACKS, DELETED, ENDS, PUT_CHANGES, PUT_JOBS, among
from schemas.json_text import dump_json
from schemas.messages import STATE_AFTER, Event, Job, Json, Kind, State, load_object
from schemas.sealing import job_key
from schemas.store import writing

Row = dict[str, Any]

#: Longest texts kept, in characters; what a stranger's event holds beyond is cut.
LONGEST_MESSAGE, LONGEST_NAME, LONGEST_REJECT, LONGEST_ID = 20_000, 500, 5_000, 200
#: Largest bodies whose data are kept whole, in bytes: of a job's end, and of its progress.
LARGEST_END, LARGEST_PROGRESS = 20_000_000, 20_000
#: Levels that are not kept.
NOT_KEPT = frozenset({"DEBUG", "NOTSET"})
#: What ckanserviceprovider showed when a callback failed; clients look for it (web.py, `send_result`).
CALLBACK_FAILED = "Process completed but unable to post to result_url"

#: NUL and lone surrogates, as JSON escapes or as bytes: no database takes them. It finds too much, never too little.
SUSPICIOUS = re.compile(rb"\\u0000|\\u[dD]|\xed|\x00")


class Told(NamedTuple):
    """What one message says: the row of a job that was published, or an event and its length in bytes."""

    job_id: str
    job: Row | None = None
    event: Event | None = None
    size: int = 0


def told(body: bytes, message_id: str, is_event: bool, secret_key: str) -> Told | None:
    """What the message says; None for a job that has no id yet (its worker gives it one). Raises: InvalidMessage."""
    # What has none of the three, as most, need not be searched.
    if (b"\\u" in body or b"\xed" in body or b"\x00" in body) and SUSPICIOUS.search(body):
        body = json.dumps(_storable(load_object(body))).encode()
    if is_event:
        event = Event.decode(body)
        return Told(event.job_id, event=event, size=len(body))
    job = Job.decode(body, message_id=message_id)
    if not message_id and not load_object(body).get("job_id"):
        return None
    return Told(job.job_id, job=_job_row(job, secret_key))


def record(engine: Engine, batch: Sequence[Told], *, relaxed: bool = False) -> None:
    """All of *batch* in one transaction. *relaxed*: the messages are in the store's file, and so come back with a power cut
    that takes the transaction back. Raises: StoreUnavailable, or whatever the database says about the data."""
    with writing(engine, relaxed=relaxed) as connection:
        # Jobs whose traces somebody had removed: nothing that is still under way may bring them back.
        deleted = set(among(connection, DELETED, {each.job_id for each in batch}).scalars())
        kept = [each for each in batch if each.job_id not in deleted]
        events = [each for each in kept if each.event]
        published = {each.job_id: each.job for each in kept if each.job}
        PUT_JOBS.execute(connection, [published[job_id] for job_id in sorted(published)])
        PUT_CHANGES.execute(connection, fold(events))
        ADD_LOGS.execute(connection, list(_log_rows(events)))
        ADD_REJECTS.execute(connection, [row for each in events for row in _reject_rows(each)])
        _tell_failed_callbacks(connection, events)


def _tell_failed_callbacks(connection: Connection, events: Sequence[Told]) -> None:
    ids = {each.job_id for each in events if each.event and each.event.kind in (Kind.CALLBACK, Kind.COMPLETE)}
    if ids:
        error = dump_json({"message": CALLBACK_FAILED}).decode()
        among(connection, CALLBACKS, ids, text=CALLBACK_FAILED, error=error)


# ------------------------------------------------------------------------------------------------------- messages to rows


def fold(events: Iterable[Told]) -> list[Row]:
    """One change for each job that *events* tell of, ordered by job, so that two recorders never lock crosswise."""
    changes: dict[str, Row] = {}
    for each in events:
        event = each.event
        assert event is not None
        row = changes.get(each.job_id)
        if row is None:
            row = changes[each.job_id] = _unchanged(event)
        _fold_in(row, event, each.size)
    return [changes[job_id] for job_id in sorted(changes)]


def _unchanged(event: Event) -> Row:
    """A change that changes nothing, and inserts a job that was never heard of."""
    return {
        "job_id": event.job_id, "job_type": event.job_type, "requested_at": _naive(event.time), "metadata": {},
        "state": State.QUEUED.value, "sequence": 0, "attempt": 0, "started_at": None, "finished_at": None, "worker": None,
        "data": None, "error": None, "error_text": None, "progress": None, "progress_sequence": 0,
        "callback": None, "callback_sequence": 0,
    }  # fmt: skip


def _fold_in(row: Row, event: Event, size: int) -> None:
    moment = _naive(event.time)
    row["requested_at"] = min(row["requested_at"], moment)
    state = STATE_AFTER.get(event.kind)
    if state:
        if (state in ENDS, event.sequence) > (row["state"] in ENDS, row["sequence"]):
            row.update(_state_change(state, event, moment, size))
        if event.kind is Kind.STARTED:
            row["attempt"] = max(row["attempt"], _number(event.data.get("attempt")))
            row["started_at"] = min(row["started_at"] or moment, moment)
    elif event.kind is Kind.PROGRESS and event.sequence > row["progress_sequence"]:
        row.update(progress=_progress(event, size), progress_sequence=event.sequence)
    elif event.kind is Kind.CALLBACK and event.sequence > row["callback_sequence"]:
        row.update(callback=dict(event.data), callback_sequence=event.sequence)


def _state_change(state: State, event: Event, moment: datetime, size: int) -> Row:
    data = (
        event.data
        if size <= LARGEST_END
        else {"error": {"message": f"What the job told at its end ({size} bytes) is too large."}}
    )
    error = data.get("error")
    text = error.get("message") if isinstance(error, dict) else error
    return {
        "state": state.value,
        "sequence": event.sequence,
        "finished_at": moment if state.final else None,
        "data": data.get("data") if state is State.COMPLETE else None,
        "error": error,
        "error_text": None if text is None else str(text)[:LONGEST_MESSAGE],
        "worker": str(event.data.get("worker") or event.source)[:LONGEST_NAME],
    }


def _progress(event: Event, size: int) -> Row:
    return dict(event.data) if size <= LARGEST_PROGRESS else {"stage": str(event.data.get("stage"))[:LONGEST_NAME]}


def _log_rows(events: Iterable[Told]) -> Iterable[Row]:
    for each in events:
        event = each.event
        if event is None or event.kind is not Kind.LOG or event.data.get("level") in NOT_KEPT:
            continue
        data = event.data
        yield {
            "job_id": event.job_id,
            "sequence": event.sequence,
            "timestamp": _naive(event.time),
            "level": str(data.get("level") or "INFO")[:20],
            "message": str(data.get("message") or "")[:LONGEST_MESSAGE],
            "module": str(data.get("module") or "")[:LONGEST_NAME],
            "func_name": str(data.get("funcName") or "")[:LONGEST_NAME],
            "lineno": _number(data.get("lineno")),
        }


def _reject_rows(each: Told) -> list[Row]:
    event = each.event
    if event is None or event.kind is not Kind.REJECTS:
        return []
    found = event.data.get("rows")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [
        {
            "job_id": event.job_id,
            "sequence": event.sequence,
            "position": position,
            "row": _number(row.get("row")),
            "reason": str(row.get("reason") or "")[:LONGEST_MESSAGE],
            "text": None if row.get("text") is None else str(row["text"])[:LONGEST_REJECT],
        }
        for position, row in enumerate(rows)
    ]


def _job_row(job: Job, secret_key: str) -> Row:
    """Without its api_key: who publishes a job directly can publish it again."""
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "state": State.QUEUED.value,
        "requested_at": datetime.now(UTC).replace(tzinfo=None),
        "resource_id": _text(job.metadata, "resource_id", LONGEST_ID),
        "ckan_url": _text(job.metadata, "ckan_url", LONGEST_MESSAGE),
        "result_url": job.result_url,
        "job_key": job_key(secret_key, job.job_id),
        "metadata": dict(job.metadata),
        "sent_data": job.data,
    }


def _text(fields: Mapping[str, Json], key: str, longest: int) -> str | None:
    value = fields.get(key)
    return value[:longest] if isinstance(value, str) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _storable(value: Json) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value
