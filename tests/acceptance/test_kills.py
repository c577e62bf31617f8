"""Nothing accepted is lost, whoever is killed."""

import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from sandbox.server import Sandbox
from tests.acceptance.service import Service, descendants, wait_until

CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(1000))


def test_a_killed_worker_leaves_no_orphan_and_its_job_is_done_by_another(service: Service, ckan: Sandbox) -> None:
    _, worker, _ = service.start("gateway", "worker", "recorder")
    ckan.datapusher_url = service.url
    ckan.fail("datastore_create", status=None, times=1, delay_s=3.0)  # long enough to be killed in
    resource = ckan.add_resource(upload=("a.csv", CSV))
    wait_until(lambda: bool(ckan.calls("datastore_create")), "the job is in the middle of its load", on_failure=service.logs)
    children = descendants(worker)

    worker.kill()
    worker.wait()
    _, alive = psutil.wait_procs(children, timeout=2)
    service.start("worker")

    assert children and not alive
    assert ckan.wait_for(resource["id"], timeout_s=60)["state"] == "complete", service.logs()
    assert len(ckan.table(resource["id"]).rows) == 1000
    assert len(ckan.hooks) == 1


def test_a_gateway_killed_between_accept_and_publish_publishes_after_its_restart(
    tmp_path: Path, ckan: Sandbox, on_rabbitmq: Mapping[str, str]
) -> None:
    """The broker is out of reach when the job is accepted, so that it can only be in the outbox when the gateway dies."""
    service = Service(tmp_path, {**on_rabbitmq, "DATAPUSHER_BROKER_URL": "amqp://guest:guest@127.0.0.1:1/"})
    try:
        (gateway,) = service.start("gateway")
        resource = ckan.add_resource(upload=("a.csv", CSV))
        answer = service.post(ckan.job_for(resource["id"]))
        gateway.kill()
        gateway.wait()
        service.environment |= on_rabbitmq
        service.start("gateway", "worker", "recorder")

        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 2
        assert service.ended(answer.json()["job_id"])["state"] == "complete"
    finally:
        service.stop()


def test_sigterm_lets_the_running_job_finish(service: Service, ckan: Sandbox) -> None:
    _, worker, _ = service.start("gateway", "worker", "recorder")
    ckan.datapusher_url = service.url
    ckan.fail("datastore_create", status=None, times=1, delay_s=1.0)
    resource = ckan.add_resource(upload=("a.csv", CSV))
    wait_until(lambda: bool(ckan.calls("datastore_create")), "the job is in the middle of its load")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=20) == 0
    assert len(ckan.calls("datastore_create")) == 1
    assert len(ckan.table(resource["id"]).rows) == 1000
