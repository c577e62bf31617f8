"""Buses over one place, RabbitMQ's vhost or a SQLite file, and waiting for what they do."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from publisher.bus import Bus, Delivery, HeaderValue, Message
from publisher.connect import connect
from schemas.topology import Topology, topology
from tests.services import remove

ROOT = Path(__file__).parent.parent.parent
JOB_TYPE = "push_to_datastore"
#: Waits between attempts, seconds: short ones, so that tests are.
DELAYS_S = (0.2, 1.0, 5.0)
PATIENCE_S = 15.0


def topology_of(prefix: str) -> Topology:
    return topology(prefix, [JOB_TYPE], DELAYS_S)


def eventually(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Returns as soon as it holds; an AssertionError when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


class Hand:
    """A consumer's handler that keeps the deliveries it was given, in order, until a test takes them."""

    def __init__(self) -> None:
        self._given = threading.Condition()
        self._deliveries: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> None:
        with self._given:
            self._deliveries.append(delivery)
            self._given.notify_all()

    def __len__(self) -> int:
        return len(self._deliveries)

    def take(self, patience_s: float = PATIENCE_S) -> Delivery:
        with self._given:
            assert self._given.wait_for(lambda: self._deliveries, patience_s), "no delivery came"
            return self._deliveries.pop(0)


class Lab:
    """One bus for the test (`bus`), and as many others over the same queues as it asks for."""

    def __init__(self, broker_url: str, store_url: str, prefix: str) -> None:
        self.broker_url = broker_url
        self.store_url = store_url
        self.topology = topology_of(prefix)
        self.names = self.topology.names
        self.work = self.names.work(JOB_TYPE)
        self._buses: list[Bus] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Lab":
        self.bus = self.another_bus()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        for bus in self._buses:
            bus.close()
        if self.broker_url != "embedded:":
            remove(self.broker_url, self.topology)

    def another_bus(self, broker_url: str = "") -> Bus:
        bus = connect(broker_url or self.broker_url, self.topology, self.store_url)
        self._buses.append(bus)
        if not broker_url:
            eventually(lambda: bus.connected)
        return bus

    def job(self, message_id: str = "", **headers: HeaderValue) -> Message:
        return self.message(self.names.jobs, JOB_TYPE, message_id, headers)

    def event(self, routing_key: str, message_id: str = "") -> Message:
        return self.message(self.names.events, routing_key, message_id, {})

    def message(self, exchange: str, routing_key: str, message_id: str, headers: Mapping[str, HeaderValue]) -> Message:
        identity = message_id or uuid.uuid4().hex
        return Message(exchange=exchange, routing_key=routing_key, body=b"{}", message_id=identity, headers=headers)

    def publish(self, *messages: Message) -> None:
        for future in [self.bus.publish(message) for message in messages]:
            future.result(PATIENCE_S)

    def consume(self, queue: str = "", *, prefetch: int = 10, bus: Bus | None = None) -> Hand:
        hand = Hand()
        (bus or self.bus).consume(queue or self.work, hand, prefetch=prefetch)
        return hand

    def consumer_process(self) -> "subprocess.Popen[str]":
        """Another process that takes deliveries of the work queue and holds them; it prints a message id a line."""
        arguments = [
            sys.executable,
            "-m",
            "tests.publisher.holding_consumer",
            self.broker_url,
            self.store_url,
            self.names.prefix,
        ]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process
