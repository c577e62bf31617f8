import time
from collections.abc import Mapping

import pytest

from consumer.report import Report
from schemas.messages import Json, Kind

Heard = list[tuple[Kind, Mapping[str, Json]]]


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def report(heard: Heard) -> Report:
    return Report(lambda kind, data: heard.append((kind, data)), max_rejects=250)


def test_a_line_knows_where_it_was_written(report: Report, heard: Heard) -> None:
    report.info("%d of %d", 1, 2)
    report.log("WARNING", "100 % sure")
    (_, first), (_, second) = heard
    assert (first["message"], first["module"], first["funcName"]) == (
        "1 of 2",
        "test_report",
        "test_a_line_knows_where_it_was_written",
    )
    assert int(str(second["lineno"])) == int(str(first["lineno"])) + 1
    assert (second["level"], second["message"]) == ("WARNING", "100 % sure")


def test_progress_comes_five_times_a_second_and_its_last_always(report: Report, heard: Heard) -> None:
    started = time.monotonic()
    for rows in range(10_000):
        report.progress("loading", rows=rows)
    seconds = time.monotonic() - started
    report.flush()
    assert 2 <= len(heard) <= 2 + seconds / 0.2
    assert heard[-1] == (Kind.PROGRESS, {"stage": "loading", "rows": 9999})


def test_a_new_stage_is_told_at_once_and_its_duration_kept(report: Report, heard: Heard) -> None:
    with report.stage("fetching"):
        pass
    with report.stage("loading"):
        time.sleep(0.02)
    assert [data["stage"] for _, data in heard] == ["fetching", "loading"]
    assert list(report.durations) == ["fetching", "loading"]
    assert 0.02 <= report.durations["loading"] < 1


def test_a_stage_that_fails_has_a_duration_too(report: Report) -> None:
    with pytest.raises(ValueError, match="bad"), report.stage("reading"):
        raise ValueError("bad")
    assert list(report.durations) == ["reading"]


def test_rejects_come_in_chunks_up_to_the_limit(report: Report, heard: Heard) -> None:
    report.rejects((number, "too short", "a,b") for number in range(1000))
    report.rejects([(1, "one more", None)])
    rows = [row for _, data in heard for row in _list(data["rows"])]
    assert [len(_list(data["rows"])) for _, data in heard] == [100, 100, 50]
    assert rows[249] == {"row": 249, "reason": "too short", "text": "a,b"}


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value
