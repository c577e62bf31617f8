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
    if started is None:
        return steps
    ran = between(started, end) or 0.0
    stages = dict(_stages(row.data))
    if not stages:
        return [*steps, _running(row, waited, ran)]
    rest = ran - sum(stages.values())
    if row.attempt > 1 and rest > LEAST_S:  # the stages are those of the last attempt
        steps.append(
            Step(f"{row.attempt - 1} earlier {'attempts' if row.attempt > 2 else 'attempt'} and waits", "other", waited, rest)
        )
        return [*steps, *_one_after_the_other(stages, waited + rest)]
    steps += _one_after_the_other(stages, waited)
    return [*steps, Step("finishing", "other", waited + ran - rest, rest)] if rest > LEAST_S else steps


def _running(row: JobRow, start_s: float, seconds: float) -> Step:
    stage = row.progress.get("stage") if isinstance(row.progress, dict) else None
    if row.state == State.RETRYING:
        return Step("trying, and waiting to try again", "other", start_s, seconds)
    if not row.final:
        return Step(f"running: {stage}" if stage else "running", "running", start_s, seconds)
    return Step(
        f"running; it ended while {stage}" if stage and row.state != State.COMPLETE else "running", "stage", start_s, seconds
    )


def _stages(data: Json) -> Iterator[tuple[str, float]]:
    """What the report tells."""
    told = data.get("durations_s") if isinstance(data, Mapping) else None
    for name, seconds in told.items() if isinstance(told, Mapping) else ():
        if isinstance(seconds, int | float):
            yield str(name), float(seconds)


def _one_after_the_other(stages: Mapping[str, float], start_s: float) -> list[Step]:
    steps = []
    for name, seconds in stages.items():
        steps.append(Step(name, "stage", start_s, seconds))
        start_s += seconds
    return steps
