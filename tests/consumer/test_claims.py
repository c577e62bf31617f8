import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, select, update

from consumer.claims import LONGEST_KEY, Busy, Cancelled, Claim, Claims, Finished, Poison, Taken, resource_key
from consumer.outcome import Outcome
from schemas.errors import Stopped, StoreUnavailable
from schemas.messages import Job, Kind, new_id
from schemas.store import open_store, store_url, writing
from schemas.tables import cancellations, jobs
from schemas.tables import claims as table


@pytest.fixture
def claims(engine: Engine) -> Claims:
    return Claims(engine, lease_s=5.0, max_starts=2)


def job(resource: str = "", job_id: str = "") -> Job:
    metadata = {"ckan_url": "http://ckan", "resource_id": resource or new_id()}
    return Job(job_id=job_id or new_id(), job_type="push_to_datastore", metadata=metadata)


def taken(claims: Claims, job: Job, owner: str = "me") -> Claim:
    claim = claims.take(job, owner)
    assert isinstance(claim, Claim), claim
    return claim


def end(claim: Claim, kind: Kind = Kind.COMPLETE) -> Outcome:
    return Outcome(kind=kind, data={"data": 1}, start=claim.starts)


def expire(engine: Engine) -> None:
    """The leases of all claims ran out, as if their workers had been killed some time ago."""
    with writing(engine) as connection:
        connection.execute(update(table).values(lease_until=datetime(2020, 1, 1)))


def cancel(engine: Engine, job_id: str) -> None:
    with writing(engine) as connection:
        now = datetime.now(UTC).replace(tzinfo=None)
        connection.execute(insert(cancellations).values(job_id=job_id, requested_at=now, deleted=False))


def test_a_resource_is_taken_by_one_job_at_a_time(claims: Claims) -> None:
    first, second = job("r" + new_id()), job()
    second = job(str(first.metadata["resource_id"]))
    claim = taken(claims, first)
    assert claims.take(second, "other") == Busy()
    assert claims.finish(claim, end(claim))
    taken(claims, second)


def test_jobs_of_other_resources_do_not_wait(claims: Claims) -> None:
    taken(claims, job())
    taken(claims, job())


def test_the_same_resource_id_in_another_ckan_is_another_resource() -> None:
    here, there = job("r"), Job(job_id="x", job_type="t", metadata={"ckan_url": "http://other", "resource_id": "r"})
    assert resource_key(here) != resource_key(there)
    assert resource_key(here) == resource_key(Job(job_id="y", job_type="t", metadata={**here.metadata, "z": 1}))


def test_a_job_without_a_resource_competes_with_itself_only(claims: Claims) -> None:
    taken(claims, Job(job_id=new_id(), job_type="echo"))
    taken(claims, Job(job_id=new_id(), job_type="echo"))


def test_a_very_long_resource_id_does_not_break_the_index(claims: Claims) -> None:
    long = job("x" * 20_000 + new_id())
    assert len(resource_key(long)) < LONGEST_KEY
    claim = taken(claims, long)
    assert claims.take(job(str(long.metadata["resource_id"])), "other") == Busy()
    assert claims.finish(claim, end(claim))


