"""What both buses put into a consumer's hand: `HeldDelivery`, which turns the four verbs into one `Settlement`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from publisher.bus import Message
from publisher.copies import attempts_spent, dead_copy, retry_copy
from schemas.topology import Topology


@dataclass(frozen=True)
class Settlement:
    """What becomes of a message: first its *copy*, if any, is published and confirmed, then it is forgotten or requeued."""

    copy: Message | None = None
    requeue: bool = False


ACK, RELEASE = Settlement(), Settlement(requeue=True)


class HeldDelivery:
    """A `Delivery`; *settle* is called once with the settlement, on whatever thread settles, and must not block."""

    __slots__ = ("_once", "_settle", "_topology", "attempt", "message", "queue", "redelivered")

    def __init__(
        self, message: Message, queue: str, redelivered: bool, topology: Topology, settle: Callable[[Settlement], object]
    ) -> None:
        self.message = message
        self.queue = queue
        self.redelivered = redelivered
        self.attempt = attempts_spent(message.headers) + 1
        self._topology = topology
        self._settle = settle
        self._once = threading.Lock()

    def ack(self) -> None:
        self._settle_once(ACK)

    def release(self) -> None:
        self._settle_once(RELEASE)

    def retry(self, delay_s: float, reason: str, *, spend: bool = True) -> None:
        copy = retry_copy(self.message, self._topology, queue=self.queue, delay_s=delay_s, reason=reason, spend=spend)
        self._settle_once(Settlement(copy))

    def dead_letter(self, reason: str, *, routing_key: str, body: bytes | None = None) -> None:
        copy = dead_copy(self.message, self._topology, queue=self.queue, routing_key=routing_key, reason=reason, body=body)
        self._settle_once(Settlement(copy))

    def _settle_once(self, settlement: Settlement) -> None:
        if not self._once.acquire(blocking=False):
            raise RuntimeError(f"delivery {self.message.message_id} of {self.queue} is settled already")
        self._settle(settlement)
