"""The bus as the rest of the project sees it: two protocols, their promises in words.

Implementations: `publisher.rabbitmq.RabbitBus` and `publisher.embedded.EmbeddedBus`; `publisher.connect.connect` chooses
by the scheme of BROKER_URL. `tests/publisher/test_bus.py` runs one suite over both.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

#: What AMQP's header table and JSON have in common; no floats, since pika cannot write them.
HeaderValue = str | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Message:
    """Bytes on their way, with the AMQP properties we use (AMQP 0-9-1, class `basic`). Always persistent."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    #: `datapusher.job`, `datapusher.event`, `datapusher.callback`; a stranger's message may have any.
    type: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)


class Delivery(Protocol):
    """A message in hand. Settle it exactly once, from any thread; a second settlement raises RuntimeError.

    Settling never blocks. A delivery whose connection was lost since cannot be settled any more: the call does nothing,
    and the bus delivers the message again, to this consumer or another (`redelivered` is then true).
    """

    message: Message
    queue: str
    redelivered: bool
    #: 1 for the first attempt; the header `attempts` counts those that were spent.
    attempt: int

    def ack(self) -> None:
        """Done with it; the bus forgets the message."""

    def retry(self, delay_s: float, reason: str, *, spend: bool = True) -> None:
        """Deliver it to its queue again after the shortest declared delay that is not shorter than *delay_s*.

        The header `attempts` rises by one unless *spend* is false; *reason*, cut to what a header holds, is kept in the
        header `retry-reason`. The copy is confirmed before the original is acknowledged: killed in between, the message
        is delivered twice. A copy that the broker refuses leaves the original to be delivered again some seconds later.
        What comes back has the default exchange and the queue's name as `exchange` and `routing_key`.
        """

    def dead_letter(self, reason: str, *, routing_key: str, body: bytes | None = None) -> None:
        """Move it to the dead exchange under *routing_key* (`job.<job type>`, `callback.<job type>`), *body* replaced if given.

        Headers `dead-reason`, `dead-queue` and `dead-at` (RFC 3339, UTC, to the microsecond: no two deaths of a job share
        one) say why, whence and when. Copy first, as in `retry`.
        """

    def release(self) -> None:
        """Give it back untouched; it is delivered again, at once."""


class Consumer(Protocol):
    """A running consumption."""

    def cancel(self) -> None:
        """No delivery arrives after this returns; those in hand may still be settled."""


class Bus(Protocol):
    """A connection that never gives up: lost, it comes back by itself, declares the topology anew and goes on consuming.

    All methods may be called from any thread, before the broker can be reached too. `depth`, `consumers` and `close` wait
    for an answer: on an event loop call them in a thread (`asyncio.to_thread`).
    """

    @property
    def connected(self) -> bool:
        """Whether a message published now would leave at once."""

    @property
    def absence(self) -> str:
        """Why it would not, with the broker's address and its own words; "" when it would."""

    def publish(self, message: Message) -> "Future[None]":
        """Hand the message to the bus. The future succeeds when the bus has it on disk and in at least one queue.

        It fails with Unroutable (no queue is bound for it, or the topology has no such exchange) or NotPublished (refused,
        or the connection was lost before the confirm: the bus may or may not have it, publish again). Without a
        connection it fails at once: what must survive that is kept elsewhere first (the outbox, an unacknowledged
        delivery). A network that falls silent is noticed after half a minute only: give up waiting earlier if you must.
        Its callbacks run on the bus's own thread and must return at once.
        """

    def consume(self, queue: str, handle: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        """Call *handle* for each message of *queue*, with at most *prefetch* unsettled, for as long as the bus lives.

        *handle* runs on the bus's own thread: it must return at once (hand the delivery to another thread) and not raise.
        Every message is delivered at least once. Nothing is promised about order once a message was redelivered.
        """

    def subscribe(self, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> Consumer:
        """Call *handle* for what is published to *exchange* from now on and matches *routing_key* (topic pattern).

        For live views only: nothing is acknowledged, what is published during a reconnect is missed.
        """

    def depth(self, queue: str) -> int:
        """Messages that wait in *queue* (ready ones). Raises BusError while not connected."""

    def consumers(self, queue: str) -> int | None:
        """Processes that consume from *queue*; None where the bus does not know. Raises BusError while not connected."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop consuming, let publishes and settlements in flight finish for at most *timeout_s*, then disconnect."""
