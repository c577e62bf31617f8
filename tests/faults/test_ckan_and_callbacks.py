"""CKAN that answers wrongly, slowly, half or not at all, to loads and to callbacks: one service for all of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox.server import Sandbox
from schemas.store import open_store, store_url
from tests.acceptance.service import Service, wait_until
from tests.faults.book import Book
from tests.faults.ledger import Ledger

HURRIED = {
    "DATAPUSHER_CKAN_TIMEOUT": "2", "DATAPUSHER_CALLBACK_TIMEOUT": "2", "DATAPUSHER_DOWNLOAD_TIMEOUT": "2",
    "DATAPUSHER_CHUNK_INSERT_ROWS": "10", "DATAPUSHER_MAX_ATTEMPTS": "2",
}  # fmt: skip
#: What goes wrong once, by name: see `sandbox.faults.Fault`.
WRONG: Mapping[str, Mapping[str, Any]] = {
    "500": {"status": 500},
    "503": {"status": 503},
    "503 after it was done": {"status": 503, "after": True},
    "no answer": {"drop": True},
    "no answer, but done": {"drop": True, "after": True},
    "slow": {"status": None, "delay_s": 4.0},
    "half an answer": {"status": None, "cut_after_bytes": 30},
    "somebody's page": {
        "status": 200,
        "body": b"<html>\xff\x00 back in a minute",
        "headers": {"Content-Type": "text/html"},
    },
}
#: What is no file's server's fault: a page with status 200 is what it gives.
OF_CKAN_ONLY = ("somebody's page",)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    service = Service(tmp_path_factory.mktemp("service"), HURRIED)
    engine = open_store(store_url("", service.environment["DATAPUSHER_DATA_DIR"]))
    with Sandbox() as ckan:
        service.start("gateway", "worker", "recorder")
        yield Ledger(service, ckan, engine)
        service.stop()
    engine.dispose()


@pytest.fixture(autouse=True)
def fresh(ledger: Ledger, book: Book, request: pytest.FixtureRequest) -> Iterator[None]:
    """A page of the book for each test."""
    ledger.entries.clear()
    ledger.last = None
    ledger.ckan.heal()
    ledger.ckan.forget_requests()
    yield
    book.add(request.node.name, ledger)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("action", ["resource_show", "download", "datastore_create", "datastore_upsert"])
def test_what_ckan_does_wrong_once_leaves_every_row_there_once(ledger: Ledger, action: str, wrong: str) -> None:
    if action == "download" and wrong in OF_CKAN_ONLY:
        pytest.skip("it is what the file holds")
    ledger.ckan.fail(action, **{"times": 1, **WRONG[wrong]})
    entry = ledger.submit(rows=30)
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.job(entry.job_id)}\n{ledger.service.logs()}"
    assert len(ledger.ckan.calls(action)) > (2 if action == "datastore_upsert" else 1), "nobody had to call it again"


@pytest.mark.parametrize("action", ["resource_show", "datastore_create"])
def test_what_is_no_answer_of_ckan_for_good_ends_the_job_in_words_that_say_whose_it_was(ledger: Ledger, action: str) -> None:
    ledger.ckan.fail(action, status=200, times=10**6, body=b"<html>\xff\x00 not what you think")
    entry = ledger.submit(rows=30)
    job = ledger.service.ended(entry.job_id, 120)  # the loader is patient, twice
    assert job["state"] == "error" and action in job["error"]["message"]
    wait_until(lambda: ledger.hooks()[entry.job_id] == 1, "CKAN hears of it")


@pytest.mark.parametrize("wrong", ["500", "503", "no answer", "redirected"])
def test_a_callback_that_fails_comes_again_until_it_arrives(ledger: Ledger, wrong: str) -> None:
    away: Mapping[str, Any] = {"status": 302, "headers": {"Location": "http://elsewhere.invalid/"}}
    ledger.ckan.fail("datapusher_hook", **{"times": 2, **(away if wrong == "redirected" else WRONG[wrong])})
    entry = ledger.submit()
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    assert len(ledger.ckan.calls("datapusher_hook")) == 3
    wait_until(lambda: ledger.service.job(entry.job_id)["callback"]["state"] == "delivered", "it is told that it arrived")


def test_a_slow_callback_holds_up_no_other_job(ledger: Ledger) -> None:
    ledger.ckan.fail("datapusher_hook", status=503, times=1, delay_s=4.0)
    slow, quick = ledger.submit(), ledger.submit()
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    bodies = [call.body for call in ledger.ckan.calls("datapusher_hook")]
    assert len(bodies) == 3 and {slow.job_id, quick.job_id} == set(ledger.hooks()) & {slow.job_id, quick.job_id}


def test_a_callback_that_nobody_takes_is_laid_with_the_dead_and_the_job_stays_complete(ledger: Ledger) -> None:
    ledger.ckan.fail("datapusher_hook", status=503, times=10**6)
    entry = ledger.submit()
    wait_until(lambda: (ledger.service.job(entry.job_id).get("callback") or {}).get("state") == "dead", "it is given up")
    assert ledger.service.job(entry.job_id)["state"] == "complete"
    assert len(ledger.ckan.calls("datapusher_hook")) == 3
