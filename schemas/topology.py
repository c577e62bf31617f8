"""Exchanges, queues, bindings and policies, as data.

A queue's name says all that its arguments say, so that they never differ for one name: changed arguments of a declared
queue end in 406 PRECONDITION_FAILED (https://www.rabbitmq.com/docs/queues#property-equivalence). What may change during
an installation's life (delivery limit, lengths, dead-letter target of the work queues) is a policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Names a job type cannot have, since its queue is called <prefix>.<job type>.
RESERVED = frozenset({"jobs", "events", "recorder", "callbacks", "dead", "retry"})
#: A delivery limit that is never met. A message over its limit is dropped where there is no dead-letter exchange, and each
#: look at the dead queue is a delivery; RabbitMQ 4 has a limit of 20 where none is set, and 3.10 refuses -1.
NEVER = 1_000_000_000
BUILT_IN_JOB_TYPES = ("push_to_datastore",)


@dataclass(frozen=True)
class Names:
    """Every name on the bus, from its prefix (the setting VHOST_PREFIX)."""

    prefix: str = "datapusher"

    @property
    def jobs(self) -> str:
        """Topic exchange that job messages are published to; routing key = job type."""
        return f"{self.prefix}.jobs"

    @property
    def events(self) -> str:
        """Topic exchange of CloudEvents; routing key = job.<kind>.<job type>."""
        return f"{self.prefix}.events"

    @property
    def callbacks(self) -> str:
        """Topic exchange and queue of callbacks that wait for delivery."""
        return f"{self.prefix}.callbacks"

    @property
    def dead(self) -> str:
        """Topic exchange, and queue of jobs that could not be run; routing key = job.<job type>."""
        return f"{self.prefix}.dead"

    @property
    def dead_callbacks(self) -> str:
        """Queue of callbacks that could not be delivered; routing key on the dead exchange = callback.<job type>."""
        return f"{self.prefix}.dead.callbacks"

    @property
    def recorder(self) -> str:
        """Queue of everything the recorder writes to the store."""
        return f"{self.prefix}.recorder"

    def work(self, job_type: str) -> str:
        """Queue of the jobs of one type."""
        return f"{self.prefix}.{job_type}"

    def retry(self, delay_s: float) -> str:
        """Fanout exchange, and queue whose messages wait *delay_s* and then go back to the queue they came from."""
        return f"{self.prefix}.retry.{delay_label(delay_s)}"


@dataclass(frozen=True)
class Exchange:
    name: str
    type: str = "topic"


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Mapping[str, str | int] = field(default_factory=lambda: {"x-queue-type": "quorum"})
    #: Seconds after which a waiting message goes back to where it came from; None for a queue that is consumed.
    delay_s: float | None = None


@dataclass(frozen=True)
class Binding:
    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True)
class Policy:
    """https://www.rabbitmq.com/docs/parameters#policies"""

    name: str
    pattern: str
    definition: Mapping[str, str | int]
    priority: int = 10


@dataclass(frozen=True)
class Topology:
    names: Names
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policies: tuple[Policy, ...]

    @property
    def job_types(self) -> tuple[str, ...]:
        """Those that have a work queue."""
        work = [each for each in self.bindings if each.exchange == self.names.jobs]
        return tuple(each.routing_key for each in work if each.queue == self.names.work(each.routing_key))

    def retry_delay(self, delay_s: float) -> float:
        """The shortest of the declared delays that is not shorter than *delay_s*; the longest where all are."""
        delays = sorted(queue.delay_s for queue in self.queues if queue.delay_s is not None)
        return next((delay for delay in delays if delay >= delay_s), delays[-1])


def topology(prefix: str, job_types: Iterable[str], delays_s: Iterable[float]) -> Topology:
    """All that must exist on the bus for these job types and retry delays (seconds)."""
    names = Names(prefix)
    types = tuple(sorted(set(job_types)))
    waits = tuple(sorted(set(delays_s)))
    return Topology(
        names, _exchanges(names, waits), _queues(names, types, waits), _bindings(names, types, waits), _policies(names)
    )


def _exchanges(names: Names, waits: tuple[float, ...]) -> tuple[Exchange, ...]:
    topics = (names.jobs, names.events, names.callbacks, names.dead)
    return (*(Exchange(name) for name in topics), *(Exchange(names.retry(wait), "fanout") for wait in waits))


def _queues(names: Names, types: tuple[str, ...], waits: tuple[float, ...]) -> tuple[Queue, ...]:
    consumed = (
        *(names.work(kind) for kind in types),
        names.recorder,
        names.callbacks,
        names.dead,
        names.dead_callbacks,
    )
    return (*(Queue(name) for name in consumed), *(_retry_queue(names, wait) for wait in waits))


def _retry_queue(names: Names, wait: float) -> Queue:
    """One queue a delay: a message's own TTL would block those behind it (https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats).

    The dead-letter target is the default exchange, where the routing key is a queue's name: whoever publishes to the
    retry exchange puts there the queue that the message must come back to.
    """
    arguments: dict[str, str | int] = {
        "x-queue-type": "quorum",
        "x-message-ttl": int(wait * 1000),
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(names.retry(wait), arguments, wait)


def _bindings(names: Names, types: tuple[str, ...], waits: tuple[float, ...]) -> tuple[Binding, ...]:
    """The recorder hears each *known* job type, so that a job of an unknown one stays unroutable, an error to its sender."""
    work = [Binding(names.jobs, names.work(kind), kind) for kind in types]
    heard = [Binding(names.jobs, names.recorder, kind) for kind in types]
    rest = (
        Binding(names.events, names.recorder, "#"),
        Binding(names.callbacks, names.callbacks, "#"),
        Binding(names.dead, names.dead, "job.#"),
        Binding(names.dead, names.dead_callbacks, "callback.#"),
    )
    return (*work, *heard, *rest, *(Binding(names.retry(wait), names.retry(wait), "") for wait in waits))


def _policies(names: Names) -> tuple[Policy, ...]:
    """One policy a queue pattern, since only one applies to a queue. Starts are capped by claims, long before these limits."""
    prefix = names.prefix.replace(".", r"\.")
    to_dead: dict[str, str | int] = {
        "dead-letter-exchange": names.dead, "dead-letter-strategy": "at-least-once", "overflow": "reject-publish",
        "delivery-limit": 50, "max-length": 1_000_000,
    }  # fmt: skip
    keep: dict[str, str | int] = {"delivery-limit": NEVER, "overflow": "reject-publish", "max-length": 10_000_000}
    return (
        Policy(f"{names.prefix}-work", rf"^{prefix}\.(?!recorder$|callbacks$|dead$)[^.]+$",
               {**to_dead, "dead-letter-routing-key": "job.delivery-limit"}),
        Policy(f"{names.prefix}-callbacks", rf"^{prefix}\.callbacks$",
               {**to_dead, "dead-letter-routing-key": "callback.delivery-limit"}),
        Policy(f"{names.prefix}-recorder", rf"^{prefix}\.recorder$", keep),
        Policy(f"{names.prefix}-dead", rf"^{prefix}\.dead(\.callbacks)?$", keep),
    )  # fmt: skip


def delay_label(delay_s: float) -> str:
    """`10s`, `1m`, `10m`, `1h`, `1d`; `500ms` below a second."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if delay_s >= size and delay_s % size == 0:
            return f"{int(delay_s // size)}{unit}"
    return f"{int(delay_s * 1000)}ms"
