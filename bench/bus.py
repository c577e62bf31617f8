"""How much of what the broker and the disk can do our buses reach: each beside the barest code that does the same.

    python -m bench.bus --url amqp://guest:guest@127.0.0.1/%2F [--messages 20000] [--rounds 3]

Prints messages a second, and ours as a share of the bare way's. Compare within one run only: the two take turns.
"""

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from publisher.bus import Bus, Delivery, Message
from publisher.connect import await_connected
from publisher.embedded import EmbeddedBus
from publisher.rabbitmq import RabbitBus
from schemas.topology import Topology, topology

#: As events are: about a kilobyte.
BODY = b"x" * 1000
IN_FLIGHT = 64
PREFETCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1/%2F", help="a broker for the RabbitMQ half")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for name, ours, bare in (*rabbitmq_pairs(given.url, given.messages), *embedded_pairs(given.messages)):
        rates = [(ours(), bare()) for _ in range(given.rounds)]
        mine, theirs = (statistics.median(rate) for rate in zip(*rates, strict=True))
        print(f"{name:34} ours {mine:8,.0f}/s   bare {theirs:8,.0f}/s   {mine / theirs:.2f}", flush=True)


Pair = tuple[str, Callable[[], float], Callable[[], float]]


def rabbitmq_pairs(url: str, count: int) -> list[Pair]:
    names = topology(f"bench{uuid.uuid4().hex[:8]}", [], [1])

    def bare_publish() -> float:
        return bare_rabbit(url, names, count, publish)

    return [
        ("RabbitMQ, publish on the loop", lambda: rabbit_on_loop(url, names, count), bare_publish),
        ("RabbitMQ, publish from a thread", lambda: rabbit_from_thread(url, names, count), bare_publish),
        (
            "RabbitMQ, consume and acknowledge",
            lambda: rabbit_consume(url, names, count),
            lambda: bare_rabbit(url, names, count, consume),
        ),
    ]


def event(names: Topology) -> Message:
    return Message(exchange=names.names.events, routing_key="job.log.x", body=BODY, message_id=uuid.uuid4().hex)


def rabbit_on_loop(url: str, names: Topology, count: int) -> float:
    async def run() -> float:
        bus = RabbitBus([url], names, loop=asyncio.get_running_loop())
        while not bus.connected:
            await asyncio.sleep(0.01)
        room = asyncio.Semaphore(IN_FLIGHT)
        began = time.perf_counter()
        for _ in range(count):
            await room.acquire()
            bus.publish(event(names)).add_done_callback(lambda _: room.release())
        for _ in range(IN_FLIGHT):
            await room.acquire()
        rate = count / (time.perf_counter() - began)
        await asyncio.to_thread(bus.close)
        return rate

    rate = asyncio.run(run())
    empty(url, names)
    return rate


def rabbit_from_thread(url: str, names: Topology, count: int) -> float:
    bus = RabbitBus([url], names)
    await_connected(bus, 10)
    rate = publish_from_thread(bus, names, count)
    bus.close()
    empty(url, names)
    return rate


def publish_from_thread(bus: Bus, names: Topology, count: int) -> float:
    room = threading.Semaphore(IN_FLIGHT)
    began = time.perf_counter()
    for _ in range(count):
        room.acquire()
        bus.publish(event(names)).add_done_callback(lambda _: room.release())
    for _ in range(IN_FLIGHT):
        room.acquire()
    return count / (time.perf_counter() - began)


def rabbit_consume(url: str, names: Topology, count: int) -> float:
    bus = RabbitBus([url], names)
    await_connected(bus, 10)
    publish_from_thread(bus, names, count)
    rate = consume_all(bus, names, count)
    bus.close()
    empty(url, names)
    return rate


def consume_all(bus: Bus, names: Topology, count: int) -> float:
    taken, done = 0, threading.Event()

    def take(delivery: Delivery) -> None:
        nonlocal taken
        taken += 1
        delivery.ack()
        if taken == count:
            done.set()

    began = time.perf_counter()
    bus.consume(names.names.recorder, take, prefetch=PREFETCH)
    done.wait()
    return count / (time.perf_counter() - began)


