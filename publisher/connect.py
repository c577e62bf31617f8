"""The one place that chooses between the buses, by the scheme of BROKER_URL."""

import asyncio
import time
from pathlib import Path

from publisher.bus import Bus
from publisher.embedded import EmbeddedBus
from publisher.rabbitmq import RabbitBus
from schemas.errors import BadSetting, BusError
from schemas.topology import Topology


def connect(
    broker_url: str,
    topology: Topology,
    store_url: str,
    *,
    loop: asyncio.AbstractEventLoop | None = None,
    name: str = "Data Pusher",
    relaxed: bool = False,
) -> Bus:
    """The bus that *broker_url* names; it connects in the background, on *loop* if that is given and the bus uses one.

    *name* is what RabbitMQ's management UI calls its connection, beside the host and the process.
    `embedded:` is a queue table in the SQLite file of *store_url*; *relaxed* says that the caller keeps its own memory there,
    so that the bus need not wait for the disk. Raises: BadSetting.
    """
    if broker_url.startswith("embedded:"):
        return EmbeddedBus(_sqlite_path(store_url), topology, relaxed=relaxed)
    return RabbitBus([url.strip() for url in broker_url.split(";") if url.strip()], topology, loop=loop, name=name)


def await_connected(bus: Bus, timeout_s: float) -> None:
    """For commands that need the bus now. Raises: BusError when it cannot be reached in time."""
    deadline = time.monotonic() + timeout_s
    while not bus.connected:
        if time.monotonic() > deadline:
            raise BusError(f"the broker could not be used within {timeout_s:g} s: {bus.absence}")
        time.sleep(0.01)


def _sqlite_path(store_url: str) -> Path:
    scheme, _, path = store_url.partition(":///")
    path = path.partition("?")[0]
    if scheme.split("+")[0] != "sqlite" or path in ("", ":memory:"):
        raise BadSetting(
            "DATAPUSHER_BROKER_URL",
            "embedded: keeps its queues in the file of a SQLite store, which the store is not; set "
            "DATAPUSHER_BROKER_URL to amqp://user:password@host:5672/vhost, or DATAPUSHER_SQLALCHEMY_DATABASE_URI to "
            "sqlite:///path/to/file",
        )
    return Path(path)
