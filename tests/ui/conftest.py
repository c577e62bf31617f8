"""`ui`: a browserless visitor of the dashboard, logged in; the gateway is that of tests/gateway, on both stores."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import insert

from gateway.clock import now
from publisher.bus import HeaderValue, Message
from schemas.messages import JOB_TYPE
from schemas.tables import claims, jobs, workers
from tests.conftest import needed
from tests.gateway.conftest import engine, gateway, recording, start, store_url
from tests.gateway.gateway_thread import PASSWORD, GatewayThread
from tests.services import Missing
from tests.ui.html import Page

__all__ = ["engine", "gateway", "recording", "start", "store_url"]


class Visitor:
    """Reads pages and presses buttons, as a browser without JavaScript does."""

    def __init__(self, gateway: GatewayThread, mount: str = "/ui") -> None:
        self.gateway = gateway
        self.url = gateway.url + mount
        self.http = requests.Session()

    def get(self, place: str = "", **options: Any) -> requests.Response:
        return self.http.get(self.url + place, timeout=20, **options)

    def page(self, place: str = "", status: int = 200) -> Page:
        answer = self.get(place)
        assert answer.status_code == status, answer.text
        return Page(answer.text, answer.url)

    def post(self, place: str, fields: dict[str, str], **options: Any) -> requests.Response:
        return self.http.post(self.url + place, data=fields, timeout=20, **options)

    def press(self, page: Page, label: str, **fields: str) -> requests.Response:
        """Sends the form whose button says *label*, with *fields* filled in."""
        form = page.form(label)
        return self.http.post(form.action, data={**form.fields, **fields}, timeout=20)

    def log_in(self) -> "Visitor":
        self.press(self.page("/login?next=jobs"), "Log in", username="admin", password=PASSWORD)
        return self


@pytest.fixture
def stranger(gateway: GatewayThread) -> Iterator[Visitor]:
    visitor = Visitor(gateway)
    yield visitor
    visitor.http.close()


@pytest.fixture
def ui(stranger: Visitor) -> Visitor:
    return stranger.log_in()


@pytest.fixture
def many(gateway: GatewayThread) -> "Many":
    return Many(gateway)


class Many:
    """Writes rows as gateway, recorder and workers would, any number at once."""

    def __init__(self, gateway: GatewayThread) -> None:
        self._gateway = gateway

    def jobs(self, *rows: dict[str, Any]) -> None:
        usual = {"job_type": "push_to_datastore", "metadata": {}, "state": "complete", "attempt": 1}
        nothing = {"resource_id": None, "ckan_url": None, "finished_at": None, "started_at": None, "error_text": None,
                   "error": None, "data": None, "progress": None, "callback": None, "worker": None}  # fmt: skip
        with self._gateway.engine.begin() as connection:
            connection.execute(insert(jobs), [{**usual, **nothing, **row} for row in rows])

    def claim(self, job_id: str, **columns: Any) -> None:
        row = {
            "job_id": job_id,
            "resource_key": job_id,
            "starts": 1,
            "running": True,
            "owner": "/worker/host-1/4711/2",
            **columns,
        }
        with self._gateway.engine.begin() as connection:
            connection.execute(insert(claims).values(row))

    def worker(self, name: str, *, slots: int = 2, busy: int = 0, good_for_s: float = 30.0) -> None:
        """A worker that has just told that it lives."""
        moment = now()
        row = {"worker": f"/worker/{name}", "version": "1.2.3", "slots": slots, "busy": busy, "job_types": [],
               "started_at": moment - timedelta(hours=3), "seen_at": moment,
               "good_until": moment + timedelta(seconds=good_for_s)}  # fmt: skip
        with self._gateway.engine.begin() as connection:
            connection.execute(insert(workers).values(row))

    def dead(
        self, body: object, *, callback: bool = False, message_id: str = "m1", reason: str = "no job", queue: str | None = None
    ) -> None:
        """A dead letter; *queue* is where it says that it comes from."""
        names = self._gateway.names
        if queue is None:
            queue = names.callbacks if callback else names.work("push_to_datastore")
        told: dict[str, HeaderValue] = {"dead-reason": reason, "dead-queue": queue, "dead-at": "2026-03-01T12:00:00Z"}
        message = Message(
            exchange=names.dead,
            routing_key=f"{'callback' if callback else 'job'}.push_to_datastore",
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            message_id=message_id,
            type=JOB_TYPE,
            headers=told,
        )
        self._gateway.bus.publish(message).result(10)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Headless Chromium; ends with its module, since Playwright's event loop leaves no room for those of other tests."""
    with ExitStack() as stack:
        with needed(request, "Chromium"):
            try:
                from playwright.sync_api import sync_playwright

                from tests.ui.chromium import chromium
            except ImportError:
                raise Missing("pip install playwright") from None
            browser = chromium(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)
        yield browser
