"""The examples, run as a worker runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.scratch import Scratch
from consumer.slots import Slot
from schemas.errors import JobError
from schemas.messages import Job, Json
from schemas.settings import Settings


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    scratch = Scratch(tmp_path)
    slot = Slot(Settings(job_modules="examples.echo"), scratch)
    yield slot
    slot.discard()
    scratch.close()


def run(slot: Slot, job_type: str, data: Json) -> tuple[Json, list[object]]:
    lines: list[object] = []
    job = Job(job_id="a", job_type=job_type, data=data)
    return slot.run(job, lambda kind, told: lines.append(told["message"]), lambda: None)["data"], lines


def test_the_echo_comes_back(slot: Slot) -> None:
    assert run(slot, "echo", "hello") == ("> hello", [])


def test_the_slow_echo_logs_each_letter(slot: Slot) -> None:
    assert run(slot, "echo_slowly", "hi") == ("> hi", ["Letter 1 of 2: h", "Letter 2 of 2: i"])


def test_nothing_to_echo_is_an_error(slot: Slot) -> None:
    with pytest.raises(JobError, match="nothing to echo"):
        run(slot, "echo", "")
