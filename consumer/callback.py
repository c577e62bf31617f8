"""Delivers callbacks: each a message of its own, tried again for a day, then laid with the dead (promise 6)."""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine

from consumer.claims import Claims
from consumer.dead import sealed_body
from consumer.hook import Answer, post
from consumer.lobby import Lobby
from consumer.outgoing import Outgoing, event_message
from publisher.bus import Bus, Delivery
from publisher.tracing import context_of, trace_id
from publisher.watch import Watch
from schemas.errors import InvalidMessage, StoreUnavailable
from schemas.logs import about
from schemas.messages import Callback, Event, Json, Kind
from schemas.sealing import Sealer, job_key, message_keys
from schemas.settings import Settings, numbers, words
from schemas.topology import Names, Topology

logger = logging.getLogger(__name__)

#: Callbacks in flight. Waiting for somebody's server costs next to nothing but a thread.
POOL = 16
#: Callbacks in hand: most of them wait a moment until the end of their job is recorded.
PREFETCH = 16 * POOL
#: Of the callbacks in flight, the ones to a single host: a slow one must leave room for the others.
HOST_SHARE = POOL // 2
#: Beyond CALLBACK_TIMEOUT, what a POST and noting its answer may take before another worker may try.
MARGIN_S = 5.0
#: Places of the events among the sequences from `Callback.sequence` on: a delivery beats a death, which beats a try, so
#: that a callback that is replayed from the dead queue, or delivered by the second of two copies, counts as delivered.
DEAD, DELIVERED = 50_000, 60_000


def run_callbacks(
    settings: Settings, engine: Engine, bus: Bus, topology: Topology, stop: threading.Event, watch: Watch | None = None
) -> None:
    """Delivers callbacks until *stop* is set, and then ends what is in flight."""
    Callbacks(settings, engine, bus, topology.names, watch or Watch()).run(stop)


