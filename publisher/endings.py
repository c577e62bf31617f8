"""Hears on the exchange of events how jobs end, for `publisher.client`.

The queue outlives a lost connection, and is deleted by the broker when nobody has read it for ten minutes.
"""

import contextlib
import logging
import threading
import time
from typing import Any

from amqp.exceptions import AMQPError
from kombu.entity import Exchange, Queue, binding
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from publisher.ended import Ended, told
from publisher.refusals import in_our_words, is_lasting, reason
from schemas.errors import InvalidMessage, NotPublished
from schemas.messages import STATE_AFTER, Event, new_id
from schemas.topology import Names

logger = logging.getLogger(__name__)

#: The broker deletes the queue after so long without a reader.
UNREAD_S = 600
#: Between looks whether it shall stop; a heartbeat is due each half of HEARTBEAT_S.
TURN_S, HEARTBEAT_S = 0.5, 30
#: Ends that may be on their way to us.
UNACKNOWLEDGED = 200
#: Until the next connection is tried.
PAUSE_S = 1.0
#: Until the queue is there.
READY_S = 15.0
FINAL_KINDS = [kind for kind, state in STATE_AFTER.items() if state.final]


class Endings:
    """Collects the ends of the jobs it is told to expect, over connections like *connection*, of its own.

    Thread-safe; reads in a thread of its own from the first `expect` on, until `close`.
    """

    def __init__(self, connection: Any, names: Names) -> None:
        self._pattern = connection
        self._names = names
        self._queue = _queue(names)
        #: Of the last try; None where the queue is read, and before the first try is over.
        self._trouble: Exception | None = None
        self._news = threading.Condition()
        self._expected: dict[str, Ended | None] = {}
        self._ready, self._hopeless, self._closed = False, False, threading.Event()
        self._thread: threading.Thread | None = None

    def expect(self, job_id: str) -> None:
        """From here on the end of this job is heard.

        Raises: NotPublished where the broker cannot be reached or does not let us in, Unroutable where it has no such exchange.
        """
        with self._news:
            self._expected.setdefault(job_id, None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="endings", daemon=True)
                self._thread.start()
            self._news.wait_for(lambda: self._ready or self._hopeless, READY_S)
            if self._ready:
                return
            self._expected.pop(job_id, None)
            trouble = self._trouble or TimeoutError("the broker does not answer")
            if self._hopeless:
                raise in_our_words(trouble, job_id, self._names)
            raise NotPublished(f"job {job_id} is not published, since its end could not be heard: {reason(trouble)}")

    def forget(self, job_id: str) -> None:
        with self._news:
            self._expected.pop(job_id, None)

    def expects(self, job_id: str) -> bool:
        with self._news:
            return job_id in self._expected

    def wait(self, job_id: str, timeout_s: float) -> Ended | None:
        """The end of a job that was expected, and is forgotten then; None where it was not told in time."""
        with self._news:
            self._news.wait_for(lambda: self._expected.get(job_id), timeout_s)
            end = self._expected.get(job_id)
            if end is not None:
                del self._expected[job_id]
            return end

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._pattern.clone(heartbeat=HEARTBEAT_S) as connection:
                    connection.ensure_connection(max_retries=max(len(connection.alt), 1), interval_start=0)  # each address once
                    self._read(connection)
            except (AMQPError, KombuError, OSError) as error:
                self._lost(error)
                self._closed.wait(PAUSE_S)

    def _lost(self, error: Exception) -> None:
        if self._trouble is None:  # once, not with each try
            logger.warning("hears of no job's end: %s; trying again until it does", reason(error))
        with self._news:
            self._trouble, self._hopeless = error, is_lasting(error)
            self._news.notify_all()

    def _listens(self) -> None:
        with self._news:
            self._ready, self._hopeless, self._trouble = True, False, None
            self._news.notify_all()

    def _read(self, connection: Any) -> None:
        consumer: Any = Consumer(connection, [self._queue], on_message=self._take)  # type: ignore[no-untyped-call]
        consumer.qos(prefetch_count=UNACKNOWLEDGED)
        with consumer:
            self._listens()
            checked = time.monotonic()
            while not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=TURN_S)
                if time.monotonic() - checked >= HEARTBEAT_S / 2:
                    connection.heartbeat_check()
                    checked = time.monotonic()
        self._queue(connection.default_channel).delete()  # closed on purpose: nobody will come back

    def _take(self, message: Any) -> None:
        """Acknowledged once heard: what was on its way over a connection that broke comes again."""
        self._hear(message.body)
        message.ack()

    def _hear(self, body: bytes | str) -> None:
        try:
            end = told(Event.decode(body.encode() if isinstance(body, str) else bytes(body)))
        except InvalidMessage as error:
            logger.warning("no event of ours: %s", error)
            return
        with self._news:
            if end is not None and end.job_id in self._expected:
                self._expected[end.job_id] = end
                self._news.notify_all()


def _queue(names: Names) -> Any:
    exchange: Any = Exchange(names.events, "topic", durable=True, no_declare=True)  # type: ignore[no-untyped-call]
    bindings = [binding(exchange, f"job.{kind}.#") for kind in FINAL_KINDS]  # type: ignore[no-untyped-call]
    name = f"{names.prefix}.wait.{new_id()}"
    return Queue(name, bindings=bindings, durable=True, expires=UNREAD_S)  # type: ignore[no-untyped-call]
