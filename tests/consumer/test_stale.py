"""Jobs that got lost with their messages. Over both buses."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from consumer.claims import Claim, Claims
from consumer.outcome import Outcome
from consumer.stale import Sweeper
from schemas.messages import Job, Kind, new_id
from schemas.store import writing
from schemas.tables import claims, jobs, outbox
from tests.consumer.hook_server import HookServer
from tests.consumer.workshop import API_KEY, Workshop, eventually

LONG_AGO = datetime(2026, 1, 1)


def lost(shop: Workshop, api_key: str | None = API_KEY, state: str = "queued", **more: object) -> str:
    """A job of the store whose message is nowhere."""
    job_id = new_id()
    row = {"job_id": job_id, "job_type": "echo", "state": state, "requested_at": LONG_AGO, "metadata": {"a": 1}, **more}
    with writing(shop.engine) as connection:
        connection.execute(insert(jobs).values(**row, api_key=api_key, job_key="key", sent_data="hello"))
    return job_id


def wait_somewhere(shop: Workshop) -> None:
    """A message of another job waits in a queue."""
    shop.send("sleeps", 0)
    eventually(lambda: shop.bus.depth(shop.names.work("sleeps")) == 1)


def look(shop: Workshop, stale_s: float, quiet_s: float) -> None:
    sweeper = Sweeper(shop.engine, shop.bus, shop.topology, stale_s, quiet_s)
    sweeper._next_sweep = 0
    sweeper.turn()


def sweep(shop: Workshop, times: int = 1) -> None:
    """As often as the time for it comes."""
    sweeper = Sweeper(shop.engine, shop.bus, shop.topology, stale_s=0.0)
    for _ in range(times):
        sweeper.turn()


def claim(shop: Workshop, job_id: str) -> Claim:
    taken = Claims(shop.engine, lease_s=60, max_starts=2).take(Job(job_id=job_id, job_type="echo"), "somebody")
    assert isinstance(taken, Claim)
    return taken


def age(shop: Workshop) -> None:
    with writing(shop.engine) as connection:
        connection.execute(update(claims).values(changed_at=LONG_AGO))


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """Nothing of other tests in the store."""
    with writing(workshop.engine) as connection:
        for table in (jobs, claims, outbox):
            connection.execute(table.delete())
    return workshop.listen()


@pytest.mark.parametrize("state", ["queued", "running", "retrying"])
def test_an_accepted_job_whose_message_is_lost_runs_after_all(shop: Workshop, state: str) -> None:
    job_id = lost(shop, state=state)
    sweep(shop)
    shop.worker()
    assert shop.end(job_id).data == {"data": "hello"}


def test_one_that_ended_untold_is_told_as_it_ended_and_does_not_run_again(shop: Workshop) -> None:
    job_id = lost(shop)
    Claims(shop.engine, lease_s=60, max_starts=2).finish(claim(shop, job_id), Outcome(kind=Kind.ERROR, data={"x": 1}, start=1))
    age(shop)
    sweep(shop)
    shop.worker()
    assert shop.end(job_id).data == {"x": 1}
    assert shop.told(job_id, Kind.STARTED) == []


def test_one_that_was_published_directly_is_told_to_be_lost(shop: Workshop) -> None:
    job_id = lost(shop, api_key=None)
    sweep(shop)
    end = shop.end(job_id)
    assert (end.kind, "Send it again" in str(end.data)) == (Kind.DEAD, True)


def test_what_runs_waits_or_has_ended_is_left_alone(shop: Workshop) -> None:
    running, waiting, ended = lost(shop), lost(shop), lost(shop, state="complete")
    claim(shop, running)
    age(shop)
    with writing(shop.engine) as connection:
        row = {"job_id": waiting, "job_type": "echo", "body": b"{}", "headers": {}, "created_at": LONG_AGO}
        connection.execute(insert(outbox).values(**row, due_at=LONG_AGO))
    sweep(shop)
    assert shop.bus.depth(shop.names.work("echo")) == 0
    assert shop.told(ended) == []


def test_nothing_is_brought_back_while_messages_wait(shop: Workshop) -> None:
    job_id = lost(shop)
    shop.send("sleeps", 0)
    eventually(lambda: shop.bus.depth(shop.names.work("sleeps")) == 1)
    sweep(shop)
    time.sleep(0.1)
    assert shop.bus.depth(shop.names.work("echo")) == 0
    assert shop.told(job_id) == []


def test_a_job_is_brought_back_once_in_a_while_not_at_every_sweep(shop: Workshop) -> None:
    lost(shop)
    sweeper = Sweeper(shop.engine, shop.bus, shop.topology, stale_s=0.2)
    time.sleep(0.25)
    sweeper.turn()
    eventually(lambda: shop.bus.depth(shop.names.work("echo")) == 1)
    shop.bus.consume(shop.names.work("echo"), lambda delivery: delivery.ack(), prefetch=1)
    eventually(lambda: shop.bus.depth(shop.names.work("echo")) == 0)
    sweeper._next_sweep = 0
    sweeper.turn()
    assert shop.bus.depth(shop.names.work("echo")) == 0


def test_one_that_can_be_brought_back_is_long_before_another_is_told_to_be_lost(shop: Workshop) -> None:
    recently = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=10)
    accepted, direct = lost(shop, requested_at=recently), lost(shop, api_key=None, requested_at=recently)
    look(shop, stale_s=3600.0, quiet_s=300.0)
    shop.worker()
    assert shop.end(accepted).kind is Kind.COMPLETE
    assert shop.told(direct) == []


def test_one_that_younger_jobs_have_overtaken_is_brought_back_though_others_wait(shop: Workshop) -> None:
    passed, younger = lost(shop), lost(shop, requested_at=LONG_AGO + timedelta(hours=1))
    last = lost(shop, requested_at=LONG_AGO + timedelta(hours=2))
    claim(shop, younger)
    wait_somewhere(shop)
    look(shop, stale_s=3600.0, quiet_s=300.0)
    shop.worker()
    assert shop.end(passed).kind is Kind.COMPLETE
    assert shop.told(last) == []


def test_one_that_has_been_claimed_cannot_be_overtaken(shop: Workshop) -> None:
    retried, younger = lost(shop, state="retrying"), lost(shop, requested_at=LONG_AGO + timedelta(hours=1))
    Claims(shop.engine, lease_s=60, max_starts=2).release(claim(shop, retried), orderly=True)
    claim(shop, younger)
    age(shop)
    wait_somewhere(shop)
    look(shop, stale_s=3600.0, quiet_s=300.0)
    assert shop.bus.depth(shop.names.work("echo")) == 0


@pytest.mark.parametrize("state", ["waiting", "retrying"])
def test_a_callback_that_is_lost_is_sent_after_all_and_the_job_does_not_run_again(
    shop: Workshop, hook: HookServer, state: str
) -> None:
    ended = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2)
    job_id = lost(shop, state="complete", finished_at=ended, result_url=hook.url, callback={"state": state})
    Claims(shop.engine, lease_s=60, max_starts=2).finish(claim(shop, job_id), Outcome(kind=Kind.COMPLETE, data={}, start=1))
    sweeper = Sweeper(shop.engine, shop.bus, shop.topology, stale_s=3600.0)
    sweeper._next_sweep = sweeper._next_look_at_callbacks = 0
    sweeper.turn()
    shop.worker()
    shop.callbacks()
    eventually(lambda: hook.calls)
    assert [call.body["job_id"] for call in hook.calls] == [job_id]
    assert shop.told(job_id, Kind.STARTED) == []


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_a_callback_that_was_settled_is_left_alone(shop: Workshop, state: str) -> None:
    ended = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2)
    job_id = lost(shop, state="complete", finished_at=ended, result_url="http://ckan.example", callback={"state": state})
    Claims(shop.engine, lease_s=60, max_starts=2).finish(claim(shop, job_id), Outcome(kind=Kind.COMPLETE, data={}, start=1))
    sweeper = Sweeper(shop.engine, shop.bus, shop.topology, stale_s=3600.0)
    sweeper._next_sweep = sweeper._next_look_at_callbacks = 0
    sweeper.turn()
    assert shop.bus.depth(shop.names.work("echo")) == 0
