"""The dead: jobs that could not be run and callbacks that could not be delivered. Looked at, replayed or purged.

All on top of `Bus`, so it works on both: a look takes the messages in hand and gives them back. Meanwhile another look
does not see them. Raises everywhere: BusError where the bus cannot be reached.
"""

import contextlib
import json
import queue as queues
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from publisher.bus import Bus, Delivery, HeaderValue, Message
from publisher.copies import attempts_spent
from schemas.errors import BusError, InvalidMessage
from schemas.messages import Json, load_object
from schemas.topology import Names

#: Messages taken in hand at once; as many as a look shows.
WINDOW = 1000
#: When nothing has come for so long, there is no more: another process holds the rest.
QUIET_S = 2.0
#: For the broker to confirm what is replayed.
CONFIRM_S = 10.0
MASK = "***"
#: In bodies that are no JSON.
API_KEY = re.compile(r"""(["']?api_key["']?\s*[:=]\s*["']?)[^"',}\s]+""")
#: What the worker counts for one life of a job; a replay is a new one. `dead-at` stays: it names the replay to the worker.
OF_ONE_LIFE = frozenset({"attempts", "starts", "retry-reason", "dead-reason", "dead-queue"})


@dataclass(frozen=True)
class DeadLetter:
    """A dead message, fit to be shown."""

    message_id: str
    #: "" where the message does not tell.
    job_id: str
    job_type: str
    reason: str
    #: The queue it comes from; "" where that is unknown.
    queue: str
    #: RFC 3339, UTC; "" where RabbitMQ itself declared it dead.
    at: str
    attempts: int
    #: Its body as text, API keys masked.
    body: str


Chosen = Callable[[DeadLetter], bool]


def chosen(*, message_id: str = "", reason: str = "", job_type: str = "") -> Chosen:
    """Those with all of: this message id or job id, this text somewhere in the reason, this job type. Nothing: all."""

    def is_chosen(letter: DeadLetter) -> bool:
        return (
            message_id in ("", letter.message_id, letter.job_id)
            and reason.lower() in letter.reason.lower()
            and job_type in ("", letter.job_type)
        )

    return is_chosen


def look(bus: Bus, queue: str, is_chosen: Chosen) -> list[DeadLetter]:
    """The chosen among the first WINDOW of *queue* (`Names.dead` or `Names.dead_callbacks`), oldest first; they stay there."""
    held = _take(bus, queue)
    _release(bus, queue, held)
    letters = [letter_of(delivery.message) for delivery in held]
    return [letter for letter in letters if is_chosen(letter)]


def purge(bus: Bus, queue: str, is_chosen: Chosen) -> list[DeadLetter]:
    """Forget the chosen among the first WINDOW; returns them."""
    mine, others = _split(_take(bus, queue), is_chosen)
    for delivery in mine:
        delivery.ack()
    _release(bus, queue, others)
    return [letter_of(delivery.message) for delivery in mine]


def replay(bus: Bus, names: Names, queue: str, is_chosen: Chosen) -> list[DeadLetter]:
    """Put the chosen among the first WINDOW back into the queue they come from, for a new life; returns them.

    Raises: Unroutable, NotPublished when the bus does not take one back; it stays with the dead, and so do those after it.
    """
    mine, others = _split(_take(bus, queue), is_chosen)
    done: list[Delivery] = []
    try:
        futures = [bus.publish(revived(delivery.message, names, queue)) for delivery in mine]
        for delivery, future in zip(mine, futures, strict=True):
            future.result(CONFIRM_S)
            delivery.ack()
            done.append(delivery)
    except TimeoutError:
        raise BusError("the broker does not confirm what is replayed; some may live twice, which does no harm") from None
    finally:
        _release(bus, queue, [*others, *mine[len(done) :]])
    return [letter_of(delivery.message) for delivery in done]


def revived(message: Message, names: Names, queue: str) -> Message:
    """The message for another life. A job that RabbitMQ declared dead has no `dead-at` yet, and gets one."""
    kept = {name: value for name, value in message.headers.items() if name not in OF_ONE_LIFE and name[:2] != "x-"}
    headers: dict[str, HeaderValue] = {"dead-at": datetime.now(UTC).isoformat(timespec="microseconds"), **kept}
    origin = _origin(message, names, queue)
    if not origin:
        raise BusError(f"message {message.message_id} does not tell where it comes from; purge it, or send the job anew")
    return replace(message, exchange="", routing_key=origin, headers=headers)


def letter_of(message: Message) -> DeadLetter:
    headers, fields = message.headers, _fields(message)
    reason = headers.get("dead-reason") or headers.get("x-first-death-reason") or "unknown"
    return DeadLetter(
        message_id=message.message_id,
        job_id=_text(fields.get("job_id")),
        job_type=_text(fields.get("job_type")),
        reason="delivered too often without an answer" if reason == "delivery_limit" else str(reason),
        queue=_text(headers.get("dead-queue")),
        at=_text(headers.get("dead-at")),
        attempts=attempts_spent(headers),
        body=_masked(message.body, fields),
    )


def _take(bus: Bus, queue: str) -> list[Delivery]:
    """What lies in the queue now, at most WINDOW, in hand."""
    arrivals: queues.SimpleQueue[Delivery] = queues.SimpleQueue()
    held: list[Delivery] = []
    count = min(bus.depth(queue), WINDOW)
    consumer = bus.consume(queue, arrivals.put, prefetch=WINDOW)
    try:
        while len(held) < count:
            held.append(arrivals.get(timeout=QUIET_S))
    except queues.Empty:
        pass
    finally:
        consumer.cancel()
    while not arrivals.empty():
        held.append(arrivals.get())
    return held


def _split(held: Iterable[Delivery], is_chosen: Chosen) -> tuple[list[Delivery], list[Delivery]]:
    mine: list[Delivery] = []
    others: list[Delivery] = []
    for delivery in held:
        (mine if is_chosen(letter_of(delivery.message)) else others).append(delivery)
    return mine, others


def _release(bus: Bus, queue: str, held: Sequence[Delivery]) -> None:
    """Give them back, and wait until they can be seen again: the next look may come at once."""
    for delivery in held:
        delivery.release()
    deadline = time.monotonic() + QUIET_S
    with contextlib.suppress(BusError):  # then the messages are given back by the loss of the connection
        while bus.depth(queue) < len(held) and time.monotonic() < deadline:
            time.sleep(0.005)


def _origin(message: Message, names: Names, queue: str) -> str:
    """RabbitMQ's `x-first-death-queue` does not do: for a message that was retried it names the queue it waited in."""
    if told := _text(message.headers.get("dead-queue")):
        return told
    if queue == names.dead_callbacks:
        return names.callbacks
    job_type = _text(_fields(message).get("job_type"))
    return names.work(job_type) if job_type else ""


def _fields(message: Message) -> dict[str, Json]:
    try:
        return load_object(message.body)
    except InvalidMessage:
        return {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _masked(body: bytes, fields: dict[str, Json]) -> str:
    if fields:
        return json.dumps(_without_keys(fields), ensure_ascii=False)
    return API_KEY.sub(rf"\1{MASK}", body.decode("utf-8", "replace"))


def _without_keys(value: Json) -> Json:
    """At any depth: a stranger's job may have its key in a place of its own."""
    if isinstance(value, dict):
        return {key: MASK if key == "api_key" and each else _without_keys(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_keys(each) for each in value]
    return value
