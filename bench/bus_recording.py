"""The recorder beside a bare consumer that reads and parses the same messages and keeps nothing of them.

What flows is what jobs tell: the job itself and ten events each, fifty jobs at a time, every tenth message twice, shuffled
within 500.
"""

import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from urllib.parse import urlsplit

from bus_accepting import BODY
from bus_publishing import consume_bare, on_bare_channel, publish_from_thread
from grounds import SECRET, Ground
from sqlalchemy import Engine

from consumer.outgoing import event_message
from consumer.recorder import PREFETCH, Heard, Recorder
from gateway.changes import insert_jobs
from gateway.clock import now
from gateway.submission import Desk, Submission
from publisher.bus import Bus, Message
from publisher.queue_table import CLAIM_NEW, FORGET
from schemas.collector import collect_rarely
from schemas.messages import A_START, JOB_TYPE, Event, Json, Kind
from schemas.sealing import Sealer, message_keys
from schemas.store import writing
from schemas.topology import Names
from schemas.turns import CHECKPOINT_PAGES


def _line(message: str, module: str, number: int) -> Mapping[str, Json]:
    return {"level": "INFO", "message": message, "module": module, "funcName": module, "lineno": number}


#: What a small push tells, in order.
STORY: tuple[tuple[Kind, Mapping[str, Json]], ...] = (
    (Kind.STARTED, {"attempt": 1, "starts": 1, "worker": "/worker/host-1/4711/1"}),
    (Kind.LOG, _line("Fetching https://ckan.example.org/dataset/a/resource/b/download/c.csv", "fetch", 88)),
    (Kind.PROGRESS, {"stage": "fetch", "bytes": 35_000_000, "percent": 40}),
    (Kind.LOG, _line("Read 100,000 rows with 20 columns", "read", 140)),
    (Kind.PROGRESS, {"stage": "read", "rows": 100_000, "percent": 70, "durations_s": {"fetch": 0.41}}),
    (Kind.LOG, _line("Types: 8 numeric, 3 timestamp, 9 text", "infer", 12)),
    (Kind.PROGRESS, {"stage": "load", "rows": 100_000, "percent": 90, "durations_s": {"fetch": 0.41, "read": 0.7}}),
    (Kind.LOADED, {"rows": 100_000}),
    (Kind.LOG, _line("The table is complete", "job", 61)),
    (Kind.COMPLETE, {"data": {"rows": 100_000, "columns": [{"name": f"column {n}", "type": "text"} for n in range(10)]}}),
)
JOBS_AT_A_TIME, SHUFFLED_WITHIN, TWICE = 50, 500, 0.1
BARE_BATCH = 500


def measure(ground: Ground, *, rounds: int, jobs: int) -> dict[str, float]:
    collect_rarely()  # as the recorder's process does; it speeds up the bare consumer, too
    with ground.engine() as engine, ground.bus() as bus:
        pairs = [(_ours(ground, engine, bus, jobs), _bare(ground, bus, jobs)) for _ in range(rounds)]
    for ours, bare in pairs:
        print(f"  recorder {ours:8,.0f} events/s   bare {bare:8,.0f}/s   {ours / bare:.2f}")
    return {
        "recorder_vs_bare": round(median(ours / bare for ours, bare in pairs), 3),
        "recorder_per_s": round(median(ours for ours, _ in pairs)),
    }


def _ours(ground: Ground, engine: Engine, bus: Bus, jobs: int) -> float:
    messages = _filled(ground, engine, bus, jobs)
    recorder = _Counting(ground.settings, engine, ground.topology.names)
    began = time.perf_counter()
    consumer = bus.consume(ground.topology.names.recorder, recorder.deliveries.put, prefetch=PREFETCH)
    while recorder.count < messages:
        recorder.turn(threading.Event())
    rate = messages / (time.perf_counter() - began)
    consumer.cancel()
    return rate


def _bare(ground: Ground, bus: Bus, jobs: int) -> float:
    with ground.engine() as engine:
        messages = _filled(ground, engine, bus, jobs)
    names = ground.topology.names
    if ground.broker_url.startswith("embedded"):
        return _bare_table(ground.store_url, names.recorder, messages)
    return on_bare_channel(ground.broker_url, lambda channel: consume_bare(channel, names.recorder, messages, json.loads))


def _bare_table(store_url: str, queue: str, messages: int) -> float:
    """Claims, parses and deletes, a batch in a transaction each."""
    connection = sqlite3.connect(urlsplit(store_url).path.removeprefix("/"), isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    taken, began = 0, time.perf_counter()
    while taken < messages:
        given = {"queue": queue, "owner": "bare", "count": BARE_BATCH, "now_ms": 0}
        rows = connection.execute(CLAIM_NEW, given).fetchall()
        for row in rows:
            json.loads(row[-1])
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(FORGET, (json.dumps([row[0] for row in rows]), "bare"))
        connection.execute("COMMIT")
        taken += len(rows)
    rate = messages / (time.perf_counter() - began)
    connection.close()
    return rate


class _Counting(Recorder):
    count = 0

    def _record(self, heard: Sequence[Heard]) -> None:
        super()._record(heard)
        self.count += len(heard)


# ---------------------------------------------------------------------------------------------------------- what flows


def _filled(ground: Ground, engine: Engine, bus: Bus, jobs: int) -> int:
    """Has the gateway's part done for *jobs* new jobs, and puts what is told of them into the recorder's queue."""
    submissions = accepted(engine, jobs)
    messages = list(_told(submissions, ground.topology.names))
    publish_from_thread(bus, messages)
    return len(messages)


def accepted(engine: Engine, count: int) -> list[Submission]:
    """New jobs in the store."""
    desk = Desk(("push_to_datastore",), SECRET, Sealer(message_keys(SECRET, ())))
    submissions = [desk.submission("application/json", BODY, None, "") for _ in range(count)]
    for start in range(0, count, 500):
        with writing(engine) as connection:
            insert_jobs(connection, submissions[start : start + 500], now())
    return submissions


def _told(submissions: list[Submission], names: Names) -> Iterator[Message]:
    draw = random.Random(7)
    for start in range(0, len(submissions), JOBS_AT_A_TIME):
        messages = [each for submission in submissions[start : start + JOBS_AT_A_TIME] for each in story(submission, names)]
        messages += draw.sample(messages, round(len(messages) * TWICE))
        for first in range(0, len(messages), SHUFFLED_WITHIN):
            window = messages[first : first + SHUFFLED_WITHIN]
            draw.shuffle(window)
            yield from window


def story(submission: Submission, names: Names) -> Iterator[Message]:
    """The job as the recorder hears it, and what its worker tells."""
    job = submission.job
    yield Message(exchange="", routing_key=names.recorder, body=submission.body, message_id=job.job_id, type=JOB_TYPE)
    for count, (kind, data) in enumerate(STORY, start=1):
        event = Event(
            job_id=job.job_id, job_type=job.job_type, kind=kind, sequence=A_START + count, data=data, source="/worker/1"
        )
        yield event_message(event, names)
