"""`EmbeddedBus`: the bus as a queue table in a SQLite file, for any number of processes on one machine.

One thread a bus owns the connection. Publishes, settlements and claims that come together go into one transaction; then
their futures are told and the claimed messages handed over, on that thread. What other processes published is found by
looking: every 5 ms after something happened, and ever less often down to every 50 ms.
"""

import functools
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from publisher.backoff import delays
from publisher.bus import Delivery, Message
from publisher.confirms import fail, failed, succeed
from publisher.delivery import RELEASE, HeldDelivery, Settlement
from publisher.handover import Handover
from publisher.owners import Owner, burial
from publisher.queue_table import Claimed, QueueTable, Row, ready_count, to_row
from publisher.routes import topic_matches
from schemas.errors import BusError, NotPublished, Unroutable
from schemas.topology import Topology

logger = logging.getLogger(__name__)

#: Wait between two looks for what other processes did: right after something happened, and at rest.
BUSY_POLL_S, IDLE_POLL_S = 0.005, 0.05
#: How often killed processes are looked for; their messages wait for that long.
BURIAL_S = 0.25
#: Wait before the file is tried again that could not be used.
TROUBLE_S = 1.0
#: Work in one transaction, so that nobody waits long for the file.
BATCH = 500
#: How long a message is kept back whose copy has no queue; as in `rabbitmq.REFUSED_S`.
REFUSED_S = 3.0

#: The buses of this process: what one of them publishes need not wait for another one's next look.
_here: "list[EmbeddedBus]" = []


