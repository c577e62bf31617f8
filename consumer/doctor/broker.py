"""The bus: whether it is there and as it was declared, whether a policy drops messages, whether it has room."""

from collections.abc import Iterator, Mapping
from typing import Any

from consumer.doctor.finding import CONNECT_S, Finding, Patient
from publisher import broker_state
from publisher.broker_state import InForce, Node
from publisher.bus import Bus
from publisher.connect import await_connected
from publisher.policies import NoManagement, differing
from schemas.errors import BusError
from schemas.topology import Queue

#: RabbitMQ's default consumer_timeout; a job that holds its delivery longer loses its channel and is started again.
CONSUMER_TIMEOUT_DEFAULT_S = 1800.0
#: File descriptors that a node should have to spare: a quorum queue takes three or more, a connection one. At its limit it
#: accepts nobody any more.
SPARE_DESCRIPTORS = 500
APPLY = "datapusher topology apply; then take the other policy away, or lower its priority below 10"


def bus(patient: Patient) -> Iterator[Finding]:
    bus = patient.connect()
    try:
        await_connected(bus, CONNECT_S)
        depths = {queue.name: bus.depth(queue.name) for queue in patient.topology.queues}
        refusals = _refusals(bus)
    except BusError as error:
        yield Finding("bus", "wrong", error.message, "start the broker, or correct DATAPUSHER_BROKER_URL")
        return
    finally:
        bus.close()
    if not refusals:
        yield Finding("bus", "ok", "connected; exchanges and queues are as they should be")
    for what, why in refusals.items():
        yield Finding("bus", "wrong", f"the broker refuses {what}: {why}", _after_refusal(what, why))
    for queue in (patient.topology.names.dead, patient.topology.names.dead_callbacks):
        if depths[queue]:
            yield Finding("dead letters", "warning", f"{depths[queue]} in {queue}", "look at them: datapusher dead list")


def policies(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if not patient.on_rabbitmq:
        return
    try:
        missing = differing(patient.topology, settings.broker_url, settings.management_url)
        held = broker_state.in_force(patient.topology, settings.broker_url, settings.management_url)
    except NoManagement as error:
        yield Finding("policies", "warning", "the management API does not tell them", error.message)
        return
    if missing:
        yield Finding("policies", "warning", f"missing or different: {', '.join(missing)}", "datapusher topology apply")
    harms = [finding for queue in patient.topology.queues for finding in _harms(queue, held[queue.name])]
    yield from harms
    if not missing and not harms:
        yield Finding("policies", "ok", "as they should be")


def nodes(patient: Patient) -> Iterator[Finding]:
    if not patient.on_rabbitmq:
        return
    try:
        found = broker_state.nodes(patient.settings.broker_url, patient.settings.management_url)
    except NoManagement as error:
        advice = "give the user the tag `monitoring`, or look yourself: rabbitmq-diagnostics status"
        yield Finding("open files", "warning", error.message, advice)
        return
    for node in found:
        yield open_files(node, len(patient.topology.queues))
        for alarm in node.alarms:
            advice = "free some: jobs are accepted and wait in the store until then"
            yield Finding(f"{alarm} alarm", "wrong", f"{node.name} takes no messages", advice)


def open_files(node: Node, queues: int) -> Finding:
    """*queues* is how many of ours there are; each may be as many again after a restart."""
    needed, spare = max(SPARE_DESCRIPTORS, 10 * queues), node.limit - node.descriptors
    seen = f"{node.name} has {node.descriptors} open of {node.limit}"
    if node.limit and spare < needed:
        advice = (
            "raise the limit to 64000 (systemd: LimitNOFILE=64000; Docker: --ulimit nofile=64000): at it, nobody can connect"
        )
        return Finding("open files", "wrong" if spare < needed // 4 else "warning", seen, advice)
    return Finding("open files", "ok", seen if node.limit else f"{node.name} does not tell its limit")


def consumer_timeout(patient: Patient) -> Iterator[Finding]:
    """RabbitMQ tells it nowhere; what can be known is whether a job may run longer than the default."""
    if not patient.on_rabbitmq:
        return
    longest_s = patient.settings.job_timeout + patient.settings.drain_timeout
    if longest_s < CONSUMER_TIMEOUT_DEFAULT_S:
        yield Finding("consumer_timeout", "ok", f"no job may run longer than {longest_s:.0f} s")
        return
    yield Finding(
        "consumer_timeout", "warning",
        f"a job may run {longest_s:.0f} s, and RabbitMQ lets a delivery be held for {CONSUMER_TIMEOUT_DEFAULT_S:.0f} s",
        f"in rabbitmq.conf set consumer_timeout = {int(longest_s * 2000)} (milliseconds), as deploy/rabbitmq.conf does; "
        "a job that is cut off is run again, but its work is lost",
    )  # fmt: skip


def _refusals(bus: Bus) -> Mapping[str, str]:
    """What the broker refused to declare, where the bus is one that declares."""
    return dict(getattr(bus, "refusals", {}))


def _after_refusal(what: str, why: str) -> str:
    if "ACCESS_REFUSED" in why:
        return "give the user the rights to configure, write and read what begins with DATAPUSHER_VHOST_PREFIX"
    thing = "exchange" if what.startswith("exchange") else "queue"
    return (
        f"somebody else has declared this {thing} in another way. Stop all processes, empty and delete it in RabbitMQ's"
        " management UI, and start them again; or choose another DATAPUSHER_VHOST_PREFIX"
    )


def _harms(queue: Queue, held: InForce) -> Iterator[Finding]:
    """What the policy does to messages of *queue* that nobody has settled yet."""
    for seen in _losses(queue, held.definition):
        yield Finding("policies", "wrong", f"the policy {held.name!r} {seen} {queue.name}", APPLY)


def _losses(queue: Queue, definition: Mapping[str, Any]) -> Iterator[str]:
    limit = definition.get("max-length", definition.get("max-length-bytes"))
    overflow = queue.arguments.get("x-overflow", definition.get("overflow", "drop-head"))
    if limit is not None and overflow != "reject-publish":
        yield f"drops the oldest messages above a length of {limit} in"
    if "message-ttl" in definition:
        yield f"drops or moves messages older than {definition['message-ttl']} ms in"
    if "expires" in definition:
        yield f"deletes, after {definition['expires']} ms without a consumer,"
    target = queue.arguments.get("x-dead-letter-exchange", definition.get("dead-letter-exchange"))
    if "delivery-limit" in definition and target is None and definition["delivery-limit"] < 1_000_000:
        yield f"drops messages after {definition['delivery-limit']} deliveries in"
