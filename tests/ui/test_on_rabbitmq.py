"""The dashboard of a real gateway on RabbitMQ and PostgreSQL: depths, and the dead."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from publisher.bus import Message
from publisher.connect import await_connected
from publisher.rabbitmq import RabbitBus
from schemas.topology import topology
from tests.acceptance.conftest import database_url, on_rabbitmq
from tests.acceptance.service import Service, wait_until
from tests.ui.html import Page

__all__ = ["database_url", "on_rabbitmq"]
TOPOLOGY_DELAYS = (1.0,)


@pytest.fixture
def service(tmp_path: Path, on_rabbitmq: Mapping[str, str]) -> Iterator[Service]:
    service = Service(tmp_path, on_rabbitmq)
    service.start("gateway")
    wait_until(service.ready, "the gateway has its bus", on_failure=service.logs)
    yield service
    service.stop()


@pytest.fixture
def http(service: Service) -> Iterator[requests.Session]:
    """Logged in."""
    with requests.Session() as http:
        page = Page(http.get(service.url + "ui/login", timeout=20).text, service.url + "ui/login")
        form = page.form("Log in")
        http.post(form.action, data={**form.fields, "username": "admin", "password": "sesame"}, timeout=20)
        yield http


def page(http: requests.Session, service: Service, place: str) -> Page:
    answer = http.get(f"{service.url}ui/{place}", timeout=20)
    assert answer.status_code == 200, f"{answer.text}\n{service.logs()}"
    return Page(answer.text, answer.url)


def bury(service: Service, *job_ids: str) -> None:
    prefix = service.environment["DATAPUSHER_VHOST_PREFIX"]
    names = topology(prefix, ["push_to_datastore"], TOPOLOGY_DELAYS).names
    bus = RabbitBus([service.environment["DATAPUSHER_BROKER_URL"]], topology(prefix, ["push_to_datastore"], TOPOLOGY_DELAYS))
    await_connected(bus, 20)
    for job_id in job_ids:
        body = f'{{"job_id": "{job_id}", "job_type": "push_to_datastore", "api_key": "hush"}}'.encode()
        headers = {"dead-reason": "poison", "dead-queue": names.work("push_to_datastore")}
        bus.publish(Message(exchange=names.dead, routing_key="job.x", body=body, message_id=job_id, headers=headers)).result(20)
    bus.close()


def test_a_stopped_recorder_needs_attention_at_once(service: Service, http: requests.Session) -> None:
    wait_until(lambda: "No recorder lives." in page(http, service, "").text, "the overview tells it")
    service.start("recorder")
    wait_until(lambda: "No recorder lives." not in page(http, service, "").text, "the overview sees it")


def test_the_dead_are_seen_replayed_and_dropped(service: Service, http: requests.Session) -> None:
    bury(service, "j1", "j2", "j3")
    seen = page(http, service, "dead")
    assert re.search(r"3 poison", seen.text) and "hush" not in seen.html
    form = next(form for form in seen.forms if form.fields.get("message_id") == "j1" and form.label == "Replay")
    assert "1 message replayed" in http.post(form.action, data=form.fields, timeout=30).text
    told = ("jobs: push_to_datastore 1 ", "dead jobs 2 ")
    wait_until(lambda: all(words in page(http, service, "").text for words in told), "the overview tells the new depths", 20)
    form = next(form for form in page(http, service, "dead").forms if form.fields.get("reason") and "Drop" in form.label)
    answer = http.post(form.action, data=form.fields, timeout=30)
    assert "2 messages dropped" in answer.text and "No job is dead" in answer.text
