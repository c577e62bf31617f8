"""Messages on their way out of a worker or recorder: published again until the bus has them."""

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from publisher.bus import Bus, Message
from schemas.errors import BusError
from schemas.messages import EVENT_CONTENT_TYPE, EVENT_TYPE, Event
from schemas.topology import Names

logger = logging.getLogger(__name__)

#: Messages that may wait for their confirm; whoever sends more waits too, so that a broker that is away fills no memory.
UNCONFIRMED = 1000
#: Pause before a message that was refused is published again; doubled up to the second.
PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Outgoing:
    """Sends messages and remembers them until they are confirmed. For one thread.

    *keep_trying* is asked between tries; once it says no, what is not confirmed is given up.
    """

    def __init__(self, bus: Bus, keep_trying: Callable[[], bool]) -> None:
        self._bus = bus
        self._keep_trying = keep_trying
        self._waiting: deque[tuple[Message, Future[None]]] = deque()

    def send(self, message: Message) -> None:
        """Publishes *message*; waits only while too many are unconfirmed."""
        while len(self._waiting) >= UNCONFIRMED and self._settle_first():
            pass
        self._waiting.append((message, self._bus.publish(message)))
        self._forget_confirmed()

    def confirmed(self) -> bool:
        """Waits until the bus has all that was sent; false when it gave up."""
        while self._waiting:
            if not self._settle_first():
                return False
        return True

    def _forget_confirmed(self) -> None:
        while self._waiting and self._waiting[0][1].done() and self._waiting[0][1].exception() is None:
            self._waiting.popleft()

    def _settle_first(self) -> bool:
        """Waits for the oldest message's confirm, and publishes it again as often as it takes."""
        message, future = self._waiting.popleft()
        pause_s = PAUSE_S
        while self._keep_trying():
            try:
                future.result(timeout=LONGEST_PAUSE_S)
                return True
            except FutureTimeout:
                continue
            except BusError as error:
                logger.warning("%s %s not published, trying again: %s", message.type, message.message_id, error.message)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            future = self._bus.publish(message)
        return False


def event_message(event: Event, names: Names) -> Message:
    return Message(
        exchange=names.events,
        routing_key=event.routing_key,
        body=event.encode(),
        message_id=event.id,
        type=EVENT_TYPE,
        content_type=EVENT_CONTENT_TYPE,
    )
