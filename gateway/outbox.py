"""Hands accepted jobs to the bus, and keeps at it until the bus has confirmed each.

A row of `outbox` stands for a job whose message may not be on the bus. The gateway that accepted it publishes at once; what
is still there when it falls due (the bus was away, that gateway was killed) is published by whichever gateway sweeps first.
A job published twice is harmless: workers know it by its id.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial

from gateway import changes
from gateway.changes import OutboxRow
from gateway.clock import now
from gateway.store_threads import Store
from gateway.submission import Submission
from publisher.bus import Bus, Message
from schemas.errors import StoreUnavailable, Unroutable
from schemas.messages import JOB_TYPE
from schemas.topology import Names

logger = logging.getLogger(__name__)

#: How long a message that was just published is left alone by sweepers; far more than a confirm takes.
GRACE_S = 10.0
#: How often due messages are looked for, and how often between that whether the bus came back.
SWEEP_S, GLANCE_S = 2.0, 0.2
#: Confirmed messages are deleted in groups, this often: each deletion is a transaction.
FLUSH_S = 0.1
BATCH = 500
#: Beyond this many unconfirmed messages the rest stays in the outbox, on disk and not in memory.
MAX_IN_FLIGHT = 5000
#: How often the log says that nobody takes jobs of some type.
COMPLAINT_S = 60.0


class Outbox:
    """`publish…` may be called on the event loop only; `flush` and `sweep` have to run."""

    def __init__(self, bus: Bus, store: Store, names: Names) -> None:
        self._bus = bus
        self._store = store
        self._exchange = names.jobs
        self._in_flight: set[str] = set()
        self._confirmed: deque[str] = deque()
        self._failed: deque[str] = deque()
        self._published = asyncio.Event()
        self._complained_at: dict[str, float] = {}

    @property
    def open(self) -> bool:
        """Whether a job that is accepted now should be published at once."""
        return self._bus.connected and len(self._in_flight) < MAX_IN_FLIGHT

    def due_at(self, *, direct: bool) -> datetime:
        """When sweepers may take a message that is accepted now: at once, unless it is published *direct*-ly."""
        return now() + timedelta(seconds=GRACE_S if direct else 0)

    def publish_job(self, submission: Submission) -> None:
        job = submission.job
        self.publish(OutboxRow(job.job_id, job.job_type, submission.body, submission.headers))

    def publish(self, row: OutboxRow) -> None:
        self._in_flight.add(row.job_id)
        self._published.set()
        message = Message(
            exchange=self._exchange,
            routing_key=row.job_type,
            body=row.body,
            message_id=row.job_id,
            type=JOB_TYPE,
            headers=row.headers,
        )
        self._bus.publish(message).add_done_callback(partial(self._settled, row))

    def _settled(self, row: OutboxRow, future: "Future[None]") -> None:
        """On whichever thread the bus has; sets and deques take it (one operation each)."""
        error = future.exception()
        self._in_flight.discard(row.job_id)
        if error is None:
            self._confirmed.append(row.job_id)
        elif isinstance(error, Unroutable):
            self._complain(row, error)
        else:
            self._failed.append(row.job_id)

    def _complain(self, row: OutboxRow, error: Unroutable) -> None:
        now = time.monotonic()
        if now - self._complained_at.get(row.job_type, -COMPLAINT_S) >= COMPLAINT_S:
            self._complained_at[row.job_type] = now
            logger.warning("job %s stays in the outbox, as others of type %s may: %s", row.job_id, row.job_type, error)

    async def flush(self) -> None:
        """For ever: writes down which messages the bus has, and which failed and may be published again at once."""
        while True:
            await self._published.wait()
            self._published.clear()
            while self._in_flight or self._confirmed or self._failed:
                await asyncio.sleep(FLUSH_S)
                await self._write(self._confirmed, changes.forget_published)
                await self._write(self._failed, partial(changes.make_due, due_at=now()))

    async def _write(self, job_ids: "deque[str]", change: Callable[..., None]) -> None:
        while batch := [job_ids.popleft() for _ in range(min(BATCH, len(job_ids)))]:
            try:
                await self._store.write(change, batch)
            except StoreUnavailable as error:
                logger.warning("%d messages stay in the outbox for now: %s", len(batch), error)
                job_ids.extendleft(batch)
                return

    async def sweep(self) -> None:
        """For ever: publishes what is due, at the start, every few seconds, and as soon as the bus is back."""
        while True:
            was_open = self.open
            try:
                while self.open and await self._publish_due() == BATCH:
                    await asyncio.sleep(0)
            except StoreUnavailable as error:
                logger.warning("the outbox cannot be read: %s", error)
            await self._until_next_sweep(was_open)

    async def _publish_due(self) -> int:
        rows: Sequence[OutboxRow] = await self._store.write(changes.take_due, now(), self.due_at(direct=True), BATCH)
        for row in rows:
            if row.job_id not in self._in_flight:
                self.publish(row)
        return len(rows)

    async def _until_next_sweep(self, was_open: bool) -> None:
        for _ in range(round(SWEEP_S / GLANCE_S)):
            await asyncio.sleep(GLANCE_S)
            if self.open and not was_open:
                return
            was_open = self.open
