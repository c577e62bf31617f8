"""What becomes of jobs, over both buses."""

import json
import time
from pathlib import Path

import pytest

from consumer.outcome import CALLBACK, FINAL
from publisher.bus import Delivery
from schemas.addresses import broker_address, store_address
from schemas.messages import A_START, Callback, Job, Json, Kind, new_id
from tests.consumer.test_claims import cancel
from tests.consumer.workshop import API_KEY, Workshop, eventually

CKAN = "http://127.0.0.1:1"


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """One worker runs, events are heard."""
    workshop.listen().worker()
    return workshop


def test_a_job_is_started_and_completed_with_its_result(shop: Workshop) -> None:
    job_id = shop.send("echo", {"a": 1})
    end = shop.end(job_id)
    assert (end.kind, end.data, end.sequence) == (Kind.COMPLETE, {"data": {"a": 1}}, A_START + FINAL)
    started = shop.told(job_id, Kind.STARTED)[0]
    assert (started.data["attempt"], started.data["starts"]) == (1, 1)
    assert str(started.data["worker"]).startswith(started.source)


def test_lines_and_rejects_are_events_in_order_and_of_progress_the_last(shop: Workshop) -> None:
    job_id = shop.send("logs", "hello")
    shop.end(job_id)
    kinds = [event.kind for event in shop.told(job_id)]
    assert kinds == [Kind.STARTED, Kind.LOG, Kind.LOG, Kind.REJECTS, Kind.PROGRESS, Kind.COMPLETE]


def test_an_expected_failure_is_the_jobs_error_at_once(shop: Workshop) -> None:
    end = shop.end(shop.send("refuses"))
    assert end.kind is Kind.ERROR
    assert end.data["error"] == {"message": "The file is a picture.", "Hint": "Upload a table.", "Key": "***"}
    assert end.sequence < 2 * A_START


def test_a_passing_failure_is_retried_and_each_retry_told(shop: Workshop, tmp_path: Path) -> None:
    job_id = shop.send("stumbles", str(tmp_path / "tries"))
    assert shop.end(job_id).kind is Kind.COMPLETE
    delays = [event.data["delay_s"] for event in shop.told(job_id, Kind.RETRYING)]
    assert (len(delays), delays) == (2, [0.2, 0.5]) if "xxx" in (tmp_path / "tries").read_text() else (1, [0.2])
    lines = [str(event.data["message"]) for event in shop.told(job_id, Kind.LOG)]
    assert "CKAN answered 503. Trying again in 0.2 s." in lines[0]
    assert lines[1].startswith("Start 2 begins: the one before ended with: ") and "CKAN answered 503." in lines[1]


def test_a_bug_is_retried_once_and_then_told_in_plain_words(shop: Workshop) -> None:
    job_id = shop.send("has_bug")
    end = shop.end(job_id)
    assert (end.kind, len(shop.told(job_id, Kind.STARTED))) == (Kind.ERROR, 2)
    assert "ZeroDivisionError" in str(end.data)
    assert "Traceback" not in str([event.data for event in shop.told(job_id)])


def test_waiting_for_its_turn_spends_no_attempt_and_is_no_crash(shop: Workshop) -> None:
    job_id = shop.send("never_ready")
    fourth = shop.await_told(job_id, Kind.STARTED, times=4)
    assert (fourth.data["attempt"], fourth.data["starts"]) == (1, 4)
    cancel(shop.engine, job_id)
    assert shop.end(job_id).kind is Kind.CANCELLED


@pytest.mark.parametrize("job_type", ["exits", "segfaults", "eats_memory"])
def test_poison_is_started_as_often_as_allowed_and_lies_with_the_dead(workshop: Workshop, job_type: str) -> None:
    workshop.listen().worker(job_memory=200_000_000)
    dead = workshop.dead()
    poison, good = workshop.send(job_type, result_url=f"{CKAN}/hook"), workshop.send("echo", 1)
    end = workshop.end(poison)
    assert workshop.end(good).kind is Kind.COMPLETE
    assert (end.kind, len(workshop.told(poison, Kind.STARTED))) == (Kind.DEAD, 2)
    message = dead.of(poison)
    assert message.routing_key == f"job.{job_type}"
    assert "started 2 times" in str(message.headers["dead-reason"])
    assert API_KEY.encode() not in message.body


