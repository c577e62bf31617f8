"""The consumers of `RabbitBus`: wishes to be handed messages, which outlive channels and connections.

Everything but `cancel` runs on the bus's loop.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from publisher.acks import Acks
from publisher.bus import Delivery, HeaderValue, Message
from publisher.delivery import HeldDelivery, Settlement
from publisher.handover import Handover
from publisher.mailbox import Mailbox
from publisher.rabbitmq_channel import Channel
from schemas.topology import Topology

logger = logging.getLogger(__name__)

#: How long a delivery is kept back whose copy the broker refused: a full queue needs time, a hot loop does not help.
REFUSED_S = 3.0
#: What a live view that cannot keep up may fall behind, in messages; the oldest are dropped.
LIVE_MESSAGES = 10_000


class Consumer(Handover):
    """Consumes on one channel at a time, each time the bus calls `use`."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._channel: Channel | None = None
        self._tag = ""

    def cancel(self) -> None:
        super().cancel()
        self._mailbox.post(self._stop)

    @property
    def finished(self) -> bool:
        """Cancelled, and nothing is in hand any more."""
        return self.cancelled and not (self._channel and self._channel.is_open)

    async def use(self, channel: Channel) -> None:
        """Consume on *channel* until it is over, which raises ChannelOver."""
        raise NotImplementedError

    def flush(self) -> None:
        """Called after each round of work on the loop."""

    def _stop(self) -> None:
        if self._channel and self._channel.is_open and self._tag:
            self._channel.raw.basic_cancel(self._tag)
            self._tag = ""
        self.flush()


class Working(Consumer):
    """Takes the messages of a queue and settles them.

    A channel of its own carries its prefetch (quorum queues refuse one for a shared channel,
    https://www.rabbitmq.com/docs/quorum-queues#global-qos) and makes its delivery tags one rising row.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        publish: "Callable[[Message, Future[None]], None]",
        topology: Topology,
        queue: str,
        handle: Callable[[Delivery], None],
        prefetch: int,
    ) -> None:
        super().__init__(mailbox)
        self._publish = publish
        self._topology = topology
        self._queue = queue
        self._handle = handle
        self._prefetch = prefetch
        self._acks = Acks()

    async def use(self, channel: Channel) -> None:
        self._channel, self._acks = channel, Acks()
        await channel.call("basic_qos", prefetch_count=self._prefetch)
        self._tag = channel.raw.basic_consume(self._queue, functools.partial(self._on_message, channel))
        await channel.until_over()

    def flush(self) -> None:
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        for tag, multiple in self._acks.flush():
            channel.raw.basic_ack(tag, multiple)
        if self.cancelled and self._acks.idle:
            channel.give_up("the consumer was cancelled and all it held is settled")

    def _on_message(self, channel: Channel, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        tag = method.delivery_tag
        self._acks.hold(tag)
        settle = functools.partial(self._mailbox.post, self._settle, channel, tag)
        message = message_of(method, properties, body)
        delivery = HeldDelivery(message, self._queue, bool(method.redelivered), self._topology, settle)
        if not self.hand(self._handle, delivery):
            self._requeue(channel, tag)

    def _settle(self, channel: Channel, tag: int, settlement: Settlement) -> None:
        if channel is not self._channel or not channel.is_open:
            return  # the broker has taken the message back, and delivers it again
        if settlement.requeue:
            self._requeue(channel, tag)
        elif settlement.copy is None:
            self._acks.settle(tag)
        else:
            copied: Future[None] = Future()
            copied.add_done_callback(functools.partial(self._mailbox.post, self._copied, channel, tag))
            self._publish(settlement.copy, copied)

    def _copied(self, channel: Channel, tag: int, copied: "Future[None]") -> None:
        """The original goes only when its copy is there. Where the broker refuses it, the message is delivered again."""
        error = copied.exception()
        if error is None:
            self._settle(channel, tag, Settlement())
        elif channel is self._channel and channel.is_open:
            logger.error("a message of %s is delivered again, since its copy was refused: %s", self._queue, error)
            loop = asyncio.get_running_loop()
            loop.call_later(REFUSED_S, self._settle, channel, tag, Settlement(requeue=True))

    def _requeue(self, channel: Channel, tag: int) -> None:
        self._acks.drop(tag)
        channel.raw.basic_nack(tag, requeue=True)


class Watching(Consumer):
    """A live view: a queue of its own that ends with the channel, nothing acknowledged."""

    def __init__(self, mailbox: Mailbox, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> None:
        super().__init__(mailbox)
        self._exchange = exchange
        self._routing_key = routing_key
        self._handle = handle

    async def use(self, channel: Channel) -> None:
        self._channel = channel
        limit = {"x-max-length": LIVE_MESSAGES}
        declared = await channel.call("queue_declare", queue="", exclusive=True, auto_delete=True, arguments=limit)
        queue = declared.method.queue
        await channel.call("queue_bind", queue=queue, exchange=self._exchange, routing_key=self._routing_key)
        self._tag = channel.raw.basic_consume(queue, self._on_message, auto_ack=True)
        await channel.until_over()

    def flush(self) -> None:
        if self.cancelled and self._channel:
            self._channel.give_up("the subscription was cancelled")

    def _on_message(self, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        self.hand(self._handle, message_of(method, properties, body))


def message_of(method: Any, properties: Any, body: bytes) -> Message:
    return Message(
        exchange=method.exchange,
        routing_key=method.routing_key,
        body=body,
        message_id=properties.message_id or "",
        type=properties.type or "",
        content_type=properties.content_type or "application/octet-stream",
        headers=_scalars(properties.headers) if properties.headers else {},
    )


def _scalars(headers: Mapping[str, Any]) -> dict[str, HeaderValue]:
    """AMQP knows tables, arrays, dates and more; RabbitMQ's own `x-death` is one, and nothing of ours needs them."""
    return {name: value for name, value in headers.items() if value is None or isinstance(value, str | int | bool)}