class Callbacks:
    def __init__(self, settings: Settings, engine: Engine, bus: Bus, names: Names, watch: Watch) -> None:
        self._settings = settings
        self._watch = watch
        self._tries = watch.figures.counter("datapusher_callbacks_total")
        self._seconds = watch.figures.histogram("datapusher_callback_seconds")
        self._bus = bus
        self._names = names
        self._delays = numbers(settings.callback_delays)
        self._claims = Claims(engine, lease_s=settings.lease, max_starts=settings.max_starts)
        self._sealer = Sealer(message_keys(settings.secret_key, words(settings.message_keys)))
        self._deliveries: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._lobby = Lobby(engine, self._deliveries.put)
        self._in_flight: Counter[str] = Counter()
        self._jobs: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        # Daemons: a server that sends its answer byte by byte for hours must not keep the process from ending.
        threads = [threading.Thread(target=self._work, name=f"callback {n}", daemon=True) for n in range(POOL)]
        lobby = threading.Thread(target=self._lobby.run, name="callbacks' lobby", daemon=True)
        for thread in (*threads, lobby):
            thread.start()
        consumer = self._bus.consume(self._names.callbacks, self._lobby.enter, prefetch=PREFETCH)
        stop.wait()
        consumer.cancel()
        self._lobby.close()
        lobby.join(self._settings.callback_timeout)
        self._release_waiting()
        for _ in threads:
            self._deliveries.put(None)
        for thread in threads:
            thread.join(self._settings.callback_timeout)

    def _release_waiting(self) -> None:
        """What no thread has taken goes back to the queue."""
        with suppress(queue.Empty):
            while delivery := self._deliveries.get_nowait():
                delivery.release()

    def _work(self) -> None:
        while (delivery := self._deliveries.get()) is not None:
            try:
                self._deliver(delivery)
            except StoreUnavailable as error:
                self._later(delivery, error.message)
            except Exception:  # the edge of the worker: one callback must not take a thread with it
                logger.exception("callback %s failed in the worker itself", delivery.message.message_id)
                self._again(delivery, "callback.failed", "the worker failed, see its log")

    def _deliver(self, delivery: Delivery) -> None:
        try:
            callback = Callback.decode(delivery.message.body)
            api_key = self._sealer.open(callback.api_key)
        except InvalidMessage as error:
            logger.error("callback %s: %s", delivery.message.message_id, error.message)
            body = sealed_body(delivery.message.body, self._sealer)
            delivery.dead_letter(error.message, routing_key="callback.invalid", body=body)
            return
        traced = trace_id(context_of(delivery.message))
        with about(job_id=callback.job_id, trace_id=traced), self._place(callback) as free:
            if not free:
                self._later(delivery, "others to the same host are in flight")
            else:
                self._post(delivery, callback, api_key)

    def _post(self, delivery: Delivery, callback: Callback, api_key: str) -> None:
        match self._claims.take_callback(callback.job_id, self._settings.callback_timeout + MARGIN_S):
            case "delivered":
                delivery.ack()
            case "busy":
                self._later(delivery, "another worker is sending it")
            case "mine":
                answer = self._answer(delivery, callback, api_key)
                if answer.error is not None:
                    self._claims.drop_callback(callback.job_id)
                self._settle(delivery, callback, answer)

    def _answer(self, delivery: Delivery, callback: Callback, api_key: str) -> Answer:
        payload = {**callback.payload, "job_key": job_key(self._settings.secret_key, callback.job_id)}
        facts = {
            "job_id": callback.job_id,
            "http_method": "POST",
            "server": callback.result_url.split("/")[2].rpartition("@")[2],
        }
        with (
            self._watch.tracer.span("callback", "client", context_of(delivery.message), **facts) as span,
            self._seconds.time(),
        ):
            answer = post(callback.result_url, payload, api_key, self._settings)
            if answer.status is not None:
                span.note(http_status=answer.status)
            if answer.error is not None:
                span.fail(answer.error)
        return answer

    @contextmanager
    def _place(self, callback: Callback) -> Iterator[bool]:
        """Whether *callback* may be POSTed now: its host has a place, and no copy of it is in flight."""
        host = callback.result_url.split("/")[2]
        with self._lock:
            free = self._in_flight[host] < HOST_SHARE and callback.job_id not in self._jobs
            if free:
                self._in_flight[host] += 1
                self._jobs.add(callback.job_id)
        try:
            yield free
        finally:
            with self._lock:
                if free:
                    self._in_flight[host] -= 1
                    self._jobs.discard(callback.job_id)
                self._in_flight += Counter()  # drops the zeros

    def _settle(self, delivery: Delivery, callback: Callback, answer: Answer) -> None:
        attempt = delivery.attempt
        logger.info("callback of job %s, attempt %d: %s", callback.job_id, attempt, answer.error or answer.status)
        if answer.error is None:
            self._claims.mark_callback_delivered(callback.job_id)
            self._tell(callback, "delivered", DELIVERED, attempt, answer)
            delivery.ack()
        elif answer.passing and attempt <= len(self._delays):
            self._tell(callback, "retrying", attempt, attempt, answer)
            delivery.retry(self._delays[attempt - 1], answer.error)
        else:
            self._tell(callback, "dead", DEAD + attempt, attempt, answer)
            delivery.dead_letter(answer.error, routing_key=f"callback.{callback.job_type}")

    def _tell(self, callback: Callback, state: str, place: int, attempts: int, answer: Answer) -> None:
        self._tries.labels(state).inc()
        data: dict[str, Json] = {
            "state": state,
            "attempts": attempts,
            "last_error": answer.error,
            "status": answer.status,
        }
        event = Event(
            job_id=callback.job_id,
            job_type=callback.job_type,
            kind=Kind.CALLBACK,
            sequence=callback.sequence + place,
            data=data,
            source="/callbacks",
        )
        outgoing = Outgoing(self._bus, lambda: not self._stop.is_set())
        outgoing.send(event_message(event, self._names))
        outgoing.confirmed()

    def _again(self, delivery: Delivery, routing_key: str, reason: str) -> None:
        """After a bug of ours, wherever it happened."""
        try:
            if delivery.attempt <= len(self._delays):
                delivery.retry(self._delays[delivery.attempt - 1], reason)
            else:
                delivery.dead_letter(reason, routing_key=routing_key)
        except RuntimeError:
            logger.info("callback %s was settled before", delivery.message.message_id)

    def _later(self, delivery: Delivery, reason: str) -> None:
        delivery.retry(self._settings.busy_delay, reason, spend=False)
