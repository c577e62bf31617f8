import logging
from collections.abc import Mapping

import pytest

from consumer import job
from consumer.report import Report
from examples import echo
from schemas.errors import BadSetting
from schemas.messages import Json, Kind
from schemas.settings import Settings


def test_functions_are_found_by_their_decorator_in_the_modules_named() -> None:
    functions = job.load(["examples.echo"])
    assert {name: each.synchronous for name, each in functions.items()} == {"echo": True, "echo_slowly": False}


def test_a_registered_function_can_still_be_called() -> None:
    assert echo.echo("id", {"data": "hello"}) == "> hello"


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(BadSetting, match=r"DATAPUSHER_JOB_MODULES: cannot import no\.such\.module"):
        job.load(["no.such.module"])


def test_a_module_without_jobs_is_named() -> None:
    with pytest.raises(BadSetting, match=r"consumer\.outcome has no function"):
        job.load(["consumer.outcome"])


def test_the_same_module_may_be_named_twice() -> None:
    assert set(job.load(["examples.echo", "examples.echo"])) == {"echo", "echo_slowly"}


def test_a_job_type_cannot_have_the_name_of_a_queue_of_ours() -> None:
    def recorder(task_id: str, input: dict[str, Json]) -> None: ...

    with pytest.raises(ValueError, match="cannot be a job type"):
        job.asynchronous(recorder)


def test_outside_a_run_reports_go_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        job.report().warning("%d rows are odd", 3)
    assert caplog.messages == ["3 rows are odd"]


def test_a_storing_handler_sends_a_loggers_lines_to_the_job_and_is_taken_off_after_it() -> None:
    told: list[Mapping[str, Json]] = []
    logger = logging.getLogger("tests.storing")
    with job.running(Report(lambda kind, data: told.append(data)), Settings()):
        logger.addHandler(job.StoringHandler("id", {}))
        logger.error("no %s", "luck")
    logger.error("nobody hears this")
    assert [(line["level"], line["message"], line["module"]) for line in told] == [("ERROR", "no luck", "test_job")]
    assert logger.handlers == []


def test_settings_and_report_are_those_of_the_run() -> None:
    told: list[Kind] = []
    with job.running(Report(lambda kind, data: told.append(kind)), Settings(slots=7)):
        job.report().info("hello")
        assert job.settings().slots == 7
    assert told == [Kind.LOG]
    assert job.settings().slots == Settings().slots
