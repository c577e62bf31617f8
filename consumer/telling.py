"""Tells the events of one start of a job, numbered in order."""

import logging
from collections import deque
from collections.abc import Mapping

from consumer.outcome import CALLBACK_LOGS, FINAL
from consumer.outgoing import Outgoing, event_message
from schemas.messages import A_START, Event, Job, Json, Kind
from schemas.topology import Names

logger = logging.getLogger(__name__)


class Telling:
    """For one thread."""

    def __init__(self, outgoing: Outgoing, names: Names, job: Job, start: int, source: str) -> None:
        self._outgoing = outgoing
        self._names = names
        self._job = job
        self._start = start
        self._source = source
        self._count = 0
        self._logs: deque[Mapping[str, Json]] = deque(maxlen=CALLBACK_LOGS)

    @property
    def logs(self) -> tuple[Mapping[str, Json], ...]:
        """The newest log lines in the legacy form, for the callback."""
        return tuple(self._logs)

    def tell(self, kind: Kind, data: Mapping[str, Json]) -> None:
        if self._count >= FINAL - 1:
            return
        self._count += 1
        if self._count == FINAL - 1:
            logger.warning("job %s tells too much: further events of this start are dropped", self._job.job_id)
        event = Event(
            job_id=self._job.job_id,
            job_type=self._job.job_type,
            kind=kind,
            sequence=self._start * A_START + self._count,
            data=data,
            source=self._source,
        )
        if kind is Kind.LOG and data.get("level") != "DEBUG":
            self._logs.append({"timestamp": event.time.isoformat(), **data})
        self._outgoing.send(event_message(event, self._names))

    def log(self, level: str, message: str) -> None:
        """A line by the worker itself."""
        self.tell(Kind.LOG, {"level": level, "message": message, "module": "worker", "funcName": "", "lineno": 0})

    def confirmed(self) -> bool:
        """Waits until the bus has all that was told; false when that was given up."""
        return self._outgoing.confirmed()
