"""One running attempt per resource: behind cut networks, and when a resource is pushed many times at once."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from sandbox.server import Sandbox
from schemas.store import writing
from tests.acceptance.service import wait_until
from tests.faults.conftest import Install
from tests.faults.ledger import Ledger
from tests.tcp_proxy import TcpProxy

WRITES = ("datastore_delete", "datastore_create", "datastore_upsert", "resource_patch")
PUSHES = 6


@dataclass
class Cut:
    """A worker that can lose its broker and its store while CKAN stays in its reach. Its requests carry its name."""

    name: str
    broker: TcpProxy
    store: TcpProxy

    def writes(self, ckan: Sandbox) -> list[float]:
        """When it wrote."""
        return [call.at for call in ckan.requests if call.action in WRITES and call.headers.get("User-Agent") == self.name]


@pytest.fixture
def links() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def ledger(install: Install, on_rabbitmq: Mapping[str, str]) -> Ledger:
    """A load takes 25 calls of 0.3 s each: much less than the 0.4 s that a lease of 4 s leaves for the last one to land."""
    ledger = install({**on_rabbitmq, "DATAPUSHER_LEASE": "4", "DATAPUSHER_CHUNK_INSERT_ROWS": "10"})
    ledger.ckan.fail("datastore_upsert", status=None, times=10**6, delay_s=0.3)
    return ledger


@pytest.fixture
def workers(ledger: Ledger, links: ExitStack) -> list[Cut]:
    ledger.service.start("gateway", "recorder")
    workers = [worker_behind_proxies(ledger, links, name) for name in ("worker A", "worker B")]
    for number in (2, 3):
        log = ledger.service.folder / f"worker-{number}.log"
        wait_until(lambda log=log: "connected" in log.read_text(), "both workers are there")  # type: ignore[misc]
    return workers


def worker_behind_proxies(ledger: Ledger, links: ExitStack, name: str) -> Cut:
    service = ledger.service
    whole = dict(service.environment)
    broker, broker_url = through(links, whole["DATAPUSHER_BROKER_URL"])
    store, store_url = through(links, whole["DATAPUSHER_SQLALCHEMY_DATABASE_URI"])
    service.environment |= {
        "DATAPUSHER_USER_AGENT": name,
        "DATAPUSHER_BROKER_URL": f"{broker_url}?heartbeat=2",
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": store_url,
    }
    service.start("worker")
    service.environment = whole
    return Cut(name, broker, store)


def through(links: ExitStack, url: str) -> tuple[TcpProxy, str]:
    parts = urlsplit(url)
    proxy = links.enter_context(TcpProxy(parts.hostname or "", parts.port or 0))
    account = parts.netloc.rpartition("@")[0]
    return proxy, urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{proxy.port}"))


def running(ledger: Ledger, workers: list[Cut]) -> tuple[Cut, Cut]:
    """The worker that has the one job, in the middle of its load, and the other one."""
    wait_until(lambda: len(ledger.ckan.calls("datastore_upsert")) > 2, "the load is under way", on_failure=ledger.service.logs)
    first = next(worker for worker in workers if worker.writes(ledger.ckan))
    return first, next(worker for worker in workers if worker is not first)


def test_a_worker_cut_off_from_the_broker_goes_on_and_the_one_that_gets_the_message_again_waits(
    ledger: Ledger, workers: list[Cut]
) -> None:
    entry = ledger.submit(rows=250)
    first, other = running(ledger, workers)
    first.broker.cut(silent=True)
    ledger.note("worker cut off from the broker")

    ledger.service.ended(entry.job_id)  # told by the other one: the first is still cut off
    account = ledger.settle()
    first.broker.heal()

    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    assert ledger.starts() == {entry.job_id: 1}
    assert first.writes(ledger.ckan) and not other.writes(ledger.ckan)


def test_a_worker_cut_off_from_broker_and_store_stops_before_another_begins(ledger: Ledger, workers: list[Cut]) -> None:
    entry = ledger.submit(rows=250)
    first, other = running(ledger, workers)
    first.broker.cut(silent=True)
    first.store.cut(silent=True)
    ledger.note("worker cut off from broker and store")

    ledger.service.ended(entry.job_id, 90)
    account = ledger.settle()
    first.broker.heal()
    first.store.heal()

    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    assert ledger.starts() == {entry.job_id: 2}
    assert max(first.writes(ledger.ckan)) < min(other.writes(ledger.ckan))


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "without the guard (control)"])
@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
def test_pushes_of_one_resource_run_one_after_the_other(
    install: Install, request: pytest.FixtureRequest, tmp_path: Path, broker: str, guarded: bool
) -> None:
    """The control takes the guard away, a unique index: the same pushes do overlap then, so the test can fail."""
    own = {"DATAPUSHER_JOB_MODULES": "tests.consumer.jobs_for_tests", "DATAPUSHER_SLOTS": "3"}
    ledger = install(own if broker == "embedded" else {**request.getfixturevalue("on_rabbitmq"), **own})
    if not guarded:
        with writing(ledger.engine) as connection:
            connection.execute(text("DROP INDEX claims_one_running"))
    ledger.service.start("gateway", "worker", "recorder")
    diary = tmp_path / "diary"
    metadata = {"ckan_url": "https://ckan.example", "resource_id": "the-only-one"}
    body = {"job_type": "works_alone", "api_key": "key", "metadata": metadata, "data": str(diary)}
    job_ids = [ledger.service.post(body).json()["job_id"] for _ in range(PUSHES)]

    assert {ledger.service.ended(job_id)["state"] for job_id in job_ids} == {"complete"}
    lines = [line.split()[:2] for line in diary.read_text().splitlines()]
    assert sorted(lines) == sorted([word, job_id] for job_id in job_ids for word in ("start", "end"))
    in_turn = all(start[1] == end[1] for start, end in zip(lines[::2], lines[1::2], strict=True))
    assert in_turn == guarded
