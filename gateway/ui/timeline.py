"""A job's life as steps with durations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.queries import JobRow
from gateway.ui.queries import JobFacts
from gateway.ui.words import between
from schemas.messages import Json, State

#: Less is not worth a line.
LEAST_S = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """*kind*: `waiting`, `stage`, `running` (goes on), `other`. Both times in seconds, from the moment the job was accepted."""

    name: str
    kind: str
    start_s: float
    seconds: float


def life(row: JobRow, facts: JobFacts, now: datetime) -> list[Step]:
    """Step by step from the acceptance to the end, or to now."""
    end = row.finished_at if row.final and row.finished_at else now
    started = facts.started_at
    waited = between(row.requested_at, started or end) or 0.0
    steps = [Step("waiting for a worker" if started or not row.final else "never started", "waiting", 0.0, waited)]
    return steps if started is None else [*steps, *_run(row, waited, between(started, end) or 0.0)]


def _run(row: JobRow, start_s: float, ran_s: float) -> Iterator[Step]:
    """From the first start on: the stages of the last attempt, and what is left of the time."""
    if row.state == State.RETRYING:
        yield Step("trying, and waiting to try again", "other", start_s, ran_s)
        return
    stages = dict(_stages(row.data)) or dict(_stages(row.progress))
    rest = max(ran_s - sum(stages.values()), 0.0)
    if row.attempt > 1 and rest > LEAST_S and row.state == State.COMPLETE:
        attempts = "1 earlier attempt" if row.attempt == 2 else f"{row.attempt - 1} earlier attempts"
        yield Step(f"{attempts} and waits", "other", start_s, rest)
        start_s, rest = start_s + rest, 0.0
    for name, seconds in stages.items():
        yield Step(name, "stage", start_s, seconds)
        start_s += seconds
    if not stages or rest > LEAST_S:
        yield _last(row, "finishing" if stages else "running", start_s, rest)


def _last(row: JobRow, name: str, start_s: float, seconds: float) -> Step:
    """What goes on, or what the job was at when it ended; *name* where all is told."""
    stage = row.progress.get("stage") if isinstance(row.progress, dict) else None
    again = f" (attempt {row.attempt})" if row.attempt > 1 else ""
    if not row.final:
        return Step(f"running: {stage}{again}" if stage else f"running{again}", "running", start_s, seconds)
    if row.state == State.COMPLETE:
        return Step(name, "other", start_s, seconds)
    return Step(f"{stage}: ended here{again}" if stage else f"running{again}", "stage", start_s, seconds)


def _stages(data: Json) -> Iterator[tuple[str, float]]:
    """What the report tells of them; before it is there, the progress."""
    told = data.get("durations_s") if isinstance(data, Mapping) else None
    for name, seconds in told.items() if isinstance(told, Mapping) else ():
        if isinstance(seconds, int | float):
            yield str(name), float(seconds)
