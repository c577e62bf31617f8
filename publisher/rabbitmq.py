"""`RabbitBus`: the bus on RabbitMQ, and the only module that imports pika.

pika is used on one event loop only, the gateway's or one on a thread of our own; every public method posts its work there.
`RabbitBus._live` connects, again and again; a `_Session` is one connection; on it one channel publishes (`_Outlet`) and each
consumer (`rabbitmq_consumers`) has a channel of its own, so that a closed channel takes nothing else with it.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from publisher.backoff import FIRST_S, delays
from publisher.bus import Delivery, Message
from publisher.confirms import Confirms, fail, failed
from publisher.mailbox import LoopThread, Mailbox
from publisher.rabbitmq_channel import Channel, ChannelOver, words
from publisher.rabbitmq_consumers import Consumer, Watching, Working
from publisher.routes import Routes
from publisher.tls import divided
from schemas.errors import BadSetting, BusError, NotPublished, Unroutable
from schemas.topology import Topology

logger = logging.getLogger(__name__)

#: A silent network is noticed within 15 to 30 s: pika looks each (heartbeat + 5 s) whether anything has come. Jobs run in
#: other processes and cannot delay our own heartbeats. A URL may say otherwise (?heartbeat=60).
HEARTBEAT_S = 10
#: For one address: TCP, TLS and AMQP together. A host that drops packets must not hold up the next URL for long.
CONNECT_S = 5
#: How long the broker may take to answer a question.
ANSWER_S = 10.0
#: A channel on which the broker refuses a message is given up, unless it is younger than that.
REFUSING_S = 10.0
#: A channel that lasted for so long had no trouble to begin with: the next one is opened without a long wait.
STEADY_S = 10.0


class RabbitBus:
    """See `publisher.bus.Bus`. *urls* are tried in turn; *loop* must be running, without it the bus has its own thread.

    `depth`, `consumers` and `close` wait for the loop. Called on it, the first two raise RuntimeError and `close` does not
    wait: from a coroutine use `asyncio.to_thread`. Raises: BadSetting for a URL that is none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        topology: Topology,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        name: str = "Data Pusher",
    ) -> None:
        _hush_pika()
        self.topology = topology
        #: What the broker refused to declare when it was last asked, and its words; empty when all is as it should be.
        self.refusals: dict[str, str] = {}
        self._parameters = [_parameters(url, name) for url in urls]
        self._exchanges = {"", *(exchange.name for exchange in topology.exchanges)}
        self._session: _Session | None = None
        self._absence = "the broker was not reached yet"
        #: What the log has been told since the last connection.
        self._told = set[str]()
        self._consumers: dict[Consumer, None] = {}
        self._life: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = LoopThread("bus") if loop is None else None
        self._loop = self._thread.loop if self._thread else loop or asyncio.get_running_loop()
        self._mailbox = Mailbox(self._loop, self._flush)
        self._mailbox.post(self._start)

    @property
    def connected(self) -> bool:
        return not self.absence

    @property
    def absence(self) -> str:
        session = self._session
        if session is None or session.outlet is None:
            return self._absence
        return session.blocked or ""

    def publish(self, message: Message) -> "Future[None]":
        if message.exchange not in self._exchanges:  # the broker would close the channel, failing all in flight with it
            return failed(Unroutable(f"there is no exchange {message.exchange!r}"))
        if why := self.absence:
            return failed(NotPublished(why))
        future: Future[None] = Future()
        if not self._mailbox.post(self._publish_now, message, future):
            return failed(NotPublished("the event loop of the bus is closed"))
        return future

    def consume(self, queue: str, handle: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        return self._begin(Working(self._mailbox, self._publish_now, self.topology, queue, handle, prefetch))

    def subscribe(self, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> Consumer:
        return self._begin(Watching(self._mailbox, exchange, routing_key, handle))

    def depth(self, queue: str) -> int:
        return int(self._told_of(queue).message_count)

    def consumers(self, queue: str) -> int:
        return int(self._told_of(queue).consumer_count)

    def close(self, timeout_s: float = 5.0) -> None:
        if self._closed or self._loop.is_closed():
            return
        self._closed = True
        done = asyncio.run_coroutine_threadsafe(self._shut(timeout_s), self._loop)
        if self._mailbox.on_loop:
            return
        with contextlib.suppress(TimeoutError):
            done.result(timeout_s + CONNECT_S)
        if self._thread:
            self._thread.stop(CONNECT_S)

    def _told_of(self, queue: str) -> Any:
        """How many messages and consumers *queue* has. Raises: BusError."""
        if self._mailbox.on_loop:
            raise RuntimeError("an answer would wait for the loop it is asked on: use asyncio.to_thread")
        session = self._session
        if session is None:
            raise BusError(self._absence)
        try:
            return asyncio.run_coroutine_threadsafe(session.told_of(queue), self._loop).result(ANSWER_S)
        except (AMQPError, ChannelOver, TimeoutError) as error:
            raise BusError(f"the broker does not tell of {queue}: {words(error)}") from error

    # From here on everything runs on the loop.

    def _start(self) -> None:
        self._life = self._loop.create_task(self._live(), name="bus")

    def _publish_now(self, message: Message, future: "Future[None]") -> None:
        session = self._session
        if session is None or session.outlet is None:
            fail(future, NotPublished(self._absence))
        else:
            session.connection.cork()
            session.outlet.publish(message, future)

    def _begin(self, consumer: Consumer) -> Consumer:
        self._mailbox.post(self._begin_now, consumer)
        return consumer

    def _begin_now(self, consumer: Consumer) -> None:
        self._consumers = {each: None for each in (*self._consumers, consumer) if not each.finished}
        if self._session:
            self._session.keep(consumer.use, until=lambda: consumer.cancelled)

    def _flush(self) -> None:
        for consumer in self._consumers:
            consumer.flush()
        if self._session:
            self._session.connection.uncork()

    async def _live(self) -> None:
        """Connect to one URL after the other, wait longer after each round in which none was of use, never give up."""
        waits, failures = delays(), 0
        for parameters in itertools.cycle(self._parameters):
            began = self._loop.time()
            self._tell_absent(f"no connection to {_place(parameters)}: {await self._use(parameters)}")
            if self._loop.time() - began > STEADY_S:
                waits, failures = delays(), 0
                await asyncio.sleep(random.uniform(0, FIRST_S))
                continue
            failures += 1
            if failures % len(self._parameters) == 0:
                await asyncio.sleep(next(waits))

    async def _use(self, parameters: Any) -> str:
        """Connect, and live on the connection until it is lost; says why it was, or why there is none."""
        try:
            connection, lost = await _open(parameters, self._loop)
            async with _Session(connection, lost, self.topology, self.refusals) as session:
                await session.declare()
                logger.info("connected to %s", _place(parameters))
                self._told.clear()
                self._session = session
                session.keep(session.publish)
                for consumer in self._consumers:
                    self._begin_now(consumer)
                return words(await asyncio.shield(lost))
        except (AMQPError, AMQPConnectorException, ChannelOver, OSError) as error:
            return words(error)
        except Exception as error:  # a bug, pika's or ours: the bus lives on
            logger.exception("the connection to %s has failed", _place(parameters))
            return repr(error)
        finally:
            self._session = None

    def _tell_absent(self, why: str) -> None:
        """Once: an absent broker is one line in the log, however long it stays away, and so is each of several."""
        (logger.debug if why in self._told else logger.warning)("%s", why)
        self._told.add(why)
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
        self, connection: "_Corked", lost: "asyncio.Future[Exception]", topology: Topology, refusals: dict[str, str]
    ) -> None:
        self.outlet: _Outlet | None = None
        #: Why the broker takes no messages now (an alarm of memory or disk), as it said.
        self.blocked: str | None = None
        self.connection = connection
        self._lost = lost
        self._topology = topology
        self._refusals = refusals
        self._routes = Routes.of(topology)
        self._declaring = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)

    async def __aenter__(self) -> "_Session":
        return self

    async def __aexit__(self, *_about_error: object) -> None:
        """Stop all that runs on the connection, and close it if it is still there."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.connection.is_open:
            self.connection.close()
        await asyncio.wait((self._lost,), timeout=1.0)

    def keep(self, use: "Callable[[Channel], Awaitable[None]]", *, until: Callable[[], bool] = lambda: False) -> None:
        """Have *use* use a channel, and a new one each time it returns or its channel was closed, *until* that says so."""
        self._start(self._keep(use, until))

    async def declare(self) -> None:
        """Declare the whole topology. What the broker refuses is logged once, and the rest is declared all the same."""
        async with self._declaring:
            refused: dict[str, str] = {}
            channel: Channel | None = None
            for what, method, arguments in _declarations(self._topology):
                channel = channel or await Channel.open(self.connection)
                try:
                    await channel.call(method, **arguments)
                except ChannelOver as over:
                    refused[what], channel = str(over), None
                    if self._lost.done():
                        raise
            if channel:
                channel.close()
            self._tell_refused(refused)

    async def publish(self, channel: "Channel") -> None:
        """Be the outlet for published messages until the channel closes."""
        outlet = _Outlet(channel, self._on_returned)
        await outlet.open()
        self.outlet = outlet
        try:
            await channel.until_over()
        finally:
            self.outlet = None
            outlet.confirms.lose(words(self._lost.result()) if self._lost.done() else channel.reason)

    async def told_of(self, queue: str) -> Any:
        """The broker's `Queue.DeclareOk`. Raises: ChannelOver when there is no such queue."""
        channel = await Channel.open(self.connection)
        answer = await channel.call("queue_declare", queue=queue, passive=True)
        channel.close()
        return answer.method

    def _start(self, work: "Coroutine[Any, Any, None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def _keep(self, use: "Callable[[Channel], Awaitable[None]]", until: Callable[[], bool]) -> None:
        loop, waits, told = asyncio.get_running_loop(), delays(), ""
        while not until():
            began, channel = loop.time(), await Channel.open(self.connection)
            try:
                await use(channel)
            except ChannelOver as over:
                told = self._tell_over(str(over), told, silent=until())
            finally:
                channel.close()
            waits = delays() if loop.time() - began > STEADY_S else waits
            await asyncio.sleep(next(waits))
            await self.declare()

    def _tell_over(self, why: str, told: str, *, silent: bool) -> str:
        """A warning for each new reason; the loss of the whole connection is told elsewhere."""
        if not silent and not self._lost.done():
            (logger.debug if why == told else logger.warning)("a channel was closed, another will be opened: %s", why)
        return why

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        for what, why in refused.items():
            if self._refusals.get(what) != why:
                logger.error("the broker refuses to declare %s, which is used as it is; it says: %s", what, why)
        self._refusals.clear()
        self._refusals.update(refused)

    def _on_returned(self, exchange: str, routing_key: str) -> None:
        """The broker has no queue for it. If by our topology it should have one, somebody has deleted that, or its binding."""
        if self._routes.to(exchange, routing_key) and not self._declaring.locked():
            logger.warning("what %r binds to %r is gone and is declared again", exchange, routing_key)
            self._start(self.declare())

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
            self.connection.close()


class _Outlet:
    """The channel that publishes, in confirm mode."""

    def __init__(self, channel: Channel, on_returned: Callable[[str, str], None]) -> None:
        self.confirms = Confirms()
        self._channel = channel
        self._on_returned = on_returned
        self._opened_at = asyncio.get_running_loop().time()

    async def open(self) -> None:
        self._channel.raw.add_on_return_callback(self._on_return)
        await self._channel.call("confirm_delivery", ack_nack_callback=self._on_confirm)

    def publish(self, message: Message, future: "Future[None]") -> None:
        """`mandatory` makes the broker return what it has no queue for."""
        target = (message.exchange, message.routing_key)
        try:
            self._channel.raw.basic_publish(*target, message.body, _properties(message), mandatory=True)
        except Exception as error:  # closed a moment ago, or cannot be written as AMQP: nothing was sent, no number taken
            fail(future, NotPublished(f"message {message.message_id} cannot be sent: {words(error)}"))
        else:
            self.confirms.expect(message, future)

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        self.confirms.returned(method.exchange, method.routing_key, properties.message_id or "")
        self._on_returned(method.exchange, method.routing_key)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        positive = method.NAME == "Basic.Ack"
        self.confirms.settle(method.delivery_tag, multiple=method.multiple, positive=positive)
        # RabbitMQ 3.10 goes on refusing on this channel when the limit of a quorum queue was lifted, drained or not.
        if not positive and asyncio.get_running_loop().time() - self._opened_at > REFUSING_S:
            self._channel.give_up("the broker refuses messages on it, which a new one may be free of")


class _Corked(AsyncioConnection):  # type: ignore[misc]  # pika has no types
    """Sends all messages of one round of the loop together: pika alone makes three system calls for each message.

    It overrides a private method of pika 1.3 and 1.4. Should that be gone one day, sending is slower and nothing else.
    """

    _held: list[bytes] | None = None

    def cork(self) -> None:
        """Hold back what is sent until `uncork`."""
        if self._held is None:
            self._held = []

    def uncork(self) -> None:
        held, self._held = self._held, None
        if held:
            self._output_marshaled_frames(held)

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if self._held is None:
            super()._output_marshaled_frames([b"".join(marshaled_frames)])
        else:
            self._held.extend(marshaled_frames)


async def _open(parameters: Any, loop: asyncio.AbstractEventLoop) -> "tuple[_Corked, asyncio.Future[Exception]]":
    """A connection, and the future that tells what closed it. Raises: AMQPError, AMQPConnectorException (of TLS)."""
    opened: asyncio.Future[Any] = loop.create_future()
    lost: asyncio.Future[Exception] = loop.create_future()
    connection = _Corked(
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
        with contextlib.suppress(AMQPError):  # it may just have failed by itself
            connection.close()
        raise
    return connection, lost


def _hush_pika() -> None:
    """pika tells a failed attempt to connect in eight lines of ERROR, each time. Who wants them sets the level himself."""
    pikas = logging.getLogger("pika")
    if pikas.level == logging.NOTSET:
        pikas.setLevel(logging.CRITICAL)


def _parameters(url: str, name: str) -> Any:
    plain, tls = divided(url, "DATAPUSHER_BROKER_URL")
    try:
        parameters = pika.URLParameters(plain)
    except (ValueError, TypeError):  # its words may be part of the password
        raise BadSetting(
            "DATAPUSHER_BROKER_URL",
            "is not a URL such as amqp://user:password@host:5672/vhost; in user, password and vhost @ / : ? # % are written "
            "%40 %2F %3A %3F %23 %25",
        ) from None
    if tls:
        parameters.ssl_options = pika.SSLOptions(tls.context(), tls.server_name_indication or parameters.host)
    if parameters.heartbeat is None:
        parameters.heartbeat = HEARTBEAT_S
    parameters.connection_attempts = 1
    parameters.socket_timeout = parameters.stack_timeout = CONNECT_S
    parameters.client_properties = {"connection_name": f"{name} on {socket.gethostname()}, process {os.getpid()}"}
    return parameters


def _place(parameters: Any) -> str:
    """Where a URL leads, without its password."""
    return f"{parameters.host}:{parameters.port}, vhost {parameters.virtual_host}"


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
