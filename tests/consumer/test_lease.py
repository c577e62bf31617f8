import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.claims import Claim, Claims
from consumer.lease import Lease
from schemas.errors import Stopped, StoreUnavailable
from schemas.messages import Job, new_id
from schemas.store import open_store
from tests.consumer.test_claims import cancel, expire
from tests.consumer.workshop import eventually

LEASE_S = 1.0


class Gate(Claims):
    """Claims whose store can be away, or not answer at all."""

    before: Callable[[], None] = staticmethod(lambda: None)

    def renew(self, claim: Claim) -> float | str:  # type: ignore[override]
        self.before()
        return super().renew(claim)


@pytest.fixture
def claims(tmp_path: Path) -> Gate:
    return Gate(open_store(f"sqlite:///{tmp_path}/store.db"), lease_s=LEASE_S, max_starts=2)


def take(claims: Claims, job: Job) -> Claim:
    claim = claims.take(job, "me")
    assert isinstance(claim, Claim)
    return claim


def stopped(lease: Lease) -> str:
    try:
        lease.check()
    except Stopped as error:
        return error.why
    return ""


def test_a_lease_holds_for_as_long_as_the_job_runs(claims: Gate) -> None:
    job = Job(job_id=new_id(), job_type="t")
    with Lease(claims, take(claims, job), LEASE_S) as lease:
        for _ in range(20):
            time.sleep(LEASE_S / 10)
            lease.check()
        assert claims.take(job, "other").__class__.__name__ == "Busy"


def test_a_cancellation_reaches_the_running_job(claims: Gate) -> None:
    job = Job(job_id=new_id(), job_type="t")
    with Lease(claims, take(claims, job), LEASE_S) as lease:
        cancel(claims._engine, job.job_id)
        eventually(lambda: stopped(lease) == "cancelled", LEASE_S)


def test_a_claim_that_another_has_taken_over_is_lost(claims: Gate) -> None:
    job = Job(job_id=new_id(), job_type="t")
    with Lease(claims, take(claims, job), 100.0) as lease:
        expire(claims._engine)
        take(claims, job)
        eventually(lambda: stopped(lease) == "lost-claim", 5)


def test_a_store_that_is_away_for_a_moment_costs_nothing(claims: Gate) -> None:
    job, back_at = Job(job_id=new_id(), job_type="t"), time.monotonic() + LEASE_S / 2

    def away() -> None:
        if time.monotonic() < back_at:
            raise StoreUnavailable("away")

    claims.before = away
    with Lease(claims, take(claims, job), LEASE_S) as lease:
        while time.monotonic() < back_at + LEASE_S:
            lease.check()
            time.sleep(0.05)


def test_a_store_that_does_not_answer_stops_the_job_before_others_may_start_it(claims: Gate) -> None:
    claims.before = lambda: time.sleep(3 * LEASE_S)
    job = Job(job_id=new_id(), job_type="t")
    claim = take(claims, job)
    with Lease(claims, claim, LEASE_S) as lease:
        eventually(lambda: stopped(lease) == "lost-claim", LEASE_S)
        assert time.monotonic() < claim.good_until
