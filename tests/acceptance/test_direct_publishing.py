"""Other systems publish straight to the exchange, with bare pika."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pika
import pytest

from sandbox.server import Sandbox
from tests.acceptance.service import Service, wait_until

CSV = b"id,name\n1,Ada\n"


@pytest.fixture
def service(tmp_path: Path, on_rabbitmq: Mapping[str, str]) -> Iterator[Service]:
    service = Service(tmp_path, on_rabbitmq)
    yield service
    service.stop()


def publish(broker_url: str, prefix: str, routing_key: str, body: bytes, message_id: str) -> None:
    properties = pika.BasicProperties(
        message_id=message_id, type="datapusher.job", content_type="application/json", delivery_mode=2
    )
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(f"{prefix}.jobs", routing_key, body, properties, mandatory=True)


def test_a_job_published_with_bare_pika_runs_and_can_be_asked_for(
    service: Service, ckan: Sandbox, broker_url: str, prefix: str
) -> None:
    service.start("gateway", "worker", "recorder")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    resource = ckan.add_resource(upload=("a.csv", CSV))
    publish(broker_url, prefix, "push_to_datastore", json.dumps(ckan.job_for(resource["id"])).encode(), "my-job-1")

    assert service.ended("my-job-1")["state"] == "complete", service.logs()
    assert len(ckan.table(resource["id"]).rows) == 1


def test_a_job_of_an_unknown_type_is_returned_to_its_sender(service: Service, broker_url: str, prefix: str) -> None:
    service.start("gateway", "worker")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    with pytest.raises(pika.exceptions.UnroutableError):
        publish(broker_url, prefix, "no_such_job", b'{"job_type": "no_such_job"}', "my-job-2")


def test_a_malformed_message_is_dead_lettered_with_its_reason_and_the_worker_goes_on(
    service: Service, ckan: Sandbox, broker_url: str, prefix: str
) -> None:
    service.start("gateway", "worker", "recorder")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    publish(broker_url, prefix, "push_to_datastore", b"this is not JSON", "broken-1")
    resource = ckan.add_resource(upload=("a.csv", CSV))
    publish(broker_url, prefix, "push_to_datastore", json.dumps(ckan.job_for(resource["id"])).encode(), "after-1")

    assert service.ended("after-1")["state"] == "complete"
    assert "not JSON" in dead_reason(broker_url, prefix, "broken-1")


def dead_reason(broker_url: str, prefix: str, message_id: str) -> str:
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        for method, properties, _ in connection.channel().consume(f"{prefix}.dead", inactivity_timeout=10):
            assert method is not None, "nothing is in the dead queue"
            if properties.message_id == message_id:
                return str(properties.headers["dead-reason"])
    return ""
