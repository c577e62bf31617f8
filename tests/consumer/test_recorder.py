"""The recorder on the bus: nothing lost, nothing twice, nothing that stops it. Over both buses."""

import json
import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from consumer.outgoing import event_message
from consumer.recorder import run_recorder
from publisher.bus import Message
from schemas.messages import EVENT_TYPE, Event, Kind, new_id
from schemas.store import reading
from schemas.tables import jobs, logs
from tests.consumer.test_claims import cancel
from tests.consumer.workshop import API_KEY, Workshop, eventually


def tell(shop: Workshop, job_id: str, kind: Kind, sequence: int, **data: object) -> None:
    event = Event(job_id=job_id, job_type="echo", kind=kind, sequence=sequence, data=data)  # type: ignore[arg-type]
    shop.bus.publish(event_message(event, shop.names)).result(10)


def publish_event(shop: Workshop, body: bytes) -> None:
    message = Message(exchange=shop.names.events, routing_key="job.log.echo", body=body, message_id="odd", type=EVENT_TYPE)
    shop.bus.publish(message).result(10)


def lines(shop: Workshop, job_id: str) -> int:
    with reading(shop.engine) as connection:
        return int(connection.execute(select(func.count()).where(logs.c.job_id == job_id)).scalar_one())


def test_a_job_is_recorded_from_its_arrival_to_its_callback(workshop: Workshop) -> None:
    workshop.recorder()
    job_id = workshop.send("logs", "hello", metadata={"resource_id": "r"})
    eventually(lambda: workshop.row(job_id).get("state") == "queued")
    workshop.worker()
    eventually(lambda: workshop.row(job_id).get("state") == "complete")
    row = workshop.row(job_id)
    assert (row["data"], row["attempt"], row["resource_id"]) == ({"stages": ["loading"]}, 1, "r")
    assert row["progress"] == {"stage": "loading", "rows": 7}
    assert lines(workshop, job_id) == 2
    assert API_KEY not in str(row)


def test_two_recorders_write_everything_once(workshop: Workshop) -> None:
    for _ in range(2):
        workshop.recorder()
    ids = [new_id() for _ in range(5)]
    futures = []
    for number in range(600):
        for _ in range(2):
            data = {"level": "INFO", "message": str(number)}
            event = Event(job_id=ids[number % 5], job_type="echo", kind=Kind.LOG, sequence=1_000_000 + number, data=data)
            futures.append(workshop.bus.publish(event_message(event, workshop.names)))
    for future in futures:
        future.result(20)
    eventually(lambda: sum(lines(workshop, job_id) for job_id in ids) == 600)
    eventually(lambda: workshop.bus.depth(workshop.names.recorder) == 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",
        b'{"specversion": "1.0"}',
        json.dumps({"subject": "x", "jobtype": "echo", "type": "log", "sequence": 2**70, "time": "2026-01-01T00:00:00Z",
                    "data": {"message": "a number that fits no column"}}).encode(),
    ],
    ids=["no JSON", "no event", "refused by the database"],
)  # fmt: skip
def test_what_cannot_be_recorded_lies_with_the_dead_and_the_rest_is_kept(workshop: Workshop, bad: bytes) -> None:
    dead = workshop.dead()
    job_id = new_id()
    for number in range(20):
        tell(workshop, job_id, Kind.LOG, number + 1, message="good")
        if number == 7:
            publish_event(workshop, bad)
    workshop.recorder()
    eventually(lambda: lines(workshop, job_id) == 20)
    assert dead.first().body == bad
    assert dead.first().routing_key == "job.event"
    assert dead.first().headers["dead-reason"]
    assert len(dead.messages) == 1


def test_a_message_that_is_no_job_is_left_to_the_worker(workshop: Workshop) -> None:
    workshop.recorder()
    dead = workshop.dead()
    workshop.publish("echo", b'{"api_key": "the-token-of-a-site"}', message_id="bad")
    job_id = workshop.send("echo", 1)
    eventually(lambda: workshop.row(job_id))
    assert dead.messages == []


def test_what_was_told_while_the_store_was_away_is_recorded_when_it_is_back(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = threading.Event()
    away.set()
    connect = type(workshop.engine).connect

    def refuse(engine: object) -> object:
        if away.is_set() and threading.current_thread().name == "run_recorder":
            raise OperationalError("", {}, Exception("the store is away"))
        return connect(engine)  # type: ignore[arg-type]

    monkeypatch.setattr(type(workshop.engine), "connect", refuse)
    workshop.recorder()
    job_id = workshop.send("echo", 1)
    tell(workshop, job_id, Kind.COMPLETE, 1_900_000, data=1)
    assert workshop.row(job_id) == {}
    away.clear()
    eventually(lambda: workshop.row(job_id).get("state") == "complete")


def test_a_stopped_recorder_gives_back_what_it_has_in_hand(workshop: Workshop) -> None:
    stop = threading.Event()
    stop.set()
    job_id = workshop.send("echo", 1)
    run_recorder(workshop.settings, workshop.engine, workshop.bus, workshop.topology, stop)
    workshop.recorder()
    eventually(lambda: workshop.row(job_id))


def test_events_of_a_job_without_id_are_recorded_under_the_id_it_got(workshop: Workshop) -> None:
    workshop.recorder()
    workshop.worker()
    marker = new_id()
    body = {"job_type": "echo", "api_key": API_KEY, "data": marker, "metadata": {"resource_id": marker}}
    workshop.publish("echo", json.dumps(body).encode())

    def states() -> list[str]:
        with reading(workshop.engine) as connection:
            return list(connection.execute(select(jobs.c.state).where(jobs.c.resource_id == marker)).scalars())

    eventually(lambda: states() == ["complete"])


def test_a_cancelled_job_that_waits_is_shown_so_before_a_worker_gets_its_message(workshop: Workshop) -> None:
    workshop.recorder()
    job_id = workshop.send("echo", 1)
    eventually(lambda: workshop.row(job_id))
    cancel(workshop.engine, job_id)
    eventually(lambda: workshop.row(job_id)["state"] == "cancelled", 5)
    before = workshop.row(job_id)
    workshop.worker()
    eventually(lambda: workshop.bus.depth(workshop.names.work("echo")) == 0)
    workshop.stop()
    assert workshop.row(job_id) == before
