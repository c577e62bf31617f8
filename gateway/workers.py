"""Which workers live, as they tell themselves in the table `workers`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from schemas.store import store_now
from schemas.tables import workers

#: More are not shown.
MOST = 500


@dataclass(frozen=True, slots=True)
class LivingWorker:
    """One process. Times are naive UTC."""

    #: "/worker/<host>/<process id>"
    worker: str
    version: str
    slots: int
    #: Slots that had a job in hand when it was `seen_at`.
    busy: int
    started_at: datetime
    seen_at: datetime

    @property
    def name(self) -> str:
        """Host and process."""
        return self.worker.removeprefix("/worker/")


def living(connection: Connection) -> tuple[LivingWorker, ...]:
    """Those that have not missed three beats, by name."""
    columns = (workers.c.worker, workers.c.version, workers.c.slots, workers.c.busy, workers.c.started_at, workers.c.seen_at)
    alive = workers.c.good_until >= store_now(connection)
    return tuple(
        LivingWorker(*row) for row in connection.execute(select(*columns).where(alive).order_by(workers.c.worker).limit(MOST))
    )
