"""The buses by themselves: publishing with confirms and consuming with acknowledgements, each beside the barest code for it."""

import asyncio
import contextlib
import sqlite3
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pika
from grounds import Ground
from pika.adapters.asyncio_connection import AsyncioConnection

from publisher.bus import Bus, Delivery, Message
from publisher.rabbitmq import RabbitBus
from schemas.topology import Names
from schemas.turns import CHECKPOINT_PAGES

#: As events are: about a kilobyte.
BODY = b"x" * 1000
IN_FLIGHT = 64
PREFETCH = 500
Pair = tuple[Callable[[], float], Callable[[], float]]


def measure(ground: Ground, *, rounds: int, messages: int) -> dict[str, float]:
    """Ours as a share of the bare way's."""
    told = {}
    for name, (ours, bare) in _pairs(ground, messages).items():
        rates = [(ours(), bare()) for _ in range(rounds)]
        mine, theirs = (median(rate) for rate in zip(*rates, strict=True))
        print(f"  {name:18} ours {mine:8,.0f}/s   bare {theirs:8,.0f}/s", flush=True)
        told[f"{name}_vs_bare"] = round(median(ours / bare for ours, bare in rates), 3)
    return told


def _pairs(ground: Ground, count: int) -> dict[str, Pair]:
    names = ground.topology.names
    if ground.broker_url.startswith("embedded"):
        return {
            "publish": (lambda: _publish(ground, count), lambda: _bare_inserts(count)),
            "consume": (lambda: _consume(ground, count), lambda: _bare_deletes(count)),
        }

    def bare_publish() -> float:
        return _emptied(ground, lambda: on_bare_channel(ground.broker_url, partial(_publish_bare, names=names, count=count)))

    return {
        "publish_on_loop": (lambda: asyncio.run(_publish_on_loop(ground, count)), bare_publish),
        "publish": (lambda: _publish(ground, count), bare_publish),
        "consume": (lambda: _consume(ground, count), lambda: _bare_consume(ground, count)),
    }


def _events(names: Names, count: int) -> list[Message]:
    return [
        Message(exchange=names.events, routing_key="job.log.x", body=BODY, message_id=uuid.uuid4().hex) for _ in range(count)
    ]


def publish_from_thread(bus: Bus, messages: Sequence[Message]) -> float:
    """Publishes them with IN_FLIGHT unconfirmed; gives messages a second. Raises: BusError."""
    room, futures = threading.Semaphore(IN_FLIGHT), []
    began = time.perf_counter()
    for message in messages:
        room.acquire()
        futures.append(bus.publish(message))
        futures[-1].add_done_callback(lambda _: room.release())
    for future in futures:
        future.result()
    return len(messages) / (time.perf_counter() - began)


def _publish(ground: Ground, count: int) -> float:
    with ground.bus() as bus:
        rate = publish_from_thread(bus, _events(ground.topology.names, count))
        _drain(bus, ground.topology.names, count)
    return rate


def _consume(ground: Ground, count: int) -> float:
    with ground.bus() as bus:
        publish_from_thread(bus, _events(ground.topology.names, count))
        return _drain(bus, ground.topology.names, count)


def _drain(bus: Bus, names: Names, count: int) -> float:
    """Takes and acknowledges *count* messages; gives messages a second."""
    taken, done = 0, threading.Event()

    def take(delivery: Delivery) -> None:
        nonlocal taken
        taken += 1
        delivery.ack()
        if taken == count:
            done.set()

    began = time.perf_counter()
    consumer = bus.consume(names.recorder, take, prefetch=PREFETCH)
    done.wait()
    rate = count / (time.perf_counter() - began)
    consumer.cancel()
    return rate


# ------------------------------------------------------------------------------------------------------------- RabbitMQ


async def _publish_on_loop(ground: Ground, count: int) -> float:
    """As the gateway does it."""
    bus = RabbitBus([ground.broker_url], ground.topology, loop=asyncio.get_running_loop())
    while not bus.connected:
        await asyncio.sleep(0.01)
    room, messages = asyncio.Semaphore(IN_FLIGHT), _events(ground.topology.names, count)
    began = time.perf_counter()
    for message in messages:
        await room.acquire()
        bus.publish(message).add_done_callback(lambda _: room.release())
    for _ in range(IN_FLIGHT):
        await room.acquire()
    rate = count / (time.perf_counter() - began)
    await asyncio.to_thread(_drain, bus, ground.topology.names, count)
    await asyncio.to_thread(bus.close)
    return rate


