"""What those who watch the service see: figures of each role, traces of a job, log lines that say which job they are about."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from sandbox.server import Sandbox
from schemas.metrics import METRICS
from tests.acceptance.collector import Collector, Span
from tests.acceptance.service import Service, free_port, wait_until

CSV = b"id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n3,\n"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SERVER, CLIENT, CONSUMER = 2, 3, 5


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def ports() -> dict[str, int]:
    """Where each role has its figures."""
    return {"worker": free_port(), "recorder": free_port()}


@pytest.fixture
def watched(tmp_path: Path, variables: Mapping[str, str], collector: Collector, ports: dict[str, int]) -> Iterator[Service]:
    """Gateway, worker and recorder, each with its port for figures, sending traces and logging JSON."""
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100", "DATAPUSHER_LOG_FORMAT": "json"}
    service = Service(tmp_path, {**variables, **told, "DATAPUSHER_WORKER_BEAT": "0.5", "DATAPUSHER_SLOTS": "3"})
    service.start("gateway")
    for role, port in ports.items():
        service.environment["DATAPUSHER_METRICS_PORT"] = str(port)
        service.start(role)
    yield service
    service.stop()


def figures(url: str) -> dict[tuple[str, ...], float]:
    """(name, values of the labels …) -> value."""
    families = text_string_to_metric_families(requests.get(url, timeout=10).text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def names(url: str) -> set[str]:
    return {line.split()[2] for line in requests.get(url, timeout=10).text.splitlines() if line.startswith("# TYPE")}


def pushed(service: Service, ckan: Sandbox, **headers: str) -> str:
    """The id of a job that has ended, of a resource of CKAN's, and its callback delivered."""
    resource = ckan.add_resource(upload=("people.csv", CSV))
    body = {"job_type": "push_to_datastore", "api_key": ckan.token, "result_url": f"{ckan.url}/api/3/action/datapusher_hook",
            "metadata": {"resource_id": resource["id"], "ckan_url": ckan.url}}  # fmt: skip
    job_id = str(service.post(body, headers=headers).json()["job_id"])
    assert service.ended(job_id)["state"] == "complete", service.logs()
    wait_until(lambda: (service.job(job_id).get("callback") or {}).get("state") == "delivered", "it is told to CKAN")
    return job_id


# Each starts four processes: one bus is enough for each.
@pytest.mark.parametrize("variables", ["embedded"], indirect=True)
def test_each_role_shows_the_figures_of_the_table(watched: Service, ckan: Sandbox, ports: dict[str, int]) -> None:
    for port in ports.values():
        wait_until(lambda at=f"http://127.0.0.1:{port}/health": _ready(at), "it is ready", on_failure=watched.logs)  # type: ignore[misc]
    urls = {"gateway": f"{watched.url}metrics", **{role: f"http://127.0.0.1:{port}/metrics" for role, port in ports.items()}}
    wait_until(lambda: figures(urls["gateway"])["datapusher_workers",] == 1, "the worker lives")
    pushed(watched, ckan)

    for role, url in urls.items():
        shown = {name for name in names(url) if name.startswith("datapusher_")}
        assert shown == {metric.name for metric in METRICS if role in metric.roles}, role
    gateway, worker, recorder = (figures(url) for url in urls.values())
    job_type = "push_to_datastore"
    assert gateway["datapusher_jobs_accepted_total", job_type] == 1
    assert gateway["datapusher_workers_slots", "free"] == worker["datapusher_slots",] == 3
    assert worker["datapusher_attempts_total", job_type, "complete"] == 1
    assert worker["datapusher_jobs_finished_total", job_type, "complete"] == 1
    assert worker["datapusher_claims_total", "taken"] == 1
    assert worker["datapusher_callbacks_total", "delivered"] == 1
    assert worker["datapusher_file_bytes_total", job_type] == len(CSV)
    assert worker["datapusher_rows_total", job_type, "loaded"] == 3
    assert worker["datapusher_slots_busy",] == 0
    stages = {key[2] for key in worker if key[0] == "datapusher_stage_seconds_count"}
    assert stages == {"fetching", "opening", "loading"}
    assert recorder["datapusher_recorded_total", "complete"] == 1
    assert recorder["datapusher_recorded_total", "job"] == 1
    for role, found in (("gateway", gateway), ("worker", worker), ("recorder", recorder)):
        assert found["datapusher_bus_connected", role] == 1
        assert next(key for key in found if key[0] == "datapusher_info")[1] == role


