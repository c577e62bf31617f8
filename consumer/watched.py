"""What is shown of a worker's work: slots in hand, claims, attempts with their stages as figures, spans and log lines."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from consumer.claims import Busy, Cancelled, Claim, Finished, Poison, Taken
from consumer.retry import Decision, End, GiveBack, LetGo, Retry
from publisher.bus import Delivery
from publisher.tracing import Span, context_of, trace_id
from publisher.watch import Watch
from schemas.logs import about
from schemas.messages import Job, Json, Kind
from schemas.metrics import Words, bounded

#: Names of stages are those in job functions: a handful, unless one makes them up.
STAGES = 20
RESULTS: dict[type[Taken], str] = {
    Claim: "taken", Finished: "finished", Busy: "busy", Cancelled: "cancelled", Poison: "poison",
}  # fmt: skip


class Watched:
    """For one worker. May be used from any thread."""

    def __init__(self, watch: Watch, job_types: Collection[str], slots: int) -> None:
        figures = watch.figures
        self._tracer = watch.tracer
        self._job_types = job_types
        self._stages = Words(STAGES)
        figures.gauge("datapusher_slots").set(slots)
        self._busy = figures.gauge("datapusher_slots_busy")
        self._claims = figures.counter("datapusher_claims_total")
        self._attempts = figures.counter("datapusher_attempts_total")
        self._finished = figures.counter("datapusher_jobs_finished_total")
        self._attempt_s = figures.histogram("datapusher_attempt_seconds")
        self._stage_s = figures.histogram("datapusher_stage_seconds")
        self._bytes = figures.counter("datapusher_file_bytes_total")
        self._rows = figures.counter("datapusher_rows_total")
        self._in_hand: set[int] = set()

    @property
    def busy(self) -> int:
        """Slots that have a job in hand."""
        return len(self._in_hand)

    @contextmanager
    def in_hand(self, slot: int, delivery: Delivery) -> Iterator[None]:
        """While the slot sees to *delivery*."""
        self._in_hand.add(slot)
        self._busy.set(self.busy)
        try:
            with about(trace_id=trace_id(context_of(delivery.message))):
                yield
        finally:
            self._in_hand.discard(slot)
            self._busy.set(self.busy)

    def taken(self, taken: Taken) -> Taken:
        """Counts what the claim said of a delivery."""
        self._claims.labels(RESULTS[type(taken)]).inc()
        return taken

    @contextmanager
    def attempt(self, delivery: Delivery, job: Job, claim: Claim) -> Iterator["Attempt"]:
        """Around one attempt of a job."""
        job_type, started = bounded(job.job_type, self._job_types), time.monotonic()
        facts = {"queue": delivery.queue, "message_id": delivery.message.message_id, "job_id": job.job_id}
        numbers = {"attempt": delivery.attempt, "starts": claim.starts}
        with self._tracer.span(job_type, "consumer", context_of(delivery.message), **facts, **numbers) as span:
            attempt = Attempt(self, job_type, span)
            yield attempt
        self._attempts.labels(job_type, attempt.outcome).inc()
        self._attempt_s.labels(job_type).observe(time.monotonic() - started)

    def finished(self, job: Job, kind: Kind) -> None:
        """A job has come to its end."""
        self._finished.labels(bounded(job.job_type, self._job_types), kind.value).inc()

    def stage(self, job_type: str, stage: str, seconds: float) -> None:
        self._stage_s.labels(job_type, self._stages.bounded(stage)).observe(seconds)

    def loaded(self, job_type: str, result: object) -> None:
        """Counts what a push says of itself; other jobs' results have no such numbers, or mean the same by them."""
        if not isinstance(result, Mapping) or "skipped" in result or "dry_run" in result:
            return
        file = result.get("file")
        self._bytes.labels(job_type).inc(_count(file.get("size_bytes")) if isinstance(file, Mapping) else 0)
        self._rows.labels(job_type, "loaded").inc(_count(result.get("rows")))
        self._rows.labels(job_type, "rejected").inc(_count(result.get("rejected")))


@dataclass
class Attempt:
    """One attempt, while it lasts."""

    watched: Watched
    job_type: str
    span: Span
    outcome: str = field(default="lost")

    def stage(self, name: str, started_s: float, seconds: float) -> None:
        """One of its stages is over."""
        self.watched.stage(self.job_type, name, seconds)
        self.span.stage(name, started_s, seconds)

    def decided(self, decision: Decision) -> None:
        """How it ended."""
        self.outcome = _outcome(decision)
        self.span.note(outcome=self.outcome)
        match decision:
            case End(Kind.COMPLETE, data):
                self.watched.loaded(self.job_type, data.get("data"))
            case End(_, data):
                self.span.fail(_reason(data))
            case Retry(reason=reason):
                self.span.fail(reason)


def _outcome(decision: Decision) -> str:
    match decision:
        case End(kind):
            return kind.value
        case Retry():
            return "retry"
        case GiveBack():
            return "drained"
        case LetGo():
            return "lost"


def _reason(data: Mapping[str, Json]) -> str:
    error = data.get("error")
    return str(error.get("message") if isinstance(error, dict) else error)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
