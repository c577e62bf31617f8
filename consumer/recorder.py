"""Writes what is told on the bus to the store: one transaction and one burst of acknowledgements for many messages.

A message counts once however often it comes, and in any order: rows have the event's sequence in their key, and a job's row
changes only by a higher sequence (`recording.py`). Nothing is acknowledged before it is committed.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from consumer.cancelled import WaitingCancelled
from consumer.dead import sealed_body
from consumer.recording import Told, record, told
from consumer.stale import Sweeper
from publisher.backoff import delays
from publisher.bus import Bus, Delivery, Message
from publisher.watch import Watch
from schemas.addresses import broker_address, store_address
from schemas.errors import InvalidMessage, StoreUnavailable
from schemas.messages import EVENT_TYPE
from schemas.metrics import Figures
from schemas.sealing import Sealer, message_keys
from schemas.settings import Settings, words
from schemas.topology import Names, Topology

logger = logging.getLogger(__name__)

#: Measured: batches of 500 record ten times as fast as single messages; larger ones win nothing.
BATCH = 500
#: How long the first message of a batch waits for others.
GATHER_S = 0.05
#: How often it looks whether they have come.
GLANCE_S = 0.005
#: One batch that is written, and what comes in meanwhile, until its acknowledgements have brought more.
PREFETCH = 4 * BATCH
#: A stop is noticed after that long without messages.
IDLE_S = 0.5


def run_recorder(
    settings: Settings, engine: Engine, bus: Bus, topology: Topology, stop: threading.Event, watch: Watch | None = None
) -> None:
    """Records until *stop* is set. What is in hand then goes back to the queue."""
    recorder = Recorder(settings, engine, topology.names, (watch or Watch()).figures)
    sweeper = Sweeper(engine, bus, topology)
    cancelled = WaitingCancelled(engine, bus, topology.names)
    consumer = bus.consume(topology.names.recorder, recorder.deliveries.put, prefetch=PREFETCH)
    broker = broker_address(settings.broker_url)
    logger.info("records %s of %s, in %s", topology.names.recorder, broker, store_address(engine))
    while not stop.is_set():
        recorder.turn(stop)
        cancelled.turn()
        sweeper.turn()
    consumer.cancel()
    recorder.release()


class Heard(NamedTuple):
    """A delivery and what it tells."""

    delivery: Delivery
    told: Told


class Recorder:
    def __init__(self, settings: Settings, engine: Engine, names: Names, figures: Figures | None = None) -> None:
        figures = figures or Figures()
        self._recorded = figures.counter("datapusher_recorded_total")
        self._seconds = figures.histogram("datapusher_record_seconds")
        self._lag = figures.gauge("datapusher_record_lag_seconds")
        self._failures = figures.counter("datapusher_record_failures_total")
        self._unrecorded = figures.counter("datapusher_unrecorded_total")
        self.deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._engine = engine
        self._names = names
        self._secret_key = settings.secret_key
        self._relaxed = settings.broker_url.startswith("embedded:")
        self._sealer = Sealer(message_keys(settings.secret_key, words(settings.message_keys)))

    def turn(self, stop: threading.Event) -> None:
        """Records the next batch, if one comes soon."""
        heard = [each for delivery in self._gather() if (each := self._heard(delivery))]
        if heard:
            self._record_patiently(heard, stop)

    def release(self) -> None:
        try:
            while True:
                self.deliveries.get_nowait().release()
        except queue.Empty:
            return

    def _gather(self) -> list[Delivery]:
        """Up to BATCH deliveries that come within GATHER_S of the first; none when there is none for IDLE_S."""
        batch: list[Delivery] = []
        with suppress(queue.Empty):
            batch.append(self.deliveries.get(timeout=IDLE_S))
            self._await_more()
            while len(batch) < BATCH:
                batch.append(self.deliveries.get_nowait())
        return batch

    def _await_more(self) -> None:
        """Until there is a batch, or time is up. By a glance now and then: to be woken for each message costs more than to
        record it."""
        deadline = time.monotonic() + GATHER_S
        while self.deliveries.qsize() < BATCH - 1 and time.monotonic() < deadline:
            time.sleep(GLANCE_S)

    def _heard(self, delivery: Delivery) -> Heard | None:
        message = delivery.message
        try:
            says = told(message.body, message.message_id, self._is_event(message), self._secret_key)
        except InvalidMessage as error:
            if self._is_event(message):
                self._bury(delivery, error.message)
            else:
                # The worker's copy of it is laid with the dead, once.
                logger.warning("message %s is no job, not recorded: %s", message.message_id or "without an id", error.message)
                delivery.ack()
            return None
        if says is None:
            delivery.ack()
        return Heard(delivery, says) if says else None

    def _is_event(self, message: Message) -> bool:
        return message.type == EVENT_TYPE or message.exchange == self._names.events

    def _record_patiently(self, heard: Sequence[Heard], stop: threading.Event) -> None:
        """Until the store has it: while it is away, everything stays on the bus."""
        for pause_s in delays():
            try:
                self._record(heard)
                return
            except StoreUnavailable as error:
                self._failures.inc()
                logger.warning("not recorded, trying again in %.1f s: %s", pause_s, error.message)
            if stop.wait(pause_s):
                for each in heard:
                    each.delivery.release()
                return

    def _record(self, heard: Sequence[Heard]) -> None:
        """Halves a batch that the database refuses until the message that it refuses is alone.

        Raises: StoreUnavailable; then none of *heard* that is unsettled was recorded.
        """
        try:
            with self._seconds.time():
                record(self._engine, [each.told for each in heard], relaxed=self._relaxed)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if len(heard) == 1:
                self._bury(heard[0].delivery, f"cannot be recorded: {getattr(error, 'orig', error)}")
                return
            half = len(heard) // 2
            self._record(heard[:half])
            self._record(heard[half:])
            return
        for each in heard:
            each.delivery.ack()
        self._count([each.told for each in heard])

    def _count(self, told: Sequence[Told]) -> None:
        kinds = Counter([each.event.kind if each.event else "job" for each in told])
        for kind, count in kinds.items():
            self._recorded.labels(str(kind)).inc(count)
        oldest = min((each.event.time for each in told if each.event), default=None)
        if oldest:
            self._lag.set(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))

    def _bury(self, delivery: Delivery, reason: str) -> None:
        message = delivery.message
        self._unrecorded.inc()
        logger.error("message %s: %s", message.message_id, reason)
        kind = "event" if self._is_event(message) else "unrecorded"
        delivery.dead_letter(reason, routing_key=f"job.{kind}", body=sealed_body(message.body, self._sealer))