@pytest.mark.parametrize("variables", ["rabbitmq"], indirect=True)
def test_one_trace_leads_from_the_request_to_the_callback(watched: Service, ckan: Sandbox, collector: Collector) -> None:
    job_id = pushed(watched, ckan, traceparent=TRACEPARENT)
    wait_until(lambda: len(collector.spans) >= 6, "all spans have come", on_failure=lambda: str(collector.spans))

    assert {span.trace_id for span in collector.spans} == {TRACE}
    (request,), (attempt,), (callback,) = map(collector.named, ("POST /job", "push_to_datastore", "callback"))
    assert (request.parent_id, request.kind, request.role) == (PARENT, SERVER, "gateway")
    assert (attempt.parent_id, attempt.kind, attempt.role) == (request.span_id, CONSUMER, "worker")
    assert (callback.parent_id, callback.kind) == (attempt.span_id, CLIENT)
    stages = [span for span in collector.spans if span.parent_id == attempt.span_id and span is not callback]
    assert [span.name for span in sorted(stages, key=_start)] == ["fetching", "opening", "loading"]
    assert all(attempt.start_ns <= span.start_ns <= span.end_ns <= attempt.end_ns + 1_000_000 for span in stages)
    assert request.facts["http.response.status_code"] == callback.facts["http.response.status_code"] == 200
    assert attempt.facts["datapusher.job_id"] == job_id and attempt.facts["datapusher.outcome"] == "complete"
    assert not any(span.failed for span in collector.spans)
    _lines_say_what_they_are_about(watched, job_id)
    _a_failed_attempt_is_a_failed_span(watched, ckan, collector)


def _lines_say_what_they_are_about(watched: Service, job_id: str) -> None:
    lines = [line for line in _lines(watched) if line.get("job_id") == job_id]
    assert {line["logger"] for line in lines} >= {"consumer.worker", "consumer.callback"}
    assert {line["trace_id"] for line in lines} == {TRACE}


def _a_failed_attempt_is_a_failed_span(watched: Service, ckan: Sandbox, collector: Collector) -> None:
    body = {"job_type": "push_to_datastore", "api_key": ckan.token,
            "metadata": {"resource_id": "there-is-none", "ckan_url": ckan.url}}  # fmt: skip
    job_id = watched.post(body).json()["job_id"]
    assert watched.ended(job_id)["state"] == "error"
    wait_until(lambda: len(collector.named("push_to_datastore")) == 2, "its span has come")
    attempt = collector.named("push_to_datastore")[1]
    assert attempt.failed and attempt.facts["datapusher.outcome"] == "error"
    assert attempt.trace_id != TRACE


def test_everything_in_one_process_shows_all_figures_at_its_gateway(tmp_path: Path) -> None:
    service = Service(tmp_path, {"DATAPUSHER_METRICS_PORT": str(free_port())})
    service.start("up")
    try:
        url = f"{service.url}metrics"
        wait_until(lambda: figures(url).get(("datapusher_slots",)) == 2, "the worker is counted")
        assert {metric.name for metric in METRICS} <= names(url)
    finally:
        service.stop()


def _start(span: Span) -> int:
    return span.start_ns


def _ready(url: str) -> bool:
    """Whether a worker or recorder lives, and can do its work."""
    try:
        return all(requests.get(f"{url}/{which}", timeout=5).json() == {"status": "ok"} for which in ("live", "ready"))
    except requests.RequestException:
        return False


def _lines(service: Service) -> list[dict[str, Any]]:
    texts = (path.read_text() for path in service.folder.glob("*.log"))
    return [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]
