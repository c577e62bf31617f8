"""`POST /job`: what is answered, what lies in the store, what goes out on the bus."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.legacy import LegacyShape
from publisher.bus import Delivery
from schemas.errors import BadSetting
from schemas.messages import Job
from schemas.sealing import Sealer, job_key, message_keys
from schemas.tables import jobs, outbox
from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, SECRET, GatewayThread
from tests.gateway.recording import Recording
from tests.publisher.lab import eventually

KEYS = ["job_id", "job_type", "status", "data", "error", "requested_timestamp", "finished_timestamp", "sent_data",
        "aps_job_id", "result_url", "job_key", "metadata", "logs"]  # fmt: skip
AS_CKAN_SENDS = {
    "api_key": "eyJ.token",
    "job_type": "push_to_datastore",
    "result_url": "http://127.0.0.1:5001/api/3/action/datapusher_hook",
    "metadata": {
        "ignore_hash": False, "ckan_url": "http://127.0.0.1:5001", "resource_id": "76315973", "set_url_type": False,
        "task_created": "2026-11-22 02:22:38.320436", "original_url": "http://127.0.0.1:8099/bom.csv",
    },
}  # fmt: skip


def taken(gateway: GatewayThread, count: int = 1, job_type: str = "push_to_datastore") -> list[Delivery]:
    """The first messages on the work queue."""
    deliveries: list[Delivery] = []
    enough = threading.Event()

    def take(delivery: Delivery) -> None:
        deliveries.append(delivery)
        if len(deliveries) >= count:
            enough.set()

    gateway.bus.consume(gateway.names.work(job_type), take, prefetch=count)
    assert enough.wait(10), f"{len(deliveries)} of {count} messages"
    return deliveries


def test_a_job_is_answered_as_the_old_service_did(gateway: GatewayThread) -> None:
    answer = gateway.post(AS_CKAN_SENDS)
    job = answer.json()

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert list(job) == KEYS
    assert (job["status"], job["data"], job["error"], job["sent_data"], job["logs"]) == ("pending", None, None, {}, [])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", job["requested_timestamp"])
    assert job["metadata"] == AS_CKAN_SENDS["metadata"] and list(job["metadata"]) == sorted(job["metadata"])
    assert job["job_key"] == job_key(SECRET, job["job_id"])


def test_the_job_is_found_at_once(gateway: GatewayThread) -> None:
    for _ in range(20):
        job = gateway.accepted()
        assert gateway.get(f"/job/{job['job_id']}", key=job["job_key"]).status_code == 200


def test_the_message_holds_the_job_with_its_api_key_sealed(gateway: GatewayThread) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    job = gateway.post({**AS_CKAN_SENDS, "data": [1]}, headers={"traceparent": trace}).json()
    message = taken(gateway)[0].message
    sent = Job.decode(message.body)

    assert (message.type, message.message_id, message.routing_key) == ("datapusher.job", job["job_id"], "push_to_datastore")
    assert (message.headers["schema-version"], message.headers["attempts"]) == (1, 0)
    assert message.headers["traceparent"] == trace
    assert message.headers["requested-at"] == job["requested_timestamp"] + "Z"
    assert (sent.metadata, sent.data, sent.result_url) == (AS_CKAN_SENDS["metadata"], [1], AS_CKAN_SENDS["result_url"])
    assert b"eyJ.token" not in message.body and Sealer(message_keys(SECRET, ())).open(sent.api_key) == "eyJ.token"


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01"])
def test_a_request_without_a_trace_gets_a_new_one(gateway: GatewayThread, header: str) -> None:
    gateway.post(JOB, headers={"traceparent": header})
    trace = str(taken(gateway)[0].message.headers["traceparent"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace)


def test_the_store_never_sees_the_api_key(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted({**JOB, "api_key": "very-secret-token"})
    stored = repr(recording.rows(jobs, job["job_id"])) + repr(recording.rows(outbox, job["job_id"]))
    assert "fernet:" in stored and "very-secret-token" not in stored


def test_a_job_may_bring_its_own_id(gateway: GatewayThread) -> None:
    answer = gateway.post(JOB, "/job/my:job.1~a")
    assert answer.json()["job_id"] == "my:job.1~a"
    assert gateway.get("/job/my:job.1~a").json()["job_id"] == "my:job.1~a"


def test_an_id_is_taken_once(gateway: GatewayThread) -> None:
    first, second = gateway.post(JOB, "/job/mine"), gateway.post(JOB, "/job/mine")
    assert first.status_code == 200
    assert (second.status_code, second.json()) == (409, {"error": "job_id mine already exists"})


def test_an_id_is_taken_once_even_when_many_want_it(gateway: GatewayThread, recording: Recording) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda n: gateway.post({**JOB, "data": n}, "/job/wanted").status_code, range(32)))
    assert sorted(statuses) == [200] + [409] * 31
    assert len(recording.rows(jobs, "wanted")) == 1


def test_all_of_many_concurrent_jobs_reach_the_queue(gateway: GatewayThread) -> None:
    with ThreadPoolExecutor(16) as pool:
        accepted = {job["job_id"] for job in pool.map(lambda _: gateway.accepted(), range(200))}
    eventually(lambda: gateway.depth() == 200)
    assert {delivery.message.message_id for delivery in taken(gateway, 200)} == accepted


def test_the_outbox_is_empty_once_the_bus_has_the_jobs(gateway: GatewayThread) -> None:
    gateway.accepted()
    eventually(lambda: gateway.outbox_depth() == 0)


def test_metadata_keep_their_types(gateway: GatewayThread) -> None:
    metadata: dict[str, Any] = {
        "b": True, "n": None, "i": 12345678901234567890123, "f": 1.5, "s": "é\u2028", "l": [1, {"z": 1, "a": 2}], "": "empty",
    }  # fmt: skip
    job = gateway.accepted({**JOB, "metadata": metadata})
    stored = gateway.get(f"/job/{job['job_id']}").json()["metadata"]
    assert stored == job["metadata"] == metadata
    assert Job.decode(taken(gateway)[0].message.body).metadata == metadata


@pytest.mark.parametrize(("sent", "shown"), [(None, {}), (0, 0), ("", ""), ([], []), ({"a": 1}, {"a": 1})])
def test_sent_data_is_what_was_sent(gateway: GatewayThread, sent: object, shown: object) -> None:
    job = gateway.accepted({**JOB, "data": sent})
    assert job["sent_data"] == gateway.get(f"/job/{job['job_id']}").json()["sent_data"] == shown


def test_ids_that_are_numbers_become_text(gateway: GatewayThread) -> None:
    gateway.accepted({**JOB, "api_key": 42})
    sealed = Job.decode(taken(gateway)[0].message.body).api_key
    assert Sealer(message_keys(SECRET, ())).open(sealed) == "42"


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/vnd.api+json", "text/x; application/json"]
)
def test_what_says_it_is_json_is_read_as_json(gateway: GatewayThread, content_type: str) -> None:
    answer = gateway.http.post(gateway.url + "/job", data=json.dumps(JOB), headers={"Content-Type": content_type})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/job", "/job/", "/dp/job", "/dp/job/"])
def test_every_way_to_write_the_path_works_without_a_redirect(gateway: GatewayThread, path: str) -> None:
    assert gateway.post(JOB, path).status_code == 200


def test_times_are_told_in_the_zone_of_the_ckan_host(start: Start) -> None:
    gateway = start(legacy_timezone="Asia/Tokyo")
    job = gateway.accepted()
    Recording(gateway.engine, gateway).end(job["job_id"])
    assert gateway.get(f"/job/{job['job_id']}").json()["finished_timestamp"] == "2026-03-01T21:00:00.000000"


@pytest.mark.parametrize("zone", ["Atlantis/Capital", "../etc/passwd", ""])
def test_a_zone_that_is_none_stops_the_start(zone: str) -> None:
    with pytest.raises(BadSetting, match="DATAPUSHER_LEGACY_TIMEZONE"):
        LegacyShape(zone)
