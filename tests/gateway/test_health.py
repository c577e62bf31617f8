"""What those who watch the gateway are told."""

import re

from prometheus_client.parser import text_string_to_metric_families

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
    assert (told["datapusher_outbox_jobs", ""], told["datapusher_bus_connected", ""], told["datapusher_store_up", ""]) == (
        2,
        0,
        1,
    )
    assert 0 < told["datapusher_outbox_oldest_seconds", ""] < 60


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