def test_an_endless_loop_ends_with_an_error_that_names_the_limit(workshop: Workshop) -> None:
    workshop.listen().worker(job_timeout=0.5)
    loop, good = workshop.send("loops"), workshop.send("echo", 1)
    assert workshop.end(good).kind is Kind.COMPLETE
    end = workshop.end(loop)
    assert (end.kind, "DATAPUSHER_JOB_TIMEOUT" in str(end.data)) == (Kind.ERROR, True)


def test_a_dead_job_that_is_replayed_runs_again(workshop: Workshop) -> None:
    workshop.listen().worker()
    dead = workshop.dead()
    job_id = workshop.send("exits")
    message = dead.of(job_id)
    fixed = json.dumps({**json.loads(message.body), "job_type": "echo"}).encode()
    workshop.publish("echo", fixed, job_id, **message.headers)
    eventually(lambda: workshop.told(job_id, Kind.COMPLETE))
    assert workshop.told(job_id, Kind.COMPLETE)[0].sequence == 3 * A_START + FINAL


def test_a_running_job_is_cancelled_within_five_seconds(shop: Workshop) -> None:
    job_id = shop.send("sleeps", 60, result_url=f"{CKAN}/hook")
    shop.await_told(job_id, Kind.STARTED)
    started = time.monotonic()
    cancel(shop.engine, job_id)
    end = shop.end(job_id)
    assert time.monotonic() - started < 5
    assert (end.kind, end.data["error"]) == (Kind.CANCELLED, {"message": "The job was cancelled."})


def test_a_job_cancelled_before_its_start_never_starts(workshop: Workshop) -> None:
    job_id = new_id()
    cancel(workshop.engine, job_id)
    workshop.listen().worker()
    workshop.send("echo", job_id=job_id)
    assert workshop.end(job_id).kind is Kind.CANCELLED
    assert workshop.told(job_id, Kind.STARTED) == []


def overlaps(file: Path) -> bool:
    """Whether a job wrote its start while another had not written its end."""
    running = 0
    for line in file.read_text().splitlines():
        running += 1 if line.startswith("start") else -1
        if running > 1:
            return True
    return False


@pytest.mark.parametrize(("same", "overlap"), [(True, False), (False, True)], ids=["one resource", "two resources"])
def test_two_pushes_overlap_only_where_their_resources_differ(
    workshop: Workshop, tmp_path: Path, same: bool, overlap: bool
) -> None:
    for _ in range(2):
        workshop.worker()
    workshop.listen()
    resources = [new_id(), new_id()]
    fields = [{"ckan_url": CKAN, "resource_id": resources[0 if same else number % 2]} for number in range(4)]
    ids = [workshop.send("works_alone", str(tmp_path / "file"), metadata=dict(each)) for each in fields]
    assert [workshop.end(job_id).kind for job_id in ids] == [Kind.COMPLETE] * 4
    assert overlaps(tmp_path / "file") is overlap


def test_the_same_message_twice_runs_once_and_tells_the_same_again(shop: Workshop) -> None:
    job_id = shop.send("echo", 1)
    shop.end(job_id)
    shop.send("echo", 1, job_id=job_id)
    eventually(lambda: len([event for event in shop.events if event.kind is Kind.COMPLETE]) == 2)
    first, second = [event for event in shop.events if event.kind is Kind.COMPLETE]
    assert (first.id, first.data, first.time) == (second.id, second.data, second.time)
    assert len(shop.told(job_id, Kind.STARTED)) == 1


def test_what_is_no_job_lies_with_the_dead_without_its_key_and_the_worker_goes_on(workshop: Workshop) -> None:
    workshop.listen().worker()
    dead = workshop.dead()
    for body in (
        b"\xff{",
        b"[]",
        b'{"job_type": "echo", "api_key": "the-token-of-a-site", "bad": 1}',
        b'api_key="the-token-of-a-site"',
    ):
        workshop.publish("echo", body, message_id="bad-one")
    eventually(lambda: len(dead.messages) == 4)
    assert {message.routing_key for message in dead.messages} == {"job.invalid"}
    assert API_KEY not in str(dead.messages)
    assert "unknown keys: bad" in {str(message.headers["dead-reason"]) for message in dead.messages}
    assert workshop.end("bad-one").kind is Kind.DEAD
    assert workshop.end(workshop.send("echo", 1)).kind is Kind.COMPLETE