def _emptied(ground: Ground, work: Callable[[], float]) -> float:
    """*work* with the topology there, and nothing left of it afterwards."""
    with ground.bus() as bus:
        rate = work()
        _drain(bus, ground.topology.names, bus.depth(ground.topology.names.recorder))
    return rate


def _bare_consume(ground: Ground, count: int) -> float:
    names = ground.topology.names
    with ground.bus() as bus:
        publish_from_thread(bus, _events(names, count))
    return on_bare_channel(ground.broker_url, lambda channel: consume_bare(channel, names.recorder, count, len))


def on_bare_channel(url: str, work: Callable[[Any], Awaitable[float]]) -> float:
    """*work* on a channel of pika's own."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        opened, closed = loop.create_future(), loop.create_future()
        connection = AsyncioConnection(
            pika.URLParameters(url),
            on_open_callback=opened.set_result,
            on_close_callback=lambda *_about: closed.set_result(None),
        )
        await opened
        ready: asyncio.Future[Any] = loop.create_future()
        connection.channel(on_open_callback=ready.set_result)
        rate = await work(await ready)
        connection.close()
        await closed
        return rate

    return asyncio.run(run())


async def _publish_bare(channel: Any, names: Names, count: int) -> float:
    confirmed, waiting, all_there = 0, asyncio.Event(), asyncio.Event()

    def on_confirm(frame: Any) -> None:
        nonlocal confirmed
        confirmed = frame.method.delivery_tag if frame.method.multiple else confirmed + 1
        waiting.set()
        if confirmed >= count:
            all_there.set()

    channel.confirm_delivery(on_confirm)
    properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
    began = time.perf_counter()
    for sent in range(count):
        while sent - confirmed >= IN_FLIGHT:
            waiting.clear()
            await waiting.wait()
        channel.basic_publish(names.events, "job.log.x", BODY, properties, mandatory=True)
    await all_there.wait()
    return count / (time.perf_counter() - began)


async def consume_bare(channel: Any, queue: str, count: int, look: Callable[[bytes], object]) -> float:
    """Has *look* look at each body, and acknowledges every hundred of them together; messages a second."""
    taken, done = 0, asyncio.Event()

    def take(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        nonlocal taken
        taken += 1
        look(body)
        if taken % 100 == 0 or taken == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if taken == count:
            done.set()

    channel.basic_qos(prefetch_count=PREFETCH)
    began = time.perf_counter()
    channel.basic_consume(queue, take)
    await done.wait()
    return count / (time.perf_counter() - began)


# --------------------------------------------------------------------------------------------------------------- SQLite


@contextlib.contextmanager
def _bare_table(folder: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, queue TEXT, owner TEXT, body BLOB)")
    yield connection
    connection.close()


def _in_batches(connection: sqlite3.Connection, count: int, statement: str, row: Callable[[int], tuple[object, ...]]) -> float:
    """One transaction for as many as are in flight."""
    began = time.perf_counter()
    for start in range(0, count, IN_FLIGHT):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(start, min(start + IN_FLIGHT, count)):
            connection.execute(statement, row(number))
        connection.execute("COMMIT")
    return count / (time.perf_counter() - began)


def _fill(connection: sqlite3.Connection, count: int) -> float:
    return _in_batches(connection, count, "INSERT INTO messages (queue, body) VALUES (?, ?)", lambda _number: ("q", BODY))


def _bare_inserts(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder, _bare_table(folder) as connection:
        return _fill(connection, count)


def _bare_deletes(count: int) -> float:
    """An UPDATE that claims and a DELETE that acknowledges, each for itself."""
    with tempfile.TemporaryDirectory() as folder, _bare_table(folder) as connection:
        _fill(connection, count)
        connection.execute("PRAGMA synchronous = NORMAL")
        claims = _in_batches(connection, count, "UPDATE messages SET owner = 'me' WHERE id = ?", lambda number: (number + 1,))
        acks = _in_batches(connection, count, "DELETE FROM messages WHERE id = ?", lambda number: (number + 1,))
        return 1 / (1 / claims + 1 / acks)
