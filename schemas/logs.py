"""How a process logs: to stderr and a file, as text or as one JSON object a line."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from schemas.errors import BadSetting
from schemas.settings import Settings

FILE_BYTES, FILES_KEPT = 64 * 1024 * 1024, 5
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
#: What a record carries anyway; everything else in it came by `extra=` and is shown.
USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: What the lines of this thread, or task, are about.
_about: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(**facts: str) -> Iterator[None]:
    """Lines logged in this block carry these facts (job_id, trace_id), where the format is JSON; empty ones are left out."""
    token = _about.set({**_about.get({}), **{name: value for name, value in facts.items() if value}})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message", "exception"?, …}`; beside them what the line is `about`, and its `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        line |= _about.get({})
        line |= {key: value for key, value in vars(record).items() if key not in USUAL}
        return json.dumps(line, default=str, ensure_ascii=False)


def _into(path: str) -> logging.Handler:
    try:
        return RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT)
    except OSError as error:
        raise BadSetting("DATAPUSHER_LOG_FILE", f"cannot write to {path!r}: {error.strerror}") from error


def start_logging(settings: Settings) -> None:
    """Sets the root logger up; called once, by the command line. Raises: BadSetting."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if settings.stderr else []
    if settings.log_file:
        handlers.append(_into(settings.log_file))
    formatter = JsonLines() if settings.log_format == "json" else logging.Formatter(TEXT)
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=handlers or [logging.NullHandler()], force=True)
    # They say in several lines what our own bus says in one.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
