"""What a running job tells: log lines, progress, stages, rejected rows. All of it leaves as (kind, data) by one outlet.

`data` by kind: LOG {level, message, module, funcName, lineno}; PROGRESS {stage, numbers…, durations_s};
REJECTS {rows: [{row, reason, text}, …]}.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from schemas.messages import Json, Kind

logger = logging.getLogger(__name__)

Outlet = Callable[[Kind, Mapping[str, Json]], None]
#: Hears of each stage that is over: its name, when it began (seconds since 1970), how long it took (seconds).
Timed = Callable[[str, float, float], None]

#: Five a second are more than anybody reads.
PROGRESS_EVERY_S = 0.2
#: Rejected rows in one event: with texts of 1,000 characters it stays near 100 kB.
REJECTS_A_CHUNK = 100


class Report:
    """The one way for a job to be heard. May be used from any thread of the job, as far as its outlet may."""

    def __init__(self, outlet: Outlet, *, max_rejects: int = 1000, timed: Timed | None = None) -> None:
        self._outlet = outlet
        self._timed = timed
        self._rejects_left = max_rejects
        self._stage = ""
        self._told_at = float("-inf")
        self._held: dict[str, Json] | None = None
        self._durations: dict[str, float] = {}

    @property
    def durations(self) -> Mapping[str, float]:
        """Seconds spent in each stage so far, by its name, in order of their first end."""
        return dict(self._durations)

    def log(self, level: str, message: str) -> None:
        """A line for the job's log, with the place it was called from."""
        self.log_from(_caller(), level, message)

    def debug(self, message: str, *args: object) -> None:
        self.log("DEBUG", message % args if args else message)

    def info(self, message: str, *args: object) -> None:
        self.log("INFO", message % args if args else message)

    def warning(self, message: str, *args: object) -> None:
        self.log("WARNING", message % args if args else message)

    def error(self, message: str, *args: object) -> None:
        self.log("ERROR", message % args if args else message)

    def log_from(self, place: tuple[str, str, int], level: str, message: str) -> None:
        """A line whose *place* (module, function, line) is known already, as `logging` knows it."""
        module, function, line = place
        self._outlet(Kind.LOG, {"level": level, "message": message, "module": module, "funcName": function, "lineno": line})

    def progress(self, stage: str, **numbers: Json) -> None:
        """How far a stage is. What comes too fast is dropped, but never the last of a stage."""
        now = time.monotonic()
        ended: dict[str, Json] = {"durations_s": dict(self._durations)} if self._durations else {}
        self._held = {"stage": stage, **numbers, **ended}
        if stage != self._stage or now - self._told_at >= PROGRESS_EVERY_S:
            self._stage, self._told_at = stage, now
            self.flush()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announces the stage and keeps its duration, added up where a stage comes more than once."""
        self.progress(name)
        began, started = time.time(), time.monotonic()
        try:
            yield
        finally:
            self.flush()
            seconds = time.monotonic() - started
            self._durations[name] = round(self._durations.get(name, 0.0) + seconds, 6)
            if self._timed:
                self._timed(name, began, seconds)

    def rejects(self, rows: Iterable[tuple[int, str, str | None]]) -> None:
        """Rows that were not loaded: (row number, reason, text). Beyond the limit they are dropped."""
        chunk: list[Json] = []
        for row, reason, text in rows:
            if self._rejects_left <= 0:
                break
            self._rejects_left -= 1
            chunk.append({"row": row, "reason": reason, "text": text})
            if len(chunk) == REJECTS_A_CHUNK:
                self._outlet(Kind.REJECTS, {"rows": chunk})
                chunk = []
        if chunk:
            self._outlet(Kind.REJECTS, {"rows": chunk})

    def loaded(self, **numbers: Json) -> None:
        """The table is in place, although the job has not ended yet."""
        self._outlet(Kind.LOADED, numbers)

    def flush(self) -> None:
        """Tell the progress that was held back."""
        held, self._held = self._held, None
        if held is not None:
            self._outlet(Kind.PROGRESS, held)


def logging_outlet(kind: Kind, data: Mapping[str, Json]) -> None:
    """For jobs that run outside a worker: log lines go to `logging`, the rest to its debug level."""
    if kind is Kind.LOG:
        logger.log(logging.getLevelNamesMapping().get(str(data["level"]), logging.INFO), "%s", data["message"])
    else:
        logger.debug("%s %s", kind, dict(data))


def _caller() -> tuple[str, str, int]:
    """Module, function and line of the nearest frame outside this file, named as `logging` names them."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None:
        return "", "", 0
    return Path(frame.f_code.co_filename).stem, frame.f_code.co_name, frame.f_lineno
