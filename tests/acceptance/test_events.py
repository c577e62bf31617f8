"""What flows over the exchange of events is what schemas/asyncapi.json says."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pika
import pytest
import requests

from sandbox.server import Sandbox
from tests.acceptance.service import SECRET, Service, wait_until
from tests.schemas.test_asyncapi import payload_validator

#: The third row has a cell too many.
RAGGED = b"number,species\n" + b"\n".join(b"%d,Tilia%s" % (n, b",x" if n == 3 else b"") for n in range(60))


@pytest.fixture
def service(tmp_path: Path, on_rabbitmq: Mapping[str, str], ckan: Sandbox) -> Iterator[Service]:
    service = Service(tmp_path, on_rabbitmq)
    service.start("up")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    ckan.datapusher_url = service.url
    yield service
    service.stop()


def submitted(ckan: Sandbox, content: bytes) -> str:
    resource = ckan.add_resource(upload=("a.csv", content), format="CSV")
    return str(ckan.status(resource["id"])["job_id"])


def pushes_of_every_outcome(service: Service, ckan: Sandbox) -> None:
    ckan.fail("download", 503, times=1)
    ckan.fail("datapusher_hook", 500, times=1)
    for content in (RAGGED, b"%PDF-1.7\n" + b"x" * 100):
        service.ended(submitted(ckan, content))
    ckan.fail("datastore_create", None, times=1, delay_s=5.0)
    running = submitted(ckan, b"a\n1\n")
    wait_until(lambda: service.job(running)["state"] == "running", "it runs")
    requests.post(f"{service.url}job/{running}/cancel", headers={"Authorization": SECRET}, timeout=10)
    service.ended(running)


def test_every_event_fits_the_schema_of_its_kind(service: Service, ckan: Sandbox, broker_url: str, prefix: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        channel = connection.channel()
        queue = str(channel.queue_declare("", exclusive=True).method.queue)
        channel.queue_bind(queue, f"{prefix}.events", "#")
        pushes_of_every_outcome(service, ckan)
        no_job = b'{"job_type": "push_to_datastore", "metdata": {}}'
        channel.basic_publish(f"{prefix}.jobs", "push_to_datastore", no_job, pika.BasicProperties(message_id="broken-1"))
        kinds = set()
        while "dead" not in kinds:
            kinds.add(checked(*next(channel.consume(queue, auto_ack=True, inactivity_timeout=30))))
    assert kinds >= {
        "started",
        "progress",
        "log",
        "rejects",
        "loaded",
        "retrying",
        "complete",
        "error",
        "cancelled",
        "callback",
    }


def checked(method: Any, properties: Any, body: bytes | None) -> str:
    """The kind of the event, which fits its schema and its routing key."""
    assert body is not None, "no more events came, and no job was told dead"
    event = json.loads(body)
    _, kind, job_type = method.routing_key.split(".")
    payload_validator(kind).validate(event)
    assert kind not in ("complete", "error", "cancelled") or event["data"]["ckan_url"].startswith("http")
    assert (properties.content_type, event["jobtype"]) == ("application/cloudevents+json", job_type)
    return str(kind)
