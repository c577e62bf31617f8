"""What running jobs tell, at an even rate, from a process of its own that costs next to nothing: all is encoded before."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pika
from bus_publishing import on_bare_channel
from grounds import Ground

from consumer.outgoing import event_message
from publisher.bus import Message
from schemas.messages import A_START, Event, Json, Kind
from schemas.topology import Names

#: Sent together, every EVENTS_AT_A_TIME / events a second.
EVENTS_AT_A_TIME = 50
LINE: Mapping[str, Json] = {
    "level": "INFO",
    "message": "Wrote rows 5000 to 10000 of 100000",
    "module": "load",
    "funcName": "write",
    "lineno": 88,
}
READY_S = 60


@dataclass(frozen=True)
class Plan:
    """Lines of log, and progress each fifth time, of the jobs in turn."""

    ground: Ground
    job_ids: Sequence[str]
    per_s: int
    #: At most; it is ended before.
    seconds: float


class Telling:
    """The process, once it has begun to tell."""

    def __init__(self, count: Any, process: Any) -> None:
        self._count = count
        self._process = process

    @property
    def count(self) -> int:
        """Events sent until now."""
        return int(self._count.value)

    @property
    def process_id(self) -> int:
        return int(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()


@contextlib.contextmanager
def telling(plan: Plan) -> Iterator[Telling]:
    spawn = multiprocessing.get_context("spawn")
    count, ready = spawn.Value("L", 0), spawn.Event()
    process = spawn.Process(target=_tell, args=(plan, count, ready), daemon=True)
    process.start()
    told = Telling(count, process)
    try:
        if not ready.wait(READY_S):
            raise RuntimeError("the process that tells does not start")
        yield told
    finally:
        told.stop()


def _tell(plan: Plan, count: Any, ready: Any) -> None:
    if plan.ground.broker_url.startswith("embedded"):
        with plan.ground.bus() as bus:
            bursts = list(_bursts(plan))
            ready.set()
            _evenly(plan, bursts, count, lambda burst: [bus.publish(message) for message in burst])
    else:
        on_bare_channel(plan.ground.broker_url, lambda channel: _tell_on(channel, plan, count, ready))


async def _tell_on(channel: Any, plan: Plan, count: Any, ready: Any) -> float:
    bursts = [b"".join(_frames(channel.channel_number, message) for message in burst) for burst in _bursts(plan)]
    ready.set()
    began = time.perf_counter()
    for number, burst in enumerate(bursts):
        await asyncio.sleep(max(0.0, began + number * EVENTS_AT_A_TIME / plan.per_s - time.perf_counter()))
        channel.connection._output_marshaled_frames([burst])
        count.value += EVENTS_AT_A_TIME
    return 0.0


def _evenly(plan: Plan, bursts: Sequence[list[Message]], count: Any, send: Callable[[list[Message]], object]) -> None:
    began = time.perf_counter()
    for number, burst in enumerate(bursts):
        time.sleep(max(0.0, began + number * EVENTS_AT_A_TIME / plan.per_s - time.perf_counter()))
        send(burst)
        count.value += EVENTS_AT_A_TIME


def _bursts(plan: Plan) -> Iterator[list[Message]]:
    for start in range(0, round(plan.per_s * plan.seconds), EVENTS_AT_A_TIME):
        yield [_message(plan.job_ids, number, plan.ground.topology.names) for number in range(start, start + EVENTS_AT_A_TIME)]


def _message(job_ids: Sequence[str], number: int, names: Names) -> Message:
    kind = Kind.LOG if number % 5 else Kind.PROGRESS
    data: Mapping[str, Json] = LINE if kind is Kind.LOG else {"stage": "load", "rows": number}
    # Each job tells progress, too: its place in the row moves with each turn.
    job_id = job_ids[(number + number // len(job_ids)) % len(job_ids)]
    event = Event(job_id=job_id, job_type="push_to_datastore", kind=kind, sequence=A_START + number, data=data)
    return event_message(event, names)


def _frames(channel_number: int, message: Message) -> bytes:
    """As AMQP has it: method, header, body."""
    publish = pika.spec.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key)
    properties = pika.BasicProperties(
        delivery_mode=2, content_type=message.content_type, message_id=message.message_id, type=message.type
    )
    head = pika.frame.Header(channel_number, len(message.body), properties)
    frames = (pika.frame.Method(channel_number, publish), head, pika.frame.Body(channel_number, message.body))
    return b"".join(frame.marshal() for frame in frames)