def test_a_key_sealed_elsewhere_is_told_as_such(workshop: Workshop) -> None:
    workshop.listen().worker()
    job_id = workshop.send("echo", api_key="fernet:gAAAAA")
    assert "DATAPUSHER_SECRET_KEY" in str(workshop.end(job_id).data)


def test_a_job_without_an_id_gets_one(shop: Workshop) -> None:
    shop.publish("echo", json.dumps({"job_type": "echo", "api_key": API_KEY, "data": "anonymous"}).encode())
    eventually(lambda: any(event.kind is Kind.COMPLETE for event in shop.events))
    assert len({event.job_id for event in shop.events}) == 1


def test_the_callback_is_the_legacy_job_with_metadata_as_it_was_sent(shop: Workshop) -> None:
    taken: list[Delivery] = []
    shop.bus.consume(shop.names.callbacks, taken.append, prefetch=10)
    metadata: dict[str, Json] = {
        "task_created": "2026-11-22 02:22:38.320436",
        "ignore_hash": False,
        "n": 1.5,
        "deep": {"a": [None]},
    }
    job_id = shop.send("logs", "x", result_url=f"{CKAN}/hook", metadata=metadata)
    eventually(lambda: taken)
    callback = Callback.decode(taken[0].message.body)
    assert callback.payload["metadata"] == metadata
    keys = (
        "job_id job_type status data error requested_timestamp finished_timestamp sent_data aps_job_id result_url metadata logs"
    )
    assert set(keys.split()) <= set(callback.payload)
    assert (callback.payload["status"], callback.payload["job_id"]) == ("complete", job_id)
    assert "by report: x" in str(callback.payload["logs"])
    assert API_KEY.encode() not in taken[0].message.body
    assert callback.sequence == A_START + CALLBACK
    taken[0].ack()


def test_sigterm_lets_running_jobs_end_and_leaves_the_rest(workshop: Workshop) -> None:
    workshop.listen()
    stop = workshop.worker(slots=1)
    running = workshop.send("sleeps", 1)
    workshop.await_told(running, Kind.STARTED)
    waiting = workshop.send("echo", 1)
    stop.set()
    assert workshop.end(running).kind is Kind.COMPLETE
    workshop.stop()
    assert workshop.told(waiting) == []
    workshop.worker()
    assert workshop.end(waiting).kind is Kind.COMPLETE


def test_a_worker_says_at_its_start_what_it_takes_from_where(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    workshop.worker(slots=1)
    workshop.recorder()
    eventually(lambda: "at once" in caplog.text and "records" in caplog.text)
    assert workshop.names.work("echo") in caplog.text and workshop.names.recorder in caplog.text
    assert caplog.text.count(broker_address(workshop.settings.broker_url)) >= 2
    assert caplog.text.count(store_address(workshop.engine)) >= 2


def test_a_job_longer_than_the_drain_goes_back_to_the_queue(workshop: Workshop) -> None:
    workshop.listen()
    stop = workshop.worker(drain_timeout=0.3)
    job_id = workshop.send("sleeps", 2.5)
    workshop.await_told(job_id, Kind.STARTED)
    stop.set()
    workshop.stop()
    workshop.worker()
    end = workshop.end(job_id)
    assert (end.kind, end.sequence // A_START) == (Kind.COMPLETE, 2)
    assert "Start 2 begins: its worker gave it back." in [line.data["message"] for line in workshop.told(job_id, Kind.LOG)]


def test_a_job_function_is_given_the_body_without_its_id_and_the_key_open(shop: Workshop) -> None:
    job = Job(job_id="x", job_type="echo", api_key=API_KEY, data=1, metadata={"a": 1})
    assert set(job.input) == {"job_type", "api_key", "result_url", "metadata", "data"}
    end = shop.end(shop.send("tells_secrets"))
    assert isinstance(end.data["data"], dict)
    assert end.data["data"]["key"] == "***"
