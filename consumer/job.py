"""How jobs are written: decorators that register a function, and what the function may use while it runs.

    from consumer import job

    @job.asynchronous
    def count_words(task_id, input):
        job.report().info("Counting %d texts", len(input["data"]))
        return {"words": …}            # any JSON value; or an iterator of bytes or text, or a callable that gives one

The module is named in DATAPUSHER_JOB_MODULES; the function's name is the job type. `input` is the body of `POST /job`
(`api_key`, `job_type`, `result_url`, `metadata`, `data`). Raise `job.JobError` when the job cannot succeed, and
`schemas.errors.Transient` when it may later. These are the names CKAN Service Provider had.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from consumer.memory import FORGETFUL, Memory
from consumer.report import Report, logging_outlet
from schemas.errors import BadSetting, JobError
from schemas.messages import JOB_TYPE_NAME, Json
from schemas.settings import Settings
from schemas.topology import RESERVED

__all__ = ["Function", "JobError", "JobFunction", "StoringHandler", "asynchronous", "load", "memory", "report", "running",
           "settings", "synchronous"]  # fmt: skip

#: What is decorated: (task id, input) -> JSON value, iterator of bytes or text, or a callable that gives one of them.
Function = Callable[[str, dict[str, Json]], object]


@dataclass(frozen=True)
class JobFunction:
    """A function that runs jobs of one type. Can be called like the function itself."""

    name: str
    function: Function
    #: Whether `POST /job` waits for the result. Both kinds run on a worker.
    synchronous: bool

    def __call__(self, task_id: str, input: dict[str, Json]) -> object:
        return self.function(task_id, input)


@dataclass(frozen=True)
class _Run:
    report: Report
    settings: Settings
    memory: Memory


_run: ContextVar[_Run] = ContextVar("run")


def asynchronous(function: Function) -> JobFunction:
    """Registers *function* for jobs whose sender does not wait for the result."""
    return JobFunction(_checked_name(function), function, synchronous=False)


def synchronous(function: Function) -> JobFunction:
    """Registers *function* for jobs whose sender gets the result as the answer to `POST /job`."""
    return JobFunction(_checked_name(function), function, synchronous=True)


def load(modules: Iterable[str]) -> Mapping[str, JobFunction]:
    """Imports the modules and gives the job functions found in them, by job type.

    Raises: BadSetting, saying which module cannot be imported, holds no job, or repeats a name.
    """
    found: dict[str, JobFunction] = {}
    for module in modules:
        functions = _functions_of(module)
        for function in functions:
            if found.setdefault(function.name, function) is not function:
                raise BadSetting("DATAPUSHER_JOB_MODULES", f"the job type {function.name!r} of {module} is there already")
    return found


class StoringHandler(logging.Handler):
    """Sends what a logger says to the log of the job that runs now.

    Add it to a logger of your own inside the job function; it is taken off again when the job ends.
    """

    def __init__(self, task_id: str, input: Mapping[str, Json]) -> None:
        super().__init__()
        self.task_id = task_id
        self.input = input
        # Taken now: a thread that logs later has no context of the run.
        self._report = report()

    def emit(self, record: logging.LogRecord) -> None:
        place = (record.module, record.funcName, record.lineno)
        self._report.log_from(place, record.levelname, self.format(record))


def report() -> Report:
    """The report of the job that runs now; outside a run, one that goes to `logging`."""
    run = _run.get(None)
    return run.report if run else Report(logging_outlet)


def settings() -> Settings:
    """The settings of the job that runs now, without the service's secrets; outside a run, the defaults."""
    run = _run.get(None)
    return run.settings if run else Settings()


def memory() -> Memory:
    """What the job that runs now may leave to its next attempt; outside a run, nothing."""
    run = _run.get(None)
    return run.memory if run else FORGETFUL


@contextmanager
def running(report: Report, settings: Settings, memory: Memory = FORGETFUL) -> Iterator[None]:
    """Makes *report*, *settings* and *memory* those of the job that runs in this block; handlers that it
    added are taken off afterwards."""
    token = _run.set(_Run(report, settings, memory))
    try:
        yield
        report.flush()
    finally:
        _run.reset(token)
        _remove_storing_handlers()


def _remove_storing_handlers() -> None:
    """A slot runs many jobs one after the other: a handler left on a logger would tell them all to the first one's log."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    for each in loggers:
        for handler in [handler for handler in each.handlers if isinstance(handler, StoringHandler)]:
            each.removeHandler(handler)


def _checked_name(function: Function) -> str:
    name = getattr(function, "__name__", "")
    if not JOB_TYPE_NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"{name!r} cannot be a job type: letters, digits and _ only, and none of {', '.join(sorted(RESERVED))}"
        )
    return name


def _functions_of(module: str) -> list[JobFunction]:
    try:
        members = vars(importlib.import_module(module)).values()
    except ImportError as error:
        raise BadSetting("DATAPUSHER_JOB_MODULES", f"cannot import {module}: {error}") from error
    functions = [member for member in members if isinstance(member, JobFunction)]
    if not functions:
        raise BadSetting("DATAPUSHER_JOB_MODULES", f"{module} has no function with @job.asynchronous or @job.synchronous")
    return functions
