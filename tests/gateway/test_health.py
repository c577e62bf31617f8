"""What those who watch the gateway are told."""

import re
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from gateway.clock import now
from schemas.tables import claims, workers
from tests.acceptance.service import wait_until
from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, GatewayThread


def figures(gateway: GatewayThread) -> dict[tuple[str, str], float]:
    """(name, labels as text) -> value."""
    answer = gateway.get("/metrics", key=None)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, ",".join(s.labels.values())): s.value for family in families for s in family.samples}


def test_figures_count_requests_and_jobs(gateway: GatewayThread) -> None:
    gateway.bus.cut = True
    gateway.post(JOB)
    gateway.post(JOB)
    gateway.post({})
    told = figures(gateway)
    assert told["datapusher_http_requests_total", "POST,/job,200"] == 2
    assert told["datapusher_http_requests_total", "POST,/job,409"] == 1
    assert told["datapusher_http_request_seconds_count", "POST,/job"] == 3
    assert told["datapusher_jobs", "queued"] == 2
    assert told["datapusher_outbox_jobs", ""] == 2
    assert (told["datapusher_bus_connected", "gateway"], told["datapusher_store_up", ""]) == (0, 1)
    assert 0 < told["datapusher_outbox_oldest_seconds", ""] < 60


def test_figures_tell_what_waits_and_who_works(gateway: GatewayThread) -> None:
    moment = now()
    alive = {"version": "1", "job_types": [], "started_at": moment, "seen_at": moment}
    with gateway.engine.begin() as connection:
        connection.execute(insert(workers), [
            {**alive, "worker": "/worker/a/1", "slots": 4, "busy": 3, "good_until": moment + timedelta(seconds=60)},
            {**alive, "worker": "/worker/b/1", "slots": 2, "busy": 2, "good_until": moment - timedelta(seconds=1)},
        ])  # fmt: skip
        claim = {"running": True, "starts": 1, "owner": "/worker/a/1/1", "changed_at": moment}
        connection.execute(insert(claims), [
            {**claim, "job_id": "j1", "resource_key": "r1", "lease_until": moment + timedelta(seconds=60)},
            {**claim, "job_id": "j2", "resource_key": "r2", "lease_until": moment - timedelta(seconds=1)},
        ])  # fmt: skip
    gateway.accepted()
    wait_until(lambda: gateway.depth() == 1, "the job is published")
    told = figures(gateway)
    assert told["datapusher_workers", ""] == 1
    assert (told["datapusher_workers_slots", "busy"], told["datapusher_workers_slots", "free"]) == (3, 1)
    assert (told["datapusher_claims_running", "held"], told["datapusher_claims_running", "expired"]) == (2, 1)
    assert told["datapusher_queue_messages", "datapusher.push_to_datastore"] == 1
    assert told["datapusher_queue_messages", "datapusher.dead"] == 0
    assert 0 < told["datapusher_queue_oldest_seconds", "push_to_datastore"] < 60
    assert told["datapusher_jobs_accepted_total", "push_to_datastore"] == 1


def test_figures_of_what_is_over_fall_back_to_nothing(gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    assert figures(gateway)["datapusher_jobs", "queued"] == 1
    gateway.delete(f"/job/{job_id}")
    told = figures(gateway)
    assert told["datapusher_jobs", "queued"] == told["datapusher_queue_oldest_seconds", "push_to_datastore"] == 0


def test_figures_have_no_label_that_a_client_can_choose(gateway: GatewayThread) -> None:
    for n in range(20):
        gateway.get(f"/job/id-{n}")
        gateway.get(f"/nowhere-{n}")
        gateway.http.request(f"GET{'X' * n}" if n else "PROPFIND", gateway.url + "/job")
    labels = {label for _, label in figures(gateway)}
    assert {"GET,/job/{job_id},404", "GET,unknown,404", "other,unknown,405"} <= labels
    assert not [label for label in labels if re.search(r"\d-|-\d|X", label)]


def test_figures_can_be_turned_off(start: Start) -> None:
    assert start(metrics=False).get("/metrics").status_code == 404


def test_head_is_answered_as_get_without_its_body(gateway: GatewayThread) -> None:
    for path in ("/", "/status", "/job", "/health/live"):
        answer = gateway.http.head(gateway.url + path)
        assert (answer.status_code, answer.content) == (200, b"")
