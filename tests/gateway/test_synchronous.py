"""Jobs whose sender waits for the result: they run on a worker, the gateway waits for their end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from publisher.bus import Delivery
from schemas.messages import Kind
from schemas.tables import jobs
from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, GatewayThread
from tests.gateway.recording import Recording
from tests.gateway.test_accepting import KEYS

COUNT = {**JOB, "job_type": "count", "data": [1, 2, 3]}
#: (job id) -> what a worker and a recorder do with the job.
Work = Callable[[str], None]


@pytest.fixture
def worker(gateway: GatewayThread) -> Iterator[Callable[[Work], None]]:
    """Does something with each job of type `count`, on a thread."""
    with ThreadPoolExecutor(1) as thread:

        def work(does: Work) -> None:
            def handle(delivery: Delivery) -> None:
                delivery.ack()
                thread.submit(does, delivery.message.message_id)

            gateway.bus.consume(gateway.names.work("count"), handle, prefetch=1)

        yield work


def test_the_answer_is_the_finished_job(gateway: GatewayThread, recording: Recording, worker: Callable[[Work], None]) -> None:
    def work(job_id: str) -> None:
        recording.log(job_id, "counting")
        recording.tell_end(job_id, job_type="count", data=3)

    worker(work)
    answer = gateway.post(COUNT)
    job = answer.json()
    assert (answer.status_code, list(job)) == (200, KEYS)
    assert (job["status"], job["data"], job["sent_data"]) == ("complete", 3, [1, 2, 3])
    assert [line["message"] for line in job["logs"]] == ["counting"]
    assert answer.elapsed.total_seconds() < 1


def test_the_end_is_found_in_the_store_when_it_was_not_heard(
    gateway: GatewayThread, recording: Recording, worker: Callable[[Work], None]
) -> None:
    worker(lambda job_id: recording.end(job_id, "error", error={"message": "no"}))
    job = gateway.post(COUNT).json()
    assert (job["status"], job["error"]) == ("error", {"message": "no"})


def test_the_end_may_be_heard_before_it_is_stored(
    gateway: GatewayThread, recording: Recording, worker: Callable[[Work], None]
) -> None:
    def work(job_id: str) -> None:
        recording.tell(job_id, Kind.COMPLETE, 1_900_000, "count", data=3)
        threading.Timer(0.3, recording.end, [job_id], {"data": 3}).start()

    worker(work)
    answer = gateway.post(COUNT)
    assert answer.json()["data"] == 3 and 0.3 < answer.elapsed.total_seconds() < 1


def test_a_streamed_result_comes_bare(gateway: GatewayThread, recording: Recording, worker: Callable[[Work], None]) -> None:
    def work(job_id: str) -> None:
        recording.claim(job_id, outcome={"kind": "complete", "data": {"data": '{"a": 1}\n', "raw": True}})
        recording.tell_end(job_id, job_type="count", data='{"a": 1}\n')

    worker(work)
    answer = gateway.post(COUNT)
    assert (answer.text, answer.headers["Content-Type"]) == ('{"a": 1}\n', "application/json")


def test_a_job_that_takes_too_long_goes_on(start: Start) -> None:
    gateway = start(sync_timeout=0.3)
    answer = gateway.post(COUNT, "/job/slow")
    assert answer.status_code == 409
    assert "goes on" in answer.json()["error"] and "GET /job/slow" in answer.json()["error"]
    with gateway.engine.begin() as connection:
        connection.execute(update(jobs).values(state="complete", data=3))
    assert gateway.get("/job/slow").json()["data"] == 3


def test_many_can_wait_at_once(gateway: GatewayThread, recording: Recording, worker: Callable[[Work], None]) -> None:
    worker(lambda job_id: recording.tell_end(job_id, job_type="count", data=job_id))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: gateway.post(COUNT, f"/job/n{n}").json(), range(32)))
    assert [answer["data"] for answer in answers] == [f"n{n}" for n in range(32)]
