"""From exchange and routing key to queues, as a topic exchange does it (https://www.rabbitmq.com/docs/exchanges#topic)."""

import functools
import re
from collections.abc import Iterable

from schemas.topology import Binding, Topology


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a binding's *pattern* takes the key: `*` is exactly one word, `#` any number of words, none too."""
    return bool(_expression(pattern).fullmatch(_dotted(routing_key)))


@functools.lru_cache(maxsize=4096)
def _expression(pattern: str) -> "re.Pattern[str]":
    signs = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    words = pattern.split(".") if pattern else ()
    return re.compile("".join(signs.get(word, r"\." + re.escape(word)) for word in words))


def _dotted(routing_key: str) -> str:
    """Each word with a dot before it, so that `#` may stand for no word anywhere; the empty key has no word."""
    return f".{routing_key}" if routing_key else ""


class Routes:
    """The bindings of one bus; `to` remembers its answers."""

    def __init__(self, bindings: Iterable[Binding], fanouts: Iterable[str], queues: Iterable[str]) -> None:
        self._bindings = tuple(bindings)
        self._fanouts = frozenset(fanouts)
        self._queues = frozenset(queues)
        self.to = functools.lru_cache(maxsize=4096)(self._to)

    @classmethod
    def of(cls, topology: Topology) -> "Routes":
        fanouts = [exchange.name for exchange in topology.exchanges if exchange.type == "fanout"]
        return cls(topology.bindings, fanouts, [queue.name for queue in topology.queues])

    def _to(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """Names of the queues that get the message, each once; empty when it is unroutable."""
        if not exchange:
            return (routing_key,) if routing_key in self._queues else ()
        bound = (binding for binding in self._bindings if binding.exchange == exchange)
        hit = (binding.queue for binding in bound if self._takes(binding, routing_key))
        return tuple(dict.fromkeys(hit))

    def _takes(self, binding: Binding, routing_key: str) -> bool:
        return binding.exchange in self._fanouts or topic_matches(binding.routing_key, routing_key)
