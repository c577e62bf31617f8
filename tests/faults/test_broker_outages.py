"""RabbitMQ killed, away, full, or closing what it was not asked to close."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.acceptance.service import wait_until
from tests.faults.conftest import OUTAGE_S, Install
from tests.faults.ledger import Ledger
from tests.services import PrivateBroker


@pytest.fixture
def ledger(install: Install, on_own_broker: Mapping[str, str]) -> Ledger:
    return install(on_own_broker)


def start(ledger: Ledger, *roles: str) -> None:
    ledger.service.start(*roles)
    wait_until(ledger.service.ready, "the topology is there", on_failure=ledger.service.logs)


def settled(ledger: Ledger) -> None:
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"


@pytest.mark.parametrize("outage_s", [0.0, OUTAGE_S])
def test_a_killed_broker_comes_back_to_jobs_that_all_end_once(
    ledger: Ledger, private_broker: PrivateBroker, outage_s: float
) -> None:
    ledger.ckan.fail("datastore_create", status=None, times=2, delay_s=1.0)
    start(ledger, "gateway", "worker", "recorder")
    for _ in range(6):
        ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "jobs run", on_failure=ledger.service.logs)

    private_broker.kill()
    try:
        meanwhile = [ledger.submit() for _ in range(3)]
        wait_until(lambda: ledger.in_outbox() >= {entry.job_id for entry in meanwhile}, "they wait in the outbox", 5)
        time.sleep(outage_s)
    finally:
        private_broker.start()
    ledger.note(f"broker killed, away for {outage_s:g} s")
    ledger.submit()

    settled(ledger)
    assert not ledger.refusals


@pytest.mark.parametrize("relief", ["drained", "lifted"])
def test_jobs_that_the_queue_has_no_room_for_wait_in_the_outbox_until_it_has(
    ledger: Ledger, private_broker: PrivateBroker, prefix: str, relief: str
) -> None:
    """A limit that is lifted: RabbitMQ 3.10 goes on refusing on the channels that it has refused on."""
    start(ledger, "gateway", "recorder")
    queue, policy = f"{prefix}.push_to_datastore", f"{prefix}-full"
    limit = '{"max-length": 1, "overflow": "reject-publish"}'
    private_broker.control("set_policy", policy, f"^{queue}$".replace(".", "\\."), limit, "--priority", "9")
    try:
        wait_until(lambda: policy in private_broker.control("list_queues", "name", "policy"), "the policy holds", 30)
        entries = [ledger.submit() for _ in range(6)]
        wait_until(lambda: len(ledger.in_outbox()) < 6, "the first ones are published")
        time.sleep(3.0)  # the outbox is swept once more
        assert len(ledger.in_outbox()) >= 2, "the broker has refused nothing"
        if relief == "lifted":
            private_broker.control("clear_policy", policy)
        ledger.note("broker refuses publishes")
        ledger.service.start("worker")
        settled(ledger)
    finally:
        if relief == "drained":
            private_broker.control("clear_policy", policy)
    assert ledger.starts() == {entry.job_id: 1 for entry in entries}


@dataclass(frozen=True)
class Alarm:
    """What raises and ends it, for rabbitmqctl."""

    command: str
    raising: str
    ending: str


@pytest.fixture(params=[Alarm("set_vm_memory_high_watermark", "0", "0.4"), Alarm("set_disk_free_limit", "100000GB", "50MB")],
                ids=["memory", "disk"])  # fmt: skip
def alarm(request: pytest.FixtureRequest, private_broker: PrivateBroker) -> Iterator[Alarm]:
    alarm: Alarm = request.param
    yield alarm
    private_broker.control(alarm.command, alarm.ending)


def test_a_broker_with_an_alarm_takes_nothing_and_nothing_is_lost(
    ledger: Ledger, private_broker: PrivateBroker, alarm: Alarm
) -> None:
    ledger.ckan.fail("datastore_create", status=None, times=1, delay_s=2.0)
    start(ledger, "gateway", "worker", "recorder")
    ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "a job runs", on_failure=ledger.service.logs)

    private_broker.control(alarm.command, alarm.raising)
    wait_until(lambda: publisher_is_blocked(ledger, private_broker), "the broker looks at its disk each ten seconds", 30)
    blocked = {ledger.submit().job_id for _ in range(3)}
    time.sleep(3.0)  # the outbox is swept once more
    assert blocked <= ledger.in_outbox() & ledger.open_jobs(), "the broker has taken them"
    private_broker.control(alarm.command, alarm.ending)
    ledger.note("alarm of memory or disk")
    ledger.submit()

    settled(ledger)
    assert not ledger.refusals


def publisher_is_blocked(ledger: Ledger, private_broker: PrivateBroker) -> bool:
    """The broker blocks a connection when it publishes."""
    ledger.submit()
    return "blocked" in private_broker.control("list_connections", "state")


def test_a_connection_that_is_closed_in_mid_job_does_not_make_the_job_run_twice(
    ledger: Ledger, private_broker: PrivateBroker
) -> None:
    ledger.ckan.fail("datastore_create", status=None, times=1, delay_s=4.0)
    start(ledger, "gateway", "worker", "recorder")
    entry = ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "the job runs", on_failure=ledger.service.logs)

    private_broker.control("close_all_connections", "maintenance")
    ledger.note("connections closed by the broker")

    wait_until(
        lambda: ledger.service.logs().count("CONNECTION_FORCED") >= 3, "all three lose it", on_failure=ledger.service.logs
    )
    settled(ledger)
    assert ledger.starts() == {entry.job_id: 1}
    assert len(ledger.ckan.calls("datastore_create")) == 1


@pytest.fixture
def impatient(private_broker: PrivateBroker) -> Iterator[None]:
    """A consumer_timeout of 3 s, looked at each second instead of each minute; channels keep what held when they opened."""
    usual = "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000)."
    private_broker.control("eval", usual.replace("1800000", "3000").replace("60000", "1000"))
    yield
    private_broker.control("eval", usual)


def test_a_job_that_outlives_consumer_timeout_runs_once(impatient: None, ledger: Ledger) -> None:
    ledger.ckan.fail("datastore_create", status=None, times=1, delay_s=10.0)
    start(ledger, "gateway", "worker", "recorder")
    entry = ledger.submit()

    wait_until(lambda: "PRECONDITION_FAILED" in ledger.service.logs(), "the broker closes the channel", 60,
               on_failure=ledger.service.logs)  # fmt: skip
    ledger.note("consumer_timeout")
    after = ledger.submit()
    settled(ledger)
    assert ledger.starts() == {entry.job_id: 1, after.job_id: 1}


def test_a_deleted_queue_comes_back_and_its_consumer_with_it(
    ledger: Ledger, private_broker: PrivateBroker, prefix: str
) -> None:
    ledger.ckan.fail("datastore_create", status=None, times=1, delay_s=3.0)
    start(ledger, "gateway", "worker", "recorder")
    ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "the job runs", on_failure=ledger.service.logs)

    queue = f"{prefix}.push_to_datastore"
    private_broker.control("delete_queue", queue)
    wait_until(lambda: f"{queue}\t1" in private_broker.control("list_queues", "name", "consumers"), "it is consumed again", 60,
               on_failure=ledger.service.logs)  # fmt: skip
    assert "cancelled" in ledger.service.logs()
    ledger.note("queue deleted")
    ledger.submit()
    settled(ledger)
