"""Events to rows, on both databases."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert, select

from consumer.recording import CALLBACK_FAILED, record, told
from schemas.messages import Event, Job, Json, Kind, new_id
from schemas.sealing import job_key
from schemas.store import reading, writing
from schemas.tables import cancellations, jobs, logs, rejects

SECRET = "a secret"
NOON = datetime(2020, 11, 22, 12, tzinfo=UTC)
Rows = list[dict[str, Any]]


def event(job_id: str, kind: Kind, sequence: int, **data: Json) -> bytes:
    time = NOON + timedelta(seconds=sequence / 1000)
    return Event(job_id=job_id, job_type="t", kind=kind, sequence=sequence, data=data, time=time, source="/worker/a/1").encode()


def write(engine: Engine, *bodies: bytes, size: int = 500) -> None:
    says = [each for body in bodies if (each := told(body, "", True, SECRET))]
    for start in range(0, len(says), size):
        record(engine, says[start : start + size])


def write_job(engine: Engine, job: Job) -> None:
    says = told(job.encode(), job.job_id, False, SECRET)
    assert says is not None
    record(engine, [says])


def row(engine: Engine, job_id: str) -> dict[str, Any]:
    with reading(engine) as connection:
        found = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().one_or_none()
    return dict(found) if found else {}


def rows(engine: Engine, table: Any, job_id: str) -> Rows:
    with reading(engine) as connection:
        query = select(table).where(table.c.job_id == job_id).order_by(table.c.sequence)
        return [dict(each) for each in connection.execute(query).mappings()]


def life(job_id: str) -> list[bytes]:
    """A job that was killed once, was retried, and completed."""
    return [
        event(job_id, Kind.STARTED, 1_000_001, attempt=1, starts=1, worker="/w/1"),
        event(job_id, Kind.PROGRESS, 1_000_002, stage="fetching"),
        event(job_id, Kind.LOG, 1_000_003, level="INFO", message="one", module="m", funcName="f", lineno=3),
        event(job_id, Kind.RETRYING, 1_000_004, attempt=1),
        event(job_id, Kind.STARTED, 2_000_001, attempt=2, starts=2, worker="/w/2"),
        event(job_id, Kind.LOG, 2_000_002, level="DEBUG", message="hidden", module="m", funcName="f", lineno=3),
        event(job_id, Kind.REJECTS, 2_000_003, rows=[{"row": 7, "reason": "short", "text": "a,b"}]),
        event(job_id, Kind.PROGRESS, 2_000_004, stage="loading", rows=10),
        event(job_id, Kind.COMPLETE, 2_900_000, data={"rows": 10}),
        event(job_id, Kind.CALLBACK, 2_910_000, state="waiting"),
        event(job_id, Kind.CALLBACK, 2_970_000, state="delivered", attempts=1),
    ]


def everything(engine: Engine, job_id: str) -> tuple[dict[str, Any], Rows, Rows]:
    return row(engine, job_id) | {"job_id": ""}, strip(rows(engine, logs, job_id)), strip(rows(engine, rejects, job_id))


def strip(found: Iterable[dict[str, Any]]) -> Rows:
    return [each | {"job_id": ""} for each in found]


def test_a_job_is_what_its_events_told(engine: Engine) -> None:
    job_id = new_id()
    write(engine, *life(job_id))
    found = row(engine, job_id)
    expected = {
        "state": "complete", "sequence": 2_900_000, "attempt": 2, "data": {"rows": 10}, "error": None,
        "progress": {"stage": "loading", "rows": 10}, "callback": {"state": "delivered", "attempts": 1},
        "started_at": (NOON + timedelta(seconds=1000.001)).replace(tzinfo=None),
        "finished_at": (NOON + timedelta(seconds=2900)).replace(tzinfo=None),
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert [line["message"] for line in rows(engine, logs, job_id)] == ["one"]
    assert [each["row"] for each in rows(engine, rejects, job_id)] == [7]


def test_events_doubled_and_in_any_order_tell_the_same(engine: Engine) -> None:
    straight = new_id()
    write(engine, *life(straight))
    shuffle = random.Random(7)
    for size in (1, 3, 500):
        job_id = new_id()
        bodies = life(job_id) * 2
        shuffle.shuffle(bodies)
        write(engine, *bodies, size=size)
        assert everything(engine, job_id) == everything(engine, straight)


def test_nothing_late_changes_how_a_job_ended(engine: Engine) -> None:
    job_id = new_id()
    write(engine, event(job_id, Kind.ERROR, 1_900_000, error={"message": "no"}))
    write(engine, event(job_id, Kind.STARTED, 2_000_001, attempt=2), event(job_id, Kind.RETRYING, 2_000_002))
    found = row(engine, job_id)
    assert (found["state"], found["error"], found["error_text"]) == ("error", {"message": "no"}, "no")


def test_a_replayed_dead_job_is_shown_running_and_then_as_it_ended(engine: Engine) -> None:
    job_id = new_id()
    write(engine, event(job_id, Kind.DEAD, 1_900_000, error={"message": "poison"}))
    write(engine, event(job_id, Kind.STARTED, 2_000_001, attempt=1))
    assert (row(engine, job_id)["state"], row(engine, job_id)["error"]) == ("running", None)
    write(engine, event(job_id, Kind.COMPLETE, 2_900_000, data=1))
    assert row(engine, job_id)["state"] == "complete"


def test_a_job_published_directly_is_known_without_its_api_key(engine: Engine) -> None:
    metadata: dict[str, Json] = {"resource_id": "r", "ckan_url": "http://ckan", "n": 1}
    job = Job(job_id=new_id(), job_type="t", api_key="the-token", metadata=metadata, data=[1], result_url="http://x")
    write_job(engine, job)
    found = row(engine, job.job_id)
    assert (found["state"], found["metadata"], found["sent_data"]) == ("queued", metadata, [1])
    assert (found["resource_id"], found["ckan_url"], found["result_url"]) == ("r", "http://ckan", "http://x")
    assert (found["job_key"], found["api_key"]) == (job_key(SECRET, job.job_id), None)
    assert "the-token" not in str(found)


def test_a_job_heard_of_after_its_events_keeps_what_they_told(engine: Engine) -> None:
    job = Job(job_id=new_id(), job_type="t", metadata={"resource_id": "r"}, result_url="http://x")
    write(engine, *life(job.job_id))
    write_job(engine, job)
    found = row(engine, job.job_id)
    assert (found["state"], found["resource_id"], found["metadata"]) == ("complete", "r", {"resource_id": "r"})
    assert found["requested_at"] == (NOON + timedelta(seconds=1000.001)).replace(tzinfo=None)


def test_a_job_published_directly_was_asked_for_before_it_started_whenever_it_is_heard_of(engine: Engine) -> None:
    first, second = (Job(job_id=new_id(), job_type="t") for _ in "12")
    write_job(engine, first)
    write(engine, *life(first.job_id))
    both = [
        told(second.encode(), second.job_id, False, SECRET),
        *(told(each, "", True, SECRET) for each in life(second.job_id)),
    ]
    record(engine, [each for each in both if each])
    for job in (first, second):
        found = row(engine, job.job_id)
        assert found["requested_at"] <= found["started_at"]


def test_the_row_of_the_gateway_is_not_touched_by_the_jobs_message(engine: Engine) -> None:
    job_id, noon = new_id(), NOON.replace(tzinfo=None)
    with writing(engine) as connection:
        mine = {"job_id": job_id, "job_type": "t", "state": "queued", "requested_at": noon, "metadata": {"a": 1}}
        connection.execute(insert(jobs).values(**mine, job_key="key", api_key="fernet:x", aps_job_id="aps"))
    before = row(engine, job_id)
    write_job(engine, Job(job_id=job_id, job_type="other", metadata={"b": 2}))
    assert row(engine, job_id) == before
    write(engine, event(job_id, Kind.STARTED, 1_000_001, attempt=1))
    after = row(engine, job_id)
    assert (after["state"], after["job_key"], after["requested_at"]) == ("running", "key", noon)


def test_a_deleted_job_does_not_come_back(engine: Engine) -> None:
    deleted, cancelled = new_id(), new_id()
    with writing(engine) as connection:
        for job_id, is_deleted in ((deleted, True), (cancelled, False)):
            connection.execute(
                insert(cancellations).values(job_id=job_id, requested_at=datetime(2026, 1, 1), deleted=is_deleted)
            )
    write(engine, *life(deleted), *life(cancelled))
    assert everything(engine, deleted) == ({"job_id": ""}, [], [])
    assert row(engine, cancelled)["state"] == "complete"


def test_a_callback_that_failed_for_good_shows_the_words_clients_look_for(engine: Engine) -> None:
    succeeded, failed = new_id(), new_id()
    write(engine, event(succeeded, Kind.COMPLETE, 1_900_000, data=1), event(succeeded, Kind.CALLBACK, 1_960_007, state="dead"))
    write(engine, event(failed, Kind.ERROR, 1_900_000, error={"message": "own"}))
    write(engine, event(failed, Kind.CALLBACK, 1_960_007, state="dead"))
    assert row(engine, succeeded)["error"] == {"message": CALLBACK_FAILED}
    assert row(engine, succeeded)["state"] == "complete"
    assert row(engine, failed)["error"] == {"message": "own"}
    write(engine, event(succeeded, Kind.CALLBACK, 1_970_000, state="delivered"))
    assert (row(engine, succeeded)["error"], row(engine, succeeded)["error_text"]) == (None, None)


def test_text_that_no_database_takes_is_cleaned(engine: Engine) -> None:
    job_id = new_id()
    write(engine, event(job_id, Kind.LOG, 1_000_002, level="INFO", message="a\0b\ud800c😀", module="m", funcName="f", lineno=1))
    write(engine, event(job_id, Kind.COMPLETE, 1_900_000, data={"k\0": ["\0", "ß"]}))
    assert [line["message"] for line in rows(engine, logs, job_id)] == ["ab?c😀"]
    assert row(engine, job_id)["data"] == {"k": ["", "ß"]}


def test_what_is_too_long_is_cut(engine: Engine) -> None:
    job_id, long = new_id(), "x" * 100_000
    write(engine, event(job_id, Kind.LOG, 1_000_002, level=long, message=long, module=long, funcName=long, lineno=1))
    write(engine, event(job_id, Kind.PROGRESS, 1_000_003, stage="loading", rows=long))
    write(engine, event(job_id, Kind.REJECTS, 1_000_004, rows=[{"row": 1, "reason": long, "text": long}]))
    assert len(rows(engine, logs, job_id)[0]["message"]) == 20_000
    assert row(engine, job_id)["progress"] == {"stage": "loading"}
    assert len(rows(engine, rejects, job_id)[0]["text"]) == 5_000


def test_strangers_events_with_odd_fields_are_recorded_as_far_as_they_make_sense(engine: Engine) -> None:
    job_id = new_id()
    write(
        engine,
        event(job_id, Kind.STARTED, 1, attempt="many"),
        event(job_id, Kind.LOG, 2, level=None, message=["a"], lineno="x"),
        event(job_id, Kind.REJECTS, 3, rows=["a", {"row": "b", "reason": None}]),
        event(job_id, Kind.ERROR, 4, error="just text"),
    )
    found = row(engine, job_id)
    assert (found["attempt"], found["error"], found["error_text"]) == (0, "just text", "just text")
    assert rows(engine, logs, job_id)[0]["message"] == "['a']"