def bare_rabbit(url: str, names: Topology, count: int, work: "Callable[[Any, Topology, int], Any]") -> float:
    """*work* on a channel of pika's own, the queues being there from our bus."""

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
        rate = await work(await ready, names, count)
        connection.close()
        await closed
        return float(rate)

    bus = RabbitBus([url], names)
    await_connected(bus, 10)
    if work is consume:
        publish_from_thread(bus, names, count)
    bus.close()
    rate = asyncio.run(run())
    empty(url, names)
    return rate


async def publish(channel: Any, names: Topology, count: int) -> float:
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
        channel.basic_publish(names.names.events, "job.log.x", BODY, properties, mandatory=True)
    await all_there.wait()
    return count / (time.perf_counter() - began)


async def consume(channel: Any, names: Topology, count: int) -> float:
    taken, done = 0, asyncio.Event()

    def take(_channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        nonlocal taken
        taken += 1
        if taken % 100 == 0 or taken == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if taken == count:
            done.set()

    channel.basic_qos(prefetch_count=PREFETCH)
    began = time.perf_counter()
    channel.basic_consume(names.names.recorder, take)
    await done.wait()
    return count / (time.perf_counter() - began)


def empty(url: str, names: Topology) -> None:
    """Delete what the topology declared."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for queue in names.queues:
        channel.queue_delete(queue.name)
    for exchange in names.exchanges:
        channel.exchange_delete(exchange.name)
    connection.close()


def embedded_pairs(count: int) -> list[Pair]:
    names = topology("bench", [], [1])
    return [
        ("embedded, publish", lambda: embedded_publish(names, count), lambda: bare_inserts(count)),
        ("embedded, claim and acknowledge", lambda: embedded_consume(names, count), lambda: bare_deletes(count)),
    ]


def embedded_publish(names: Topology, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder) / "bus.db", names)
        rate = publish_from_thread(bus, names, count)
        bus.close()
        return rate


def embedded_consume(names: Topology, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        bus = EmbeddedBus(Path(folder) / "bus.db", names)
        publish_from_thread(bus, names, count)
        rate = consume_all(bus, names, count)
        bus.close()
        return rate


@contextlib.contextmanager
def bare_table(folder: str) -> "Any":
    connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, queue TEXT, owner TEXT, body BLOB)")
    yield connection
    connection.close()


def in_batches(connection: sqlite3.Connection, count: int, statement: str, row: "Callable[[int], tuple[object, ...]]") -> float:
    began = time.perf_counter()
    for start in range(0, count, IN_FLIGHT):
        connection.execute("BEGIN IMMEDIATE")
        for number in range(start, min(start + IN_FLIGHT, count)):
            connection.execute(statement, row(number))
        connection.execute("COMMIT")
    return count / (time.perf_counter() - began)


def bare_inserts(count: int) -> float:
    """One transaction for as many as are in flight."""
    with tempfile.TemporaryDirectory() as folder, bare_table(folder) as connection:
        return in_batches(connection, count, "INSERT INTO messages (queue, body) VALUES (?, ?)", lambda _number: ("q", BODY))


def bare_deletes(count: int) -> float:
    """An UPDATE that claims and a DELETE that acknowledges, each for itself."""
    with tempfile.TemporaryDirectory() as folder, bare_table(folder) as connection:
        in_batches(connection, count, "INSERT INTO messages (queue, body) VALUES (?, ?)", lambda _number: ("q", BODY))
        connection.execute("PRAGMA synchronous = NORMAL")
        claims = in_batches(connection, count, "UPDATE messages SET owner = 'me' WHERE id = ?", lambda number: (number + 1,))
        acks = in_batches(connection, count, "DELETE FROM messages WHERE id = ?", lambda number: (number + 1,))
        return 1 / (1 / claims + 1 / acks)


if __name__ == "__main__":
    main()
