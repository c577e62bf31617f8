"""Tells again and again that a worker lives, and how busy it is: its row in the table `workers`.

A worker that is killed says nothing more; its row is over after three missed beats, and the next beat of any other worker
removes it. Readers go by `good_until`, so nobody has to remove anything for a dead worker to be gone.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete
from sqlalchemy.dialects import postgresql, sqlite

from schemas.errors import StoreUnavailable
from schemas.store import store_now, writing_alone
from schemas.tables import workers

logger = logging.getLogger(__name__)

#: Beats that may be missed.
MISSED = 3


@dataclass(frozen=True)
class Alive:
    """What a worker tells of itself."""

    worker: str
    version: str
    slots: int
    job_types: Sequence[str]


class Heartbeat:
    """Beats from `start` to `stop`, on a thread of its own. *busy* says how many of its slots have a job in hand."""

    def __init__(self, engine: Engine, alive: Alive, busy: Callable[[], int], every_s: float) -> None:
        self._engine = engine
        self._alive = alive
        self._busy = busy
        self._every_s = every_s
        self._started_at: datetime | None = None
        self._told = True
        self._over = threading.Event()
        # A daemon: it may hang in a store that does not answer.
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Says that the worker leaves; nothing when it never started."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(self._every_s)

    def _beat_on(self) -> None:
        self._write(alive=True)
        while not self._over.wait(self._every_s):
            self._write(alive=True)
        self._write(alive=False)

    def _write(self, *, alive: bool) -> None:
        try:
            self._beat(alive)
            self._told = True
        except StoreUnavailable as error:
            (logger.warning if self._told else logger.debug)("cannot tell that this worker lives: %s", error.message)
            self._told = False

    def _beat(self, alive: bool) -> None:
        """Its row anew; what is over goes."""
        with writing_alone(self._engine) as connection:
            now = store_now(connection)
            self._started_at = self._started_at or now
            if alive:
                _put(connection, self._row(now))
            over = workers.c.good_until < now if alive else workers.c.worker == self._alive.worker
            connection.execute(delete(workers).where(over))

    def _row(self, now: datetime) -> dict[str, object]:
        return {
            "worker": self._alive.worker,
            "version": self._alive.version,
            "slots": self._alive.slots,
            "busy": self._busy(),
            "job_types": list(self._alive.job_types),
            "started_at": self._started_at,
            "seen_at": now,
            "good_until": now + MISSED * timedelta(seconds=self._every_s),
        }


def _put(connection: Connection, row: dict[str, object]) -> None:
    """Over the row of a process that has its name, too: a container's is always number 1, of two on one host as well."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    query = dialect.insert(workers).values(row)
    connection.execute(query.on_conflict_do_update(index_elements=[workers.c.worker], set_=row))
