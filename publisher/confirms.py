"""Which published messages wait for the broker's confirm (https://www.rabbitmq.com/docs/confirms#publisher-confirms)."""

from collections import Counter
from concurrent.futures import Future
from itertools import takewhile

from publisher.bus import Message
from schemas.errors import BusError, NotPublished, Unroutable


class Confirms:
    """One publishing channel's messages in flight, by confirm number (1, 2, 3 … in the order of publishing).

    Not thread-safe: lives on the bus's thread.
    """

    def __init__(self) -> None:
        self._last_number = 0
        self._waiting: dict[int, tuple[Message, Future[None]]] = {}
        self._returned: Counter[tuple[str, str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, message: Message, future: "Future[None]") -> None:
        """The message is being published now."""
        self._last_number += 1
        self._waiting[self._last_number] = (message, future)

    def returned(self, exchange: str, routing_key: str, message_id: str) -> None:
        """The broker gave a message back; its positive confirm follows, and is to be read as a refusal."""
        self._returned[exchange, routing_key, message_id] += 1

    def settle(self, number: int, *, multiple: bool, positive: bool) -> None:
        """The broker's ack or nack of one number, or of all up to it."""
        numbers = list(takewhile(lambda waiting: waiting <= number, self._waiting)) if multiple else [number]
        for each in numbers:
            if each in self._waiting:
                self._answer(*self._waiting.pop(each), positive)

    def lose(self, why: str) -> None:
        """No confirm will come any more."""
        waiting, self._waiting = self._waiting, {}
        for message, future in waiting.values():
            fail(future, NotPublished(f"{_title(message)} is not confirmed: {why}"))

    def _answer(self, message: Message, future: "Future[None]", positive: bool) -> None:
        if self._take_returned(message):
            fail(future, Unroutable(f"{_title(message)}: no queue is bound for it"))
        elif positive:
            succeed(future)
        else:
            fail(future, NotPublished(f"{_title(message)} was refused: a queue it is for is full or unavailable"))

    def _take_returned(self, message: Message) -> bool:
        key = (message.exchange, message.routing_key, message.message_id)
        if key not in self._returned:
            return False
        self._returned -= Counter((key,))
        return True


def failed(error: BusError) -> "Future[None]":
    future: Future[None] = Future()
    future.set_exception(error)
    return future


def succeed(future: "Future[None]") -> None:
    """A future that its owner cancelled, as `asyncio.wait_for` does, is nobody's business any more."""
    if future.set_running_or_notify_cancel():
        future.set_result(None)


def fail(future: "Future[None]", error: BusError) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def _title(message: Message) -> str:
    target = message.exchange or "the default exchange"
    return f"message {message.message_id or '(without id)'} to {target} ({message.routing_key})"
