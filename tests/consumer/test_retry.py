import pytest

from consumer.retry import Bug, Decision, End, GiveBack, LetGo, Retry, decide
from schemas.errors import FileError, JobError, Postponed, Stopped, Transient
from schemas.messages import Json, Kind
from schemas.settings import Settings

SETTINGS = Settings(retry_delays="10,60", max_attempts=4, busy_delay=2.0, job_timeout=90)


def decided(error: Exception, attempt: int = 1) -> Decision:
    return decide(error, attempt, SETTINGS)


def test_a_job_error_is_told_with_its_details() -> None:
    error = FileError("empty", "The file is empty.", details={"Hint": "Upload another."})
    told: dict[str, Json] = {"error": {"message": "The file is empty.", "Hint": "Upload another."}, "code": "empty"}
    assert decided(error) == End(Kind.ERROR, told)


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 10), (2, 60), (3, 60)])
def test_a_passing_failure_waits_longer_each_time(attempt: int, delay_s: float) -> None:
    assert decided(Transient("CKAN answered 503"), attempt) == Retry(delay_s, "CKAN answered 503")


def test_a_server_that_asks_for_more_time_gets_it() -> None:
    assert decided(Transient("busy", retry_after_s=300)) == Retry(300, "busy")
    assert decided(Transient("busy", retry_after_s=1)) == Retry(10, "busy")


def test_a_passing_failure_at_the_last_attempt_is_the_jobs_error() -> None:
    decision = decided(Transient("CKAN answered 503"), attempt=4)
    assert isinstance(decision, End)
    assert decision.data["error"] == {"message": "CKAN answered 503 (tried 4 times)"}


def test_waiting_for_its_turn_spends_no_attempt() -> None:
    assert decided(Postponed("another load waits"), attempt=4) == Retry(2.0, "another load waits", spend=False)


def test_a_bug_is_tried_once_more_and_then_told_without_its_insides() -> None:
    bug = Bug("ZeroDivisionError", "Traceback … secret")
    assert isinstance(decided(bug), Retry)
    decision = decided(bug, attempt=2)
    assert isinstance(decision, End)
    assert "ZeroDivisionError" in str(decision.data)
    assert "secret" not in str(decision.data)


def test_a_timeout_is_told_with_the_setting_that_made_it() -> None:
    decision = decided(Stopped("timeout"))
    assert isinstance(decision, End)
    assert "90 s" in str(decision.data)
    assert "DATAPUSHER_JOB_TIMEOUT" in str(decision.data)


def test_too_much_processor_time_is_told_with_its_setting() -> None:
    assert "DATAPUSHER_JOB_CPU_TIME" in str(decided(Stopped("cpu-time")))


def test_a_cancelled_job_ends_cancelled() -> None:
    decision = decided(Stopped("cancelled"))
    assert isinstance(decision, End)
    assert decision.kind is Kind.CANCELLED


@pytest.mark.parametrize("why", ["died", "memory"])
def test_a_killed_process_is_tried_again_and_counts_against_max_starts(why: str) -> None:
    decision = decided(Stopped(why, "signal 9"), attempt=4)
    assert isinstance(decision, Retry)
    assert (decision.spend, decision.orderly, decision.delay_s) == (False, False, 10)
    assert "signal 9" in decision.reason


def test_a_lost_claim_says_nothing_and_a_drain_gives_back() -> None:
    assert decided(Stopped("lost-claim")) == LetGo()
    assert decided(Stopped("drain")) == GiveBack()


def test_a_job_error_is_never_tried_again() -> None:
    assert isinstance(decided(JobError("no")), End)