def test_of_many_workers_that_reach_for_one_resource_one_gets_it(claims: Claims) -> None:
    resource, start = new_id(), threading.Barrier(8)
    answers: list[Taken] = []

    def reach(number: int) -> None:
        start.wait()
        answers.append(claims.take(job(resource), f"worker {number}"))

    threads = [threading.Thread(target=reach, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Busy"] * 7 + ["Claim"]


def test_the_same_message_delivered_twice_runs_once(claims: Claims) -> None:
    mine = job()
    taken(claims, mine)
    assert claims.take(mine, "other") == Busy()


def test_a_finished_job_tells_the_same_outcome_again(claims: Claims) -> None:
    mine = job()
    claim = taken(claims, mine)
    outcome = Outcome(kind=Kind.ERROR, data={"error": {"message": "no"}}, start=claim.starts, logs=({"message": "x"},))
    claims.finish(claim, outcome)
    assert claims.take(mine, "other") == Finished(outcome, callback_delivered=False)
    claims.mark_callback_delivered(mine.job_id)
    assert claims.take(mine, "other") == Finished(outcome, callback_delivered=True)
    assert claims.take_callback(mine.job_id, 60) == "delivered"


def test_an_expired_claim_is_taken_over_and_its_owner_has_lost_it(claims: Claims, engine: Engine) -> None:
    first = job()
    old = taken(claims, first)
    expire(engine)
    new = taken(claims, first, "other")
    assert (old.starts, new.starts) == (1, 2)
    assert claims.renew(old) == "lost"
    assert not claims.finish(old, end(old))
    claims.release(old, orderly=True)
    assert claims.finish(new, end(new))


def test_an_expired_claim_of_another_job_gives_its_resource_free(claims: Claims, engine: Engine) -> None:
    first = job()
    old = taken(claims, first)
    expire(engine)
    taken(claims, job(str(first.metadata["resource_id"])), "other")
    assert claims.renew(old) == "lost"
    assert claims.take(first, "me") == Busy()


def test_a_renewal_that_is_cut_off_leaves_the_claim_to_others(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_store(store_url(database_url, ""))
    claims = Claims(engine, lease_s=5.0, max_starts=2)
    claim = taken(claims, job())

    def cut_off(*_about: object) -> bool:
        with writing(engine) as connection:  # another worker's
            connection.execute(select(table).where(table.c.job_id == claim.job_id).with_for_update(nowait=True))
        raise StoreUnavailable("Cut off here.")

    monkeypatch.setattr("consumer.claims._is_cancelled", cut_off)
    with pytest.raises(StoreUnavailable, match="Cut off here"):
        claims.renew(claim)
    engine.dispose()


def test_renewing_keeps_a_claim(claims: Claims, engine: Engine) -> None:
    mine = job()
    claim = taken(claims, mine)
    expire(engine)
    renewed = claims.renew(claim)
    assert isinstance(renewed, float)
    assert 4 < renewed - time.monotonic() <= 5
    assert claims.take(mine, "other") == Busy()


def test_a_cancelled_job_is_not_started_and_a_running_one_hears_of_it(claims: Claims, engine: Engine) -> None:
    running, waiting = job(), job()
    claim = taken(claims, running)
    cancel(engine, running.job_id)
    cancel(engine, waiting.job_id)
    assert claims.renew(claim) == "cancelled"
    assert claims.take(waiting, "me") == Cancelled()


def test_a_job_that_was_killed_at_each_start_is_poison(claims: Claims, engine: Engine) -> None:
    mine = job()
    for _ in range(2):
        taken(claims, mine)
        expire(engine)
    assert claims.take(mine, "me") == Poison(2)


def test_starts_that_ended_in_order_do_not_count(claims: Claims) -> None:
    mine = job()
    for _ in range(5):
        claims.release(taken(claims, mine), orderly=True)
    assert taken(claims, mine).starts == 6


def test_a_claim_that_ran_out_is_no_crash_when_its_worker_lives_to_tell(claims: Claims, engine: Engine) -> None:
    mine = job()
    for _ in range(4):
        claim = taken(claims, mine)
        expire(engine)
        claims.release(claim, orderly=True)
        claims.release(claim, orderly=True)
    assert taken(claims, mine).starts == 5


def test_a_replayed_dead_job_runs_again_once_a_replay(claims: Claims, engine: Engine) -> None:
    mine = job()
    for _ in range(2):
        taken(claims, mine)
        expire(engine)
    dead = claims.conclude(mine, Kind.DEAD, {"reason": "poison"})
    assert claims.take(mine, "me") == Finished(dead, callback_delivered=False)
    claim = claims.take(mine, "me", replay="today")
    assert isinstance(claim, Claim)
    again = Outcome(kind=Kind.DEAD, data={}, start=claim.starts, replay="today")
    claims.finish(claim, again)
    assert claims.take(mine, "me", replay="today") == Finished(again, callback_delivered=False)


def test_a_conclusion_is_drawn_once(claims: Claims) -> None:
    mine = job()
    first = claims.conclude(mine, Kind.CANCELLED, {"error": {"message": "stop"}})
    assert claims.conclude(mine, Kind.DEAD, {}) == first
    assert first.sequence == 900_000


def test_old_claims_are_forgotten_but_not_those_of_running_or_dead_jobs(claims: Claims, engine: Engine) -> None:
    old, dead, running, young = job(), job(), job(), job()
    claim = taken(claims, old)
    claims.finish(claim, end(claim))
    claims.conclude(dead, Kind.DEAD, {})
    taken(claims, running)
    with writing(engine) as connection:
        row = {"job_id": dead.job_id, "job_type": "t", "requested_at": datetime(2020, 1, 1), "metadata": {}}
        connection.execute(insert(jobs).values(**row, state="dead"))
    with writing(engine) as connection:
        connection.execute(update(table).values(changed_at=datetime(2020, 1, 1)))
    claim = taken(claims, young)
    claims.finish(claim, end(claim))
    assert claims.purge(timedelta(days=2)) == 1
    assert isinstance(claims.take(young, "me"), Finished)
    assert claims.take(running, "me") == Busy()
    assert isinstance(claims.take(dead, "me"), Finished)


def test_a_callback_is_sent_by_one_worker_at_a_time_and_once(engine: Engine) -> None:
    first, second = (Claims(engine, lease_s=5, max_starts=3) for _ in range(2))
    job = Job(job_id="called-back", job_type="echo")
    first.conclude(job, Kind.COMPLETE, {"data": None})
    assert [first.take_callback(job.job_id, 60), second.take_callback(job.job_id, 60)] == ["mine", "busy"]
    first.drop_callback(job.job_id)
    assert second.take_callback(job.job_id, 0) == "mine"
    assert first.take_callback(job.job_id, 60) == "mine"
    first.mark_callback_delivered(job.job_id)
    assert second.take_callback(job.job_id, 60) == "delivered"
    assert second.take_callback("nobody knows it", 60) == "mine"


def test_of_many_workers_at_once_one_sends_a_callback(engine: Engine) -> None:
    claims = Claims(engine, lease_s=5, max_starts=3)
    claims.conclude(Job(job_id="fought-over", job_type="echo"), Kind.COMPLETE, {"data": None})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: claims.take_callback("fought-over", 60), range(8)))
    assert sorted(answers) == ["busy"] * 7 + ["mine"]


def test_what_a_job_notes_is_there_for_the_next_attempt_and_the_next_job_of_its_resource(
    claims: Claims, engine: Engine
) -> None:
    first = job("r" + new_id())
    claim = taken(claims, first)
    assert claim.kept is None
    claims.keep(claim, {"table": {"fields": ["a"]}})
    expire(engine)
    assert taken(claims, first).kept == {"table": {"fields": ["a"]}}
    expire(engine)
    other = job(str(first.metadata["resource_id"]))
    claim = taken(claims, other)
    assert claim.kept == {"table": {"fields": ["a"]}}
    assert taken(claims, job()).kept is None
    claims.keep(claim, None)
    assert claims.finish(claim, end(claim))
    assert taken(claims, job(str(first.metadata["resource_id"]))).kept is None


def test_who_has_lost_the_claim_notes_nothing(claims: Claims, engine: Engine) -> None:
    first = job()
    claim = taken(claims, first)
    expire(engine)
    taken(claims, first, "another")
    with pytest.raises(Stopped, match="lost-claim"):
        claims.keep(claim, {"table": {}})
