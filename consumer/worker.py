"""The connection process of a worker: takes deliveries, has slots run them, tells how they ended, settles them.

No job code runs here, so heartbeats flow whatever a job does. Each slot has a thread that supervises it.
"""

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Engine

from consumer.claims import Busy, Cancelled, Claim, Claims, Finished, Poison
from consumer.dead import has_id
from consumer.endings import Endings
from consumer.heartbeat import Alive, Heartbeat
from consumer.lease import Lease
from consumer.memory import Memory
from consumer.outcome import Outcome
from consumer.outgoing import Outgoing
from consumer.retry import CANCELLED, Bug, Decision, End, GiveBack, LetGo, Retry, decide, in_words, poisoned
from consumer.scratch import Scratch
from consumer.slots import Slot
from consumer.telling import Telling
from consumer.watched import Attempt, Watched
from consumer.watchman import Watchman
from publisher.backoff import delays
from publisher.bus import Bus, Consumer, Delivery
from publisher.watch import Watch
from schemas.addresses import broker_address, store_address
from schemas.errors import BadSetting, DataPusherError, InvalidMessage, Stopped, StoreUnavailable
from schemas.logs import about
from schemas.messages import Job, Json, Kind
from schemas.metrics import version
from schemas.sealing import Sealer, message_keys
from schemas.settings import Settings, words
from schemas.topology import Topology

logger = logging.getLogger(__name__)
T = TypeVar("T")

PURGE_EVERY_S = 3600.0
#: After the drain limit: what killing children and handing back deliveries may take.
LAST_STEPS_S = 10.0
BUSY = "another job of its resource runs"


def run_worker(
    settings: Settings, engine: Engine, bus: Bus, topology: Topology, stop: threading.Event, watch: Watch | None = None
) -> None:
    """Runs jobs until *stop* is set, then lets running ones end for DRAIN_TIMEOUT and gives the rest back.

    Raises: BadSetting when the job modules cannot be used.
    """
    worker = Worker(settings, engine, bus, topology, watch or Watch())
    try:
        worker.start()
        while not stop.wait(PURGE_EVERY_S):
            worker.purge()
    finally:
        worker.drain()


