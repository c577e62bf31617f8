"""What becomes of an attempt that did not succeed: a pure decision."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.errors import JobError, Postponed, Stopped, Transient
from schemas.messages import Json, Kind
from schemas.settings import Settings, numbers

#: A bug may be a race; more than one more try would only hide it.
ATTEMPTS_WITH_BUG = 2
STOPPED = {
    "died": "The process that ran the job died ({})",
    "memory": "The job needed more memory than it may use ({})",
}


class Bug(Exception):
    """The job function raised what it should not. *trace* is for the worker's log, the message names the exception only."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


@dataclass(frozen=True)
class Retry:
    delay_s: float
    reason: str
    #: Whether it was one of MAX_ATTEMPTS.
    spend: bool = True
    #: Whether the attempt ended by itself; one that died counts against MAX_STARTS.
    orderly: bool = True


@dataclass(frozen=True)
class End:
    """The job has ended; *data* is that of the final event."""

    kind: Kind
    data: Mapping[str, Json]


@dataclass(frozen=True)
class GiveBack:
    """The worker stops: the job goes back to the queue as it came."""


@dataclass(frozen=True)
class LetGo:
    """Somebody else may have the job by now: say nothing, look again later."""


CANCELLED = End(Kind.CANCELLED, {"error": {"message": "The job was cancelled."}, "code": "cancelled"})

Decision = Retry | End | GiveBack | LetGo


def decide(error: Exception, attempt: int, settings: Settings) -> Decision:
    """What to do after attempt number *attempt* (1 for the first) ended in *error*."""
    match error:
        case Stopped():
            return _after_stop(error, settings)
        case JobError():
            return End(Kind.ERROR, {"error": _json(error.as_dict()), "code": error.code})
        case Postponed():
            return Retry(error.retry_after_s or settings.busy_delay, error.message, spend=False)
        case Transient() if attempt < settings.max_attempts:
            return Retry(max(_delay(attempt, settings), error.retry_after_s or 0.0), error.message)
        case Transient():
            return End(Kind.ERROR, _failure(f"{error.message} (tried {attempt} times)", "gave-up"))
        case _ if attempt < ATTEMPTS_WITH_BUG:
            return Retry(_delay(attempt, settings), f"Unexpected failure: {error}")
        case _:
            return End(Kind.ERROR, _failure(f"Data Pusher failed unexpectedly: {error}. Its worker's log tells more.", "bug"))


def poisoned(starts: int) -> End:
    """The end of a job that was started too often."""
    reason = f"The job was started {starts} times and killed its process each time, or its worker was killed with it"
    return End(Kind.DEAD, {"reason": reason, "error": {"message": f"{reason}. It will not be started again."}})


def in_words(decision: Decision) -> str:
    match decision:
        case End(kind):
            return str(kind)
        case Retry():
            return f"retry, {decision.reason}"
        case _:
            return type(decision).__name__


def _after_stop(stopped: Stopped, settings: Settings) -> Decision:
    match stopped.why:
        case "cancelled":
            return CANCELLED
        case "timeout":
            limit = f"{settings.job_timeout:g} s"
            return End(
                Kind.ERROR,
                _failure(f"The job did not end within {limit}, the limit set by DATAPUSHER_JOB_TIMEOUT.", "timeout"),
            )
        case "cpu-time":
            used = f"more than {settings.job_cpu_time:g} s of processor time"
            return End(Kind.ERROR, _failure(f"The job used {used}, the limit set by DATAPUSHER_JOB_CPU_TIME.", "timeout"))
        case "drain":
            return GiveBack()
        case "lost-claim":
            return LetGo()
        case why:
            reason = STOPPED.get(why, "The job was stopped ({})").format(stopped.message)
            return Retry(_delay(1, settings), reason, spend=False, orderly=False)


def _delay(attempt: int, settings: Settings) -> float:
    delays = numbers(settings.retry_delays)
    return delays[min(attempt, len(delays)) - 1]


def _failure(message: str, code: str) -> dict[str, Json]:
    return {"error": {"message": message}, "code": code}


def _json(values: Mapping[str, object]) -> dict[str, Json]:
    return {key: value if isinstance(value, bool | int | float | str) or value is None else str(value)
            for key, value in values.items()}  # fmt: skip