class EmbeddedBus:
    """See `publisher.bus.Bus`. *path* is the SQLite file, made when absent; beside it a folder `<path>-owners` holds locks.

    While the file cannot be written (disk full), publishes fail and settlements are tried again.
    *relaxed*: for those whose own memory is the same file. Nothing waits for the disk then: a power cut that takes a message
    back takes back, too, what they have written since they published it.
    """

    def __init__(self, path: str | Path, topology: Topology, *, relaxed: bool = False) -> None:
        self.topology = topology
        self._relaxed = relaxed
        self._path = Path(path)
        self._owners = self._path.with_name(self._path.name + "-owners")
        self._exchanges = {"", *(exchange.name for exchange in topology.exchanges)}
        self._work: deque[_Work] = deque()
        self._awake = threading.Event()
        self._consumers: tuple[_Working, ...] = ()
        self._watchers: tuple[_Watching, ...] = ()
        self._opened = False
        self._trouble: str | None = None
        self._closing = False
        self._over = False
        self._pause_s = BUSY_POLL_S
        self._next_burial = 0.0
        _here.append(self)
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        return self._opened and self._trouble is None

    @property
    def absence(self) -> str:
        return "" if self.connected else self._trouble or f"{self._path} is not open yet"

    def publish(self, message: Message) -> "Future[None]":
        if message.exchange not in self._exchanges:
            return failed(Unroutable(f"there is no exchange {message.exchange!r}"))
        if self._trouble:
            return failed(NotPublished(self._trouble))
        publish = _Publish(to_row(message))
        self._add(publish)
        return publish.future

    def consume(self, queue: str, handle: Callable[[Delivery], None], *, prefetch: int) -> "_Working":
        consumer = _Working(queue, handle, prefetch)
        self._consumers = (*(each for each in self._consumers if not each.cancelled), consumer)
        self._awake.set()
        return consumer

    def subscribe(self, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> "_Watching":
        watcher = _Watching(exchange, routing_key, handle, lambda: self._add(_Unwatch(watcher)))
        self._watchers = (*(each for each in self._watchers if not each.cancelled), watcher)
        self._add(_Watch(watcher))
        return watcher

    def depth(self, queue: str) -> int:
        try:
            return ready_count(self._path, queue)
        except sqlite3.Error as error:
            raise BusError(f"{self._path} does not tell the depth of {queue}: {error}") from error

    def consumers(self, queue: str) -> int | None:
        """Not known: those of other processes are seen by nobody."""
        return None

    def close(self, timeout_s: float = 5.0) -> None:
        for consumer in (*self._consumers, *self._watchers):
            Handover.cancel(consumer)
        self._closing = True
        self._awake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _add(self, work: "_Work") -> None:
        self._work.append(work)
        if self._over:
            self._lose(self._take(len(self._work)), NotPublished("the bus is closed"))
        elif not self._awake.is_set():  # else what was appended above is seen, since `_turn` clears it before it looks
            self._awake.set()

    # From here on everything runs on the bus's thread.

    def _run(self) -> None:
        try:
            if opened := self._open():
                self._live(*opened)
        finally:  # even after a bug nobody may wait for ever
            _here.remove(self)
            self._over, self._trouble = True, "the bus is closed"
            self._lose(self._take(len(self._work)), NotPublished(self._trouble))

    def _live(self, table: QueueTable, owner: Owner) -> None:
        try:
            while self._work or not self._closing:
                self._turn(table, owner.id)
        finally:
            self._leave(table, owner)

    def _open(self) -> "tuple[QueueTable, Owner] | None":
        for wait_s in delays():
            try:
                opened = QueueTable(self._path, self.topology), Owner(self._owners)
            except (sqlite3.Error, OSError) as error:
                self._tell_trouble(error)
                self._awake.wait(wait_s)
            else:
                self._opened, self._trouble = True, None
                return opened
            if self._closing:
                break
        return None

    def _leave(self, table: QueueTable, owner: Owner) -> None:
        """Others get at once what is still in hand."""
        try:
            with table.transaction(durable=False):
                table.free(owner.id)
        except sqlite3.Error as error:
            logger.warning("messages in hand wait for the next burial: %s", error)
        table.close()
        owner.close()

    def _turn(self, table: QueueTable, owner_id: str) -> None:
        """All work that has come in, claims for whoever has room, then a pause if there was nothing to do."""
        self._awake.clear()
        batch = self._take()
        try:
            self._bury(table, owner_id)
            hungry = [each for each in self._consumers if each.room and (batch or table.any_ready(each.queue))]
            claimed = self._commit(table, owner_id, batch, hungry) if batch or hungry else []
            shown = [(each, table.seen(each.after_id)) for each in self._watchers if each.watching]
        except sqlite3.Error as error:
            self._tell_trouble(error)
            self._lose(batch, error)
            self._awake.wait(TROUBLE_S)
            return
        self._trouble = None
        if any(work.durable for work in batch):
            self._wake_others()
        for work in batch:
            work.done()
        for consumer, message in claimed:
            self._hand_over(consumer, message)
        for watcher, seen in shown:
            watcher.show(seen)
        self._rest(busy=bool(batch or claimed))

    def _wake_others(self) -> None:
        for bus in tuple(_here):
            if bus is not self and bus._path == self._path:
                bus._awake.set()

    def _take(self, most: int = BATCH) -> "list[_Work]":
        return [self._work.popleft() for _ in range(min(len(self._work), most))]

    def _commit(
        self, table: QueueTable, owner_id: str, batch: "list[_Work]", hungry: "list[_Working]"
    ) -> "list[tuple[_Working, Claimed]]":
        with table.transaction(durable=not self._relaxed and any(work.durable for work in batch)):
            for work in batch:
                work.do(table, owner_id)
            claims = [(each, table.claim(each.queue, owner_id, each.room)) for each in hungry]
        return [(consumer, message) for consumer, messages in claims for message in messages]

    def _hand_over(self, consumer: "_Working", claimed: Claimed) -> None:
        consumer.held += 1
        settle = functools.partial(self._settle, consumer, claimed.id)
        delivery = HeldDelivery(claimed.message, consumer.queue, claimed.redelivered, self.topology, settle)
        if not consumer.hand(consumer.handle, delivery):
            settle(RELEASE)

    def _settle(self, consumer: "_Working", message_id: int, settlement: Settlement) -> None:
        self._add(_Settle(consumer, message_id, settlement))

    def _bury(self, table: QueueTable, owner_id: str) -> None:
        """Take from the dead what they held; the living look for them while they consume."""
        if not self._consumers or time.monotonic() < self._next_burial:
            return
        self._next_burial = time.monotonic() + BURIAL_S
        for other in table.owners():
            if other != owner_id:
                self._bury_one(table, other)

    def _bury_one(self, table: QueueTable, other: str) -> None:
        with burial(self._owners, other) as dead:
            if dead:
                logger.info("process of owner %s is gone, its messages are delivered again", other)
                with table.transaction(durable=False):
                    table.free(other)

    def _lose(self, batch: "list[_Work]", error: Exception) -> None:
        """Nothing of this was committed. What nobody waits for is tried again, in the same order."""
        self._work.extendleft(reversed([work for work in batch if not work.lost(error)]))

    def _tell_trouble(self, error: Exception) -> None:
        """Each once: it may last."""
        trouble = f"{self._path} cannot be used: {error}"
        (logger.debug if trouble == self._trouble else logger.error)("%s", trouble)
        self._trouble = trouble

    def _rest(self, *, busy: bool) -> None:
        self._pause_s = BUSY_POLL_S if busy else min(self._pause_s * 1.5, IDLE_POLL_S)
        listening = self._consumers or self._watchers
        if not self._work and not self._closing:
            self._awake.wait(self._pause_s if listening else None)


class _Work(Protocol):
    """One thing to do in a transaction together with others."""

    #: Whether it is promised to survive a power cut once it is done.
    durable: bool

    def do(self, table: QueueTable, owner_id: str) -> None: ...

    def done(self) -> None:
        """It is committed."""

    def lost(self, error: Exception) -> bool:
        """It is not committed; False to have it tried again."""


class _Publish:
    durable = True

    def __init__(self, row: Row) -> None:
        self.future: Future[None] = Future()
        self._row = row
        self._routed = False

    def do(self, table: QueueTable, owner_id: str) -> None:
        self._routed = table.put(self._row)

    def done(self) -> None:
        if self._routed:
            succeed(self.future)
        else:
            fail(self.future, Unroutable(f"no queue is bound to {self._row[0]} for {self._row[1]}"))

    def lost(self, error: Exception) -> bool:
        fail(self.future, NotPublished(f"message {self._row[2]} is not accepted: {error}"))
        return True


class _Settle:
    def __init__(self, consumer: "_Working", message_id: int, settlement: Settlement) -> None:
        self.durable = settlement.copy is not None
        self._consumer = consumer
        self._id = message_id
        self._settlement = settlement

    def do(self, table: QueueTable, owner_id: str) -> None:
        """Copy and original change places in one transaction."""
        if self._settlement.requeue:
            table.put_back(self._id, owner_id)
        elif self._settlement.copy is None or table.put(to_row(self._settlement.copy)):
            table.forget(self._id, owner_id)
        else:
            logger.error("the copy of a message of %s has no queue, it is delivered again", self._consumer.queue)
            table.put_back(self._id, owner_id, delay_s=REFUSED_S)

    def done(self) -> None:
        self._consumer.held -= 1

    def lost(self, error: Exception) -> bool:
        return False


class _Watch:
    durable = False

    def __init__(self, watcher: "_Watching") -> None:
        self._watcher = watcher
        self._after_id = 0

    def do(self, table: QueueTable, owner_id: str) -> None:
        self._after_id = table.watch(owner_id, self._watcher.exchange, id(self._watcher))

    def done(self) -> None:
        self._watcher.after_id = self._after_id
        self._watcher.watching = True

    def lost(self, error: Exception) -> bool:
        return False


class _Unwatch:
    durable = False

    def __init__(self, watcher: "_Watching") -> None:
        self._watcher = watcher

    def do(self, table: QueueTable, owner_id: str) -> None:
        table.unwatch(owner_id, id(self._watcher))

    def done(self) -> None:
        self._watcher.watching = False

    def lost(self, error: Exception) -> bool:
        return False


class _Working(Handover):
    """A consumer of one queue. *held* counts what it has not settled; only the bus's thread touches it."""

    def __init__(self, queue: str, handle: Callable[[Delivery], None], prefetch: int) -> None:
        super().__init__()
        self.queue = queue
        self.handle = handle
        self.held = 0
        self._prefetch = prefetch

    @property
    def room(self) -> int:
        return 0 if self.cancelled else self._prefetch - self.held


class _Watching(Handover):
    """A live view of one exchange."""

    def __init__(self, exchange: str, routing_key: str, handle: Callable[[Message], None], unwatch: Callable[[], None]) -> None:
        super().__init__()
        self.exchange = exchange
        self.watching = False
        self.after_id = 0
        self._routing_key = routing_key
        self._handle = handle
        self._unwatch = unwatch

    def cancel(self) -> None:
        super().cancel()
        self._unwatch()

    def show(self, seen: list[tuple[int, Message]]) -> None:
        for seen_id, message in seen:
            self.after_id = seen_id
            if message.exchange == self.exchange and topic_matches(self._routing_key, message.routing_key):
                self.hand(self._handle, message)
