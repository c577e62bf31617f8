"""`RabbitBus`: the bus on RabbitMQ, and the only module that knows pika.

pika is used on one event loop only, the gateway's or one on a thread of our own; every public method posts its work there.
`RabbitBus._live` connects, again and again; a `_Session` is one connection; on it one channel publishes (`_Outlet`) and each
consumer has a channel of its own (`_Working`, `_Watching`), so that a closed channel takes nothing else with it. pika's calls
take callbacks; `_Channel.call` makes them awaitable.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPChannelError, AMQPError

from publisher.acks import Acks
from publisher.backoff import FIRST_S, LONGEST_S, delays
from publisher.bus import Delivery, HeaderValue, Message
from publisher.confirms import Confirms, fail, failed
from publisher.delivery import HeldDelivery, Settlement
from publisher.mailbox import LoopThread, Mailbox
from schemas.errors import BadSetting, BusError, NotPublished, Unroutable
from schemas.topology import Topology

logger = logging.getLogger(__name__)

#: A dead peer is noticed after two missed heartbeats, 20 s; jobs run in other processes and cannot delay ours.
HEARTBEAT_S = 10
#: For one address: TCP, TLS and AMQP together. A host that drops packets must not hold up the next URL for long.
CONNECT_S = 5
#: How long a delivery is kept back whose copy the broker refused: a full queue needs time, a hot loop does not help.
REFUSED_S = 3.0
#: What a live view that cannot keep up may fall behind, in messages; the oldest are dropped.
LIVE_MESSAGES = 10_000
#: How long the broker may take to answer a question.
ANSWER_S = 10.0


class RabbitBus:
    """See `publisher.bus.Bus`. *urls* are tried in turn; *loop* must be running, without it the bus has its own thread.

    `depth` and `close` wait for the loop. Called on it, `depth` raises RuntimeError and `close` does not wait: from a
    coroutine use `asyncio.to_thread`. Raises: BadSetting for a URL that is none.
    """

    def __init__(self, urls: Sequence[str], topology: Topology, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.topology = topology
        #: What the broker refused to declare when it was last asked, and its words; empty when all is as it should be.
        self.refusals: dict[str, str] = {}
        self._parameters = [_parameters(url) for url in urls]
        self._exchanges = {"", *(exchange.name for exchange in topology.exchanges)}
        self._session: _Session | None = None
        self._absence = "the broker was not reached yet"
        self._consumers: dict[_Consumer, None] = {}
        self._life: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = LoopThread("bus") if loop is None else None
        self._loop = self._thread.loop if self._thread else loop or asyncio.get_running_loop()
        self._mailbox = Mailbox(self._loop, self._flush)
        self._mailbox.post(self._start)

    @property
    def connected(self) -> bool:
        return self._why_absent() is None

    def publish(self, message: Message) -> "Future[None]":
        if message.exchange not in self._exchanges:  # the broker would close the channel, failing all in flight with it
            return failed(Unroutable(f"there is no exchange {message.exchange!r}"))
        if why := self._why_absent():
            return failed(NotPublished(why))
        future: Future[None] = Future()
        if not self._mailbox.post(self._publish_now, message, future):
            return failed(NotPublished("the event loop of the bus is closed"))
        return future

    def consume(self, queue: str, handle: Callable[[Delivery], None], *, prefetch: int) -> "_Consumer":
        return self._begin(_Working(self._mailbox, self._publish_now, self.topology, queue, handle, prefetch))

    def subscribe(self, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> "_Consumer":
        return self._begin(_Watching(self._mailbox, exchange, routing_key, handle))

    def depth(self, queue: str) -> int:
        if self._mailbox.on_loop:
            raise RuntimeError("depth would wait for the loop it is called on: use asyncio.to_thread")
        session = self._session
        if session is None:
            raise BusError(self._absence)
        try:
            return asyncio.run_coroutine_threadsafe(session.depth(queue), self._loop).result(ANSWER_S)
        except (AMQPError, TimeoutError) as error:
            raise BusError(f"the broker does not tell the depth of {queue}: {_words(error)}") from error

    def close(self, timeout_s: float = 5.0) -> None:
        if self._closed:
            return
        self._closed = True
        done = asyncio.run_coroutine_threadsafe(self._shut(timeout_s), self._loop)
        if self._mailbox.on_loop:
            return
        with contextlib.suppress(TimeoutError):
            done.result(timeout_s + CONNECT_S)
        if self._thread:
            self._thread.stop(CONNECT_S)

    def _why_absent(self) -> str | None:
        session = self._session
        if session is None or session.outlet is None:
            return self._absence
        return session.blocked

    # From here on everything runs on the loop.

    def _start(self) -> None:
        self._life = self._loop.create_task(self._live(), name="bus")

    def _publish_now(self, message: Message, future: "Future[None]") -> None:
        session = self._session
        if session is None or session.outlet is None:
            fail(future, NotPublished(self._absence))
        else:
            session.outlet.publish(message, future)

    def _begin(self, consumer: "_Consumer") -> "_Consumer":
        self._mailbox.post(self._begin_now, consumer)
        return consumer

    def _begin_now(self, consumer: "_Consumer") -> None:
        self._consumers = {each: None for each in self._consumers if not each.cancelled}
        self._consumers[consumer] = None
        if self._session:
            self._session.keep(consumer.use, until=consumer.is_over)

    def _flush(self) -> None:
        for consumer in self._consumers:
            consumer.flush()

    async def _live(self) -> None:
        """Connect to one URL after the other, wait longer after each round in which none answered, never give up."""
        waits, failures = delays(), 0
        for parameters in itertools.cycle(self._parameters):
            try:
                connection, lost = await _open(parameters, self._loop)
            except (AMQPError, OSError, TimeoutError) as error:
                self._tell_absent(f"the broker at {_place(parameters)} cannot be reached: {_words(error)}")
                failures += 1
                if failures % len(self._parameters) == 0:
                    await asyncio.sleep(next(waits))
                continue
            self._tell_absent(f"the connection to {_place(parameters)} was lost: {await self._use(connection, lost)}")
            waits, failures = delays(), 0
            await asyncio.sleep(random.uniform(0, FIRST_S))

    async def _use(self, connection: Any, lost: "asyncio.Future[Exception]") -> str:
        """Live on this connection until it is lost; says why it was."""
        session = _Session(connection, lost, self.topology, self.refusals)
        try:
            await session.declare()
            logger.info("connected to %s", _place(connection.params))
            self._absence, self._session = "the connection to the broker was lost", session
            session.keep(session.publish)
            for consumer in self._consumers:
                session.keep(consumer.use, until=consumer.is_over)
            return _words(await asyncio.shield(lost))
        except AMQPError as error:
            return _words(error)
        finally:
            self._session = None
            await session.end()

    def _tell_absent(self, why: str) -> None:
        """At each change only: an absent broker is one line in the log, however long it stays away."""
        (logger.debug if why == self._absence else logger.warning)("%s", why)
        self._absence = why

    async def _shut(self, timeout_s: float) -> None:
        for consumer in self._consumers:
            consumer.cancel()
        deadline = self._loop.time() + timeout_s
        while self._busy() and self._loop.time() < deadline:
            await asyncio.sleep(0.005)
        if self._life:
            self._life.cancel()
            await asyncio.wait((self._life,))

    def _busy(self) -> bool:
        in_flight = self._session and self._session.outlet and len(self._session.outlet.confirms)
        return bool(len(self._mailbox) or in_flight)


class _Session:
    """One connection, from its opening to its loss."""

    def __init__(
        self, connection: Any, lost: "asyncio.Future[Exception]", topology: Topology, refusals: dict[str, str]
    ) -> None:
        self.outlet: _Outlet | None = None
        #: Why the broker takes no messages now (an alarm of memory or disk), as it said.
        self.blocked: str | None = None
        self._connection = connection
        self._lost = lost
        self._topology = topology
        self._refusals = refusals
        self._declaring = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)

    def keep(self, use: "Callable[[_Channel], Awaitable[None]]", *, until: Callable[[], bool] = lambda: False) -> None:
        """Have *use* use a channel, and a new one each time it returns or its channel was closed, *until* that says so."""
        task = asyncio.create_task(self._keep(use, until))
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def declare(self) -> None:
        """Declare the whole topology. What the broker refuses is logged once, and the rest is declared all the same."""
        async with self._declaring:
            refused: dict[str, str] = {}
            channel: _Channel | None = None
            for what, method, arguments in _declarations(self._topology):
                channel = channel or await self._channel()
                try:
                    await channel.call(method, **arguments)
                except AMQPChannelError as error:
                    refused[what], channel = _words(error), None
            if channel:
                channel.close()
            self._tell_refused(refused)

    async def publish(self, channel: "_Channel") -> None:
        """Be the outlet for published messages until the channel closes."""
        outlet = _Outlet(channel)
        await outlet.open()
        self.outlet = outlet
        try:
            await channel.until_closed()
        finally:
            self.outlet = None
            outlet.confirms.lose(_words(self._reason(channel)))

    async def depth(self, queue: str) -> int:
        channel = await self._channel()
        answer = await channel.call("queue_declare", queue=queue, passive=True)
        channel.close()
        return int(answer.method.message_count)

    async def end(self) -> None:
        """Stop all that runs on the connection, and close it if it is still there."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connection.is_open:
            self._connection.close()
        await asyncio.wait((self._lost,), timeout=1.0)

    async def _keep(self, use: "Callable[[_Channel], Awaitable[None]]", until: Callable[[], bool]) -> None:
        waits, since = delays(), asyncio.get_running_loop().time()
        while not until():
            channel = await self._channel()
            try:
                await use(channel)
            except AMQPChannelError as error:
                logger.warning("a channel was closed, another will be opened: %s", _words(error))
            finally:
                channel.close()
            if until():
                return
            now = asyncio.get_running_loop().time()
            waits, since = (delays() if now - since > LONGEST_S * 2 else waits), now
            await asyncio.sleep(next(waits))
            await self.declare()

    async def _channel(self) -> "_Channel":
        return await _Channel.open(self._connection)

    def _reason(self, channel: "_Channel") -> Exception:
        return self._lost.result() if self._lost.done() else channel.reason

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        for what, why in refused.items():
            if self._refusals.get(what) != why:
                logger.error("the broker refuses to declare %s; it is used as it is. The broker says: %s", what, why)
        self._refusals.clear()
        self._refusals.update(refused)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = f"the broker takes no messages now: {frame.method.reason}"
        logger.warning("%s", self.blocked)
        if self.outlet:
            self.outlet.confirms.lose(self.blocked)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self.blocked = None
        logger.info("the broker takes messages again")

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        """A task that failed must not leave a connection on which one part is silently missing."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error and not self._lost.done():
            logger.error("the connection is given up", exc_info=error)
            self._connection.close()


class _Channel:
    """A pika channel, its calls awaitable. They raise what closed the channel, an AMQPError."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self._over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(lambda _channel, reason: self.give_up(reason))
        raw.add_on_cancel_callback(
            lambda frame: self.give_up(AMQPChannelError(f"the broker cancelled consumer {frame.method.consumer_tag}"))
        )

    @classmethod
    async def open(cls, connection: Any) -> "_Channel":
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        channel = cls(connection.channel(on_open_callback=opened.set_result))
        await channel._first(opened)
        return channel

    async def call(self, method: str, **arguments: object) -> Any:
        """Call a method of pika's Channel and wait for the broker's answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        getattr(self.raw, method)(**arguments, callback=answer.set_result)
        return await self._first(answer)

    async def until_closed(self) -> None:
        raise await asyncio.shield(self._over)

    def give_up(self, reason: Exception) -> None:
        """End `until_closed` and every call: the channel is closed, or of no use any more."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def reason(self) -> Exception:
        return self._over.result() if self._over.done() else AMQPChannelError("the channel is not used any more")

    def close(self) -> None:
        if self.raw.is_open:
            self.raw.close()

    async def _first(self, answer: "asyncio.Future[Any]") -> Any:
        await asyncio.wait((answer, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise self._over.result()
        return answer.result()


class _Outlet:
    """The channel that publishes, in confirm mode."""

    def __init__(self, channel: _Channel) -> None:
        self.confirms = Confirms()
        self._channel = channel

    async def open(self) -> None:
        self._channel.raw.add_on_return_callback(self._on_return)
        await self._channel.call("confirm_delivery", ack_nack_callback=self._on_confirm)

    def publish(self, message: Message, future: "Future[None]") -> None:
        """`mandatory` makes the broker return what it has no queue for."""
        target = (message.exchange, message.routing_key)
        try:
            self._channel.raw.basic_publish(*target, message.body, _properties(message), mandatory=True)
        except Exception as error:  # closed a moment ago, or cannot be written as AMQP: nothing was sent, no number taken
            fail(future, NotPublished(f"message {message.message_id} cannot be sent: {_words(error)}"))
        else:
            self.confirms.expect(message, future)

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self.confirms.returned(method.exchange, method.routing_key, properties.message_id or "")

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self.confirms.settle(method.delivery_tag, multiple=method.multiple, positive=method.NAME == "Basic.Ack")


class _Consumer:
    """A wish to be handed messages, that outlives channels and connections."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.cancelled = False
        self._mailbox = mailbox
        #: Held while a message is handed over, so that none is once `cancel` has returned; a handler may cancel, too.
        self._handing = threading.RLock()
        self._channel: _Channel | None = None
        self._tag = ""

    def cancel(self) -> None:
        with self._handing:
            self.cancelled = True
        self._mailbox.post(self._stop)

    async def use(self, channel: _Channel) -> None:
        """Consume on *channel* until it is closed, or until all is settled after a cancel."""
        raise NotImplementedError

    def is_over(self) -> bool:
        return self.cancelled

    def flush(self) -> None:
        """Tell the broker what was settled since."""

    def hand(self, call: Callable[[Any], None], item: object) -> bool:
        """False when the consumer was cancelled before."""
        with self._handing:
            if self.cancelled:
                return False
            try:
                call(item)
            except Exception:  # a handler has promised not to raise; what it was given stays in its hand
                logger.exception("the handler of a message failed")
            return True

    def _stop(self) -> None:
        if self._channel and self._channel.raw.is_open and self._tag:
            self._channel.raw.basic_cancel(self._tag)
            self._tag = ""
        self.flush()


class _Working(_Consumer):
    """Takes the messages of a queue and settles them. A channel of its own carries its prefetch (quorum queues refuse a
    channel-wide one, https://www.rabbitmq.com/docs/quorum-queues#global-qos) and makes its tags one rising row."""

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

    async def use(self, channel: _Channel) -> None:
        self._channel, self._acks = channel, Acks()
        await channel.call("basic_qos", prefetch_count=self._prefetch)
        self._tag = channel.raw.basic_consume(self._queue, functools.partial(self._on_message, channel))
        await channel.until_closed()

    def flush(self) -> None:
        channel = self._channel
        if channel is None or not channel.raw.is_open:
            return
        for tag, multiple in self._acks.flush():
            channel.raw.basic_ack(tag, multiple)
        if self.cancelled and self._acks.idle:
            channel.give_up(AMQPChannelError("the consumer was cancelled and all it held is settled"))

    def _on_message(self, channel: _Channel, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        tag = method.delivery_tag
        self._acks.hold(tag)
        settle = functools.partial(self._mailbox.post, self._settle, channel, tag)
        message = _message(method, properties, body)
        delivery = HeldDelivery(message, self._queue, bool(method.redelivered), self._topology, settle)
        if not self.hand(self._handle, delivery):
            self._requeue(channel, tag)

    def _settle(self, channel: _Channel, tag: int, settlement: Settlement) -> None:
        if channel is not self._channel or not channel.raw.is_open:
            return  # the broker has taken the message back, and delivers it again
        if settlement.requeue:
            self._requeue(channel, tag)
        elif settlement.copy is None:
            self._acks.settle(tag)
        else:
            copied: Future[None] = Future()
            copied.add_done_callback(functools.partial(self._mailbox.post, self._copied, channel, tag))
            self._publish(settlement.copy, copied)

    def _copied(self, channel: _Channel, tag: int, copied: "Future[None]") -> None:
        """The original goes only when its copy is there. Where the broker refuses it, the message is delivered again."""
        error = copied.exception()
        if error is None:
            self._settle(channel, tag, Settlement())
        elif channel is self._channel and channel.raw.is_open:
            logger.error("the copy of a message of %s was refused, it is delivered again: %s", self._queue, error)
            loop = asyncio.get_running_loop()
            loop.call_later(REFUSED_S, self._settle, channel, tag, Settlement(requeue=True))

    def _requeue(self, channel: _Channel, tag: int) -> None:
        self._acks.drop(tag)
        channel.raw.basic_nack(tag, requeue=True)


class _Watching(_Consumer):
    """A live view: a queue of its own that ends with the channel, nothing acknowledged."""

    def __init__(self, mailbox: Mailbox, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> None:
        super().__init__(mailbox)
        self._exchange = exchange
        self._routing_key = routing_key
        self._handle = handle

    async def use(self, channel: _Channel) -> None:
        self._channel = channel
        limit = {"x-max-length": LIVE_MESSAGES}
        declared = await channel.call("queue_declare", queue="", exclusive=True, auto_delete=True, arguments=limit)
        queue = declared.method.queue
        await channel.call("queue_bind", queue=queue, exchange=self._exchange, routing_key=self._routing_key)
        self._tag = channel.raw.basic_consume(queue, self._on_message, auto_ack=True)
        await channel.until_closed()

    def flush(self) -> None:
        if self.cancelled and self._channel:
            self._channel.give_up(AMQPChannelError("the subscription was cancelled"))

    def _on_message(self, _raw: Any, method: Any, properties: Any, body: bytes) -> None:
        self.hand(self._handle, _message(method, properties, body))


async def _open(parameters: Any, loop: asyncio.AbstractEventLoop) -> "tuple[AsyncioConnection, asyncio.Future[Exception]]":
    """A connection, and the future that tells what closed it. Raises: AMQPError."""
    opened: asyncio.Future[Any] = loop.create_future()
    lost: asyncio.Future[Exception] = loop.create_future()
    connection = AsyncioConnection(
        parameters,
        on_open_callback=lambda _connection: opened.set_result(None),
        on_open_error_callback=lambda _connection, error: opened.set_exception(error),
        on_close_callback=lambda _connection, error: lost.set_result(error),
        custom_ioloop=loop,
    )
    try:
        await asyncio.shield(opened)
    except asyncio.CancelledError:
        opened.add_done_callback(lambda done: done.exception())
        connection.close()
        raise
    return connection, lost


def _parameters(url: str) -> Any:
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError) as error:
        raise BadSetting(
            "DATAPUSHER_BROKER_URL", f"is not a URL such as amqp://user:password@host:5672/vhost: {error}"
        ) from None
    if parameters.heartbeat is None:
        parameters.heartbeat = HEARTBEAT_S
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.stack_timeout = CONNECT_S
    parameters.client_properties = {"connection_name": f"Data Pusher on {socket.gethostname()}, process {os.getpid()}"}
    return parameters


def _place(parameters: Any) -> str:
    """Where a URL leads, without its password."""
    return f"{parameters.host}:{parameters.port}, vhost {parameters.virtual_host}"


def _words(error: BaseException) -> str:
    """pika's errors hold the broker's words somewhere below, or only have a `repr`."""
    text = getattr(error, "reply_text", "") or (str(error.args[0]) if len(error.args) == 1 else "")
    return text or repr(error)


def _declarations(topology: Topology) -> Iterator[tuple[str, str, dict[str, object]]]:
    """What to declare, in words, and the method of pika's Channel that does it with its arguments."""
    for exchange in topology.exchanges:
        arguments = {"exchange": exchange.name, "exchange_type": exchange.type, "durable": True}
        yield f"exchange {exchange.name} ({exchange.type})", "exchange_declare", arguments
    for queue in topology.queues:
        queue_arguments = {"queue": queue.name, "durable": True, "arguments": dict(queue.arguments)}
        yield f"queue {queue.name} with {dict(queue.arguments)}", "queue_declare", queue_arguments
    for binding in topology.bindings:
        what = f"binding of {binding.queue} to {binding.exchange} by {binding.routing_key!r}"
        yield what, "queue_bind", {"queue": binding.queue, "exchange": binding.exchange, "routing_key": binding.routing_key}


def _properties(message: Message) -> Any:
    return pika.BasicProperties(
        content_type=message.content_type,
        delivery_mode=2,  # persistent; a quorum queue keeps everything, a classic one only this
        message_id=message.message_id or None,
        type=message.type or None,
        headers=dict(message.headers),
    )


def _message(method: Any, properties: Any, body: bytes) -> Message:
    return Message(
        exchange=method.exchange,
        routing_key=method.routing_key,
        body=body,
        message_id=properties.message_id or "",
        type=properties.type or "",
        content_type=properties.content_type or "application/octet-stream",
        headers=_scalars(properties.headers or {}),
    )


def _scalars(headers: Mapping[str, Any]) -> dict[str, HeaderValue]:
    """AMQP knows tables, arrays, dates and more; RabbitMQ's own `x-death` is one, and nothing of ours needs them."""
    return {name: value for name, value in headers.items() if value is None or isinstance(value, str | int | bool)}
