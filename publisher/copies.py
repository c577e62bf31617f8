"""The copies of a message that take its place: one that waits for its next attempt, one that lies with the dead.

Both go through the bus like any message; the headers they carry are the memory of what happened.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from publisher.bus import HeaderValue, Message
from schemas.topology import Topology

#: Longest reason kept in a header, in characters: all headers must fit one AMQP frame (131,072 bytes), whatever a
#: traceback holds, and a character takes up to four bytes.
REASON_CHARS = 2000


def attempts_spent(headers: Mapping[str, HeaderValue]) -> int:
    """The header `attempts`; 0 where a stranger wrote none or nonsense."""
    value = headers.get("attempts", 0)
    return value if isinstance(value, int) and value >= 0 else 0


def retry_copy(message: Message, topology: Topology, *, queue: str, delay_s: float, reason: str, spend: bool) -> Message:
    """The message that comes back to *queue* after the shortest declared delay that is not shorter than *delay_s*."""
    headers = {
        **_kept(message.headers),
        "attempts": attempts_spent(message.headers) + spend,
        "retry-reason": reason[:REASON_CHARS],
    }
    exchange = topology.names.retry(topology.retry_delay(delay_s))
    return replace(message, exchange=exchange, routing_key=queue, headers=headers)


def dead_copy(
    message: Message, topology: Topology, *, queue: str, routing_key: str, reason: str, body: bytes | None
) -> Message:
    """The message for the dead exchange, with why, whence and when in its headers."""
    headers = {
        **_kept(message.headers),
        "dead-reason": reason[:REASON_CHARS],
        "dead-queue": queue,
        "dead-at": datetime.now(UTC).isoformat(timespec="microseconds"),  # names this death: no two of a job share one
    }
    body = message.body if body is None else body
    return replace(message, exchange=topology.names.dead, routing_key=routing_key, headers=headers, body=body)


def _kept(headers: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """RabbitMQ's own `x-` headers tell the past of the message in its queue, not of its copy in another one."""
    return {name: value for name, value in headers.items() if not name.startswith("x-")}