class Worker:
    def __init__(self, settings: Settings, engine: Engine, bus: Bus, topology: Topology, watch: Watch) -> None:
        self._settings = settings
        self._bus = bus
        self._topology = topology
        self._names = topology.names
        relaxed = settings.broker_url.startswith("embedded:")
        self._claims = Claims(engine, lease_s=settings.lease, max_starts=settings.max_starts, relaxed=relaxed)
        self._sealer = Sealer(message_keys(settings.secret_key, words(settings.message_keys)))
        self._scratch = Scratch()
        self._watchman = Watchman()
        self._shown = Watched(watch, topology.job_types, settings.slots)
        self._store = store_address(engine)
        self._source = f"/worker/{socket.gethostname()}/{os.getpid()}"
        alive = Alive(self._source, version(), settings.slots, topology.job_types)
        self._heartbeat = Heartbeat(engine, alive, lambda: self._shown.busy, settings.worker_beat)
        self._endings = Endings(settings, self._names, self._outgoing, self._requested, self._sealer, self._source)
        self._deliveries: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._consumers: list[Consumer] = []
        self._threads: list[threading.Thread] = []
        self._draining = threading.Event()
        self._out_of_time = threading.Event()

    def start(self) -> None:
        """Returns when every slot has a child that is ready. Raises: BadSetting."""
        ready: list[Future[None]] = [Future() for _ in range(self._settings.slots)]
        for number, future in enumerate(ready, start=1):
            thread = threading.Thread(target=self._work, args=(number, future), name=f"slot {number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for future in ready:
            future.result()
        for job_type in self._topology.job_types:
            work = self._names.work(job_type)
            self._consumers.append(self._bus.consume(work, self._deliveries.put, prefetch=self._settings.slots))
        self._heartbeat.start()
        self._say_what_it_does()

    def _say_what_it_does(self) -> None:
        queues = ", ".join(self._names.work(job_type) for job_type in self._topology.job_types)
        broker, slots = broker_address(self._settings.broker_url), self._settings.slots
        logger.info("takes jobs from %s of %s, %d at once; claims them in %s", queues, broker, slots, self._store)

    def drain(self) -> None:
        """No new jobs; running ones end, or go back to the queue after DRAIN_TIMEOUT."""
        self._draining.set()
        for consumer in self._consumers:
            consumer.cancel()
        self._release_waiting()
        self._join(self._settings.drain_timeout)
        self._out_of_time.set()
        self._join(LAST_STEPS_S)
        self._heartbeat.stop()
        self._scratch.close()

    def _join(self, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def purge(self) -> None:
        try:
            self._claims.purge(timedelta(days=max(self._settings.keep_jobs_age, 2)))
        except StoreUnavailable as error:
            logger.warning("old claims not purged: %s", error.message)

    # ------------------------------------------------------------------------------------------------ a slot's thread

    def _work(self, number: int, ready: "Future[None]") -> None:
        slot = Slot(self._settings, self._scratch, self._watchman)
        try:
            slot.prepare_first()
        except Exception as error:  # whatever it is, the start of the worker fails with it
            ready.set_exception(error)
            return
        ready.set_result(None)
        owner = f"{self._source}/{number}"
        while (delivery := self._deliveries.get()) is not None:
            with self._shown.in_hand(number, delivery):
                self._handle_safely(slot, owner, delivery)
            if not self._draining.is_set():
                self._prepare(slot)
        slot.discard()

    def _handle_safely(self, slot: Slot, owner: str, delivery: Delivery) -> None:
        try:
            self._handle(slot, owner, delivery)
        except StoreUnavailable as error:
            logger.warning("message %s given back: %s", delivery.message.message_id, error.message)
            delivery.release()
        except Exception:  # the worker's edge: a bug of ours must not cost a slot, nor the job
            logger.exception("message %s failed in the worker itself", delivery.message.message_id)
            self._put_back(delivery)

    def _handle(self, slot: Slot, owner: str, delivery: Delivery) -> None:
        """One delivery from its arrival to its settlement."""
        try:
            job = self._decoded(delivery)
        except InvalidMessage as error:
            self._endings.refuse(delivery, error)
            return
        if not has_id(delivery.message):
            self._endings.send_with_id(delivery, job)
            return
        with about(job_id=job.job_id):
            self._take(slot, owner, delivery, job)

    def _take(self, slot: Slot, owner: str, delivery: Delivery, job: Job) -> None:
        replay = str(delivery.message.headers.get("dead-at", ""))
        match self._shown.taken(self._patiently(lambda: self._claims.take(job, owner, replay))):
            case Claim() as claim:
                self._attempt(slot, delivery, job, claim, replay)
            case Finished(outcome, delivered):
                self._endings.settle(delivery, job, outcome, delivered)
            case Busy():
                delivery.retry(self._settings.busy_delay, BUSY, spend=False)
            case Cancelled():
                self._conclude(delivery, job, CANCELLED, replay)
            case Poison(starts):
                self._conclude(delivery, job, poisoned(starts), replay)

    def _attempt(self, slot: Slot, delivery: Delivery, job: Job, claim: Claim, replay: str) -> None:
        """The one place where an attempt's end is turned into a settlement."""
        telling = Telling(self._outgoing(), self._names, job, claim.starts, self._source)
        telling.tell(Kind.STARTED, {"attempt": delivery.attempt, "starts": claim.starts, "worker": claim.owner})
        if claim.starts > 1:
            telling.log("INFO", f"Start {claim.starts} begins: {_why_again(delivery, claim, replay)}.")
        with self._shown.attempt(delivery, job, claim) as attempt:
            decision = self._run(slot, delivery, job, claim, telling, attempt)
            attempt.decided(decision)
        logger.info("job %s, start %d: %s", job.job_id, claim.starts, in_words(decision))
        match decision:
            case End(kind, data):
                outcome = Outcome(kind=kind, data=data, start=claim.starts, logs=telling.logs, replay=replay)
                if not self._patiently(lambda: self._claims.finish(claim, outcome)):
                    self._let_go(delivery, claim)
                    return
                self._shown.finished(job, kind)
                if telling.confirmed():
                    self._endings.settle(delivery, job, outcome, traceparent=attempt.span.traceparent)
                else:
                    delivery.release()
            case Retry():
                self._patiently(lambda: self._claims.release(claim, orderly=decision.orderly))
                self._retry(delivery, telling, decision)
            case GiveBack():
                self._patiently(lambda: self._claims.release(claim, orderly=True))
                delivery.release()
            case LetGo():
                self._let_go(delivery, claim)

    def _run(self, slot: Slot, delivery: Delivery, job: Job, claim: Claim, telling: Telling, attempt: Attempt) -> Decision:
        memory = Memory(claim.kept, lambda value: self._patiently(lambda: self._claims.keep(claim, value)))
        with Lease(self._claims, claim, self._settings.lease) as lease:

            def check() -> None:
                lease.check()
                if self._out_of_time.is_set():
                    raise Stopped("drain")

            try:
                return End(Kind.COMPLETE, slot.run(job, telling.tell, check, attempt.stage, memory))
            except (DataPusherError, Bug) as error:
                if isinstance(error, Bug):
                    logger.error("job %s (%s) failed unexpectedly:\n%s", job.job_id, job.job_type, error.trace)
                return decide(error, delivery.attempt, self._settings)

    def _retry(self, delivery: Delivery, telling: Telling, decision: Retry) -> None:
        delay_s = self._topology.retry_delay(decision.delay_s)
        telling.log("WARNING", f"{decision.reason}. Trying again in {delay_s:g} s.")
        told: dict[str, Json] = {"attempt": delivery.attempt, "delay_s": delay_s, "reason": decision.reason}
        telling.tell(Kind.RETRYING, told)
        if telling.confirmed():
            delivery.retry(decision.delay_s, decision.reason, spend=decision.spend)
        else:
            delivery.release()

    def _let_go(self, delivery: Delivery, claim: Claim) -> None:
        """Somebody else has the claim, and maybe the message. If not, it looks again later."""
        self._patiently(lambda: self._claims.release(claim, orderly=True))
        delivery.retry(self._settings.busy_delay, "it lost its claim", spend=False)

    def _conclude(self, delivery: Delivery, job: Job, end: End, replay: str) -> None:
        """Ends a job that does not start."""
        outcome = self._patiently(lambda: self._claims.conclude(job, end.kind, end.data, replay))
        logger.info("job %s: %s", job.job_id, outcome.kind)
        self._shown.finished(job, outcome.kind)
        self._endings.settle(delivery, job, outcome)

    def _decoded(self, delivery: Delivery) -> Job:
        """The job, its api_key open. Raises: InvalidMessage."""
        job = Job.decode(delivery.message.body, message_id=delivery.message.message_id)
        return replace(job, api_key=self._sealer.open(job.api_key))

    # ------------------------------------------------------------------------------------------------- patience, drain

    def _outgoing(self) -> Outgoing:
        return Outgoing(self._bus, lambda: not self._out_of_time.is_set())

    def _requested(self, job_id: str) -> tuple[datetime | None, str | None]:
        return self._patiently(lambda: self._claims.requested(job_id))

    def _patiently(self, call: Callable[[], T]) -> T:
        """Tries until the store answers; raises StoreUnavailable once the worker is out of time."""
        for pause_s in delays():
            try:
                return call()
            except StoreUnavailable as error:
                logger.warning("trying again in %.1f s: %s", pause_s, error.message)
                if self._out_of_time.wait(pause_s):
                    raise
        raise AssertionError("delays never end")

    def _prepare(self, slot: Slot) -> None:
        """A child that cannot start must not count as a start of the next job."""
        for pause_s in delays():
            try:
                slot.prepare()
                return
            except (BadSetting, Stopped, OSError) as error:
                logger.error("no child process: %s", error)
                if self._draining.wait(pause_s):
                    return

    def _put_back(self, delivery: Delivery) -> None:
        try:
            delivery.retry(self._settings.busy_delay, "the worker failed, see its log")
        except RuntimeError:
            logger.info("message %s was settled before", delivery.message.message_id)

    def _release_waiting(self) -> None:
        """Deliveries that no slot has taken go back; each slot's thread is told to end."""
        try:
            while delivery := self._deliveries.get_nowait():
                delivery.release()
        except queue.Empty:
            pass
        for _ in self._threads:
            self._deliveries.put(None)


def _why_again(delivery: Delivery, claim: Claim, replay: str) -> str:
    """Why a job that was started before is started now, for its log."""
    reason = str(delivery.message.headers.get("retry-reason") or BUSY)
    if claim.left_by:
        return f"worker {claim.left_by} is gone"
    if replay:
        return "it was replayed from the dead letters"
    return "its worker gave it back" if reason == BUSY else f"the one before ended with: {reason.rstrip('.')}"
