"""Where the bus is measured: a store and a bus that nobody else uses, and the service's own processes on them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
from sqlalchemy import Engine

from publisher.bus import Bus
from publisher.connect import await_connected, connect
from schemas.settings import Settings
from schemas.store import open_store, store_url
from schemas.topology import Topology, topology
from tests.services import postgresql, rabbitmq

ROOT = Path(__file__).parent.parent
SECRET = "the secret of this benchmark"
JOB_TYPES = ("noop", "push_to_datastore")
LISTENS = re.compile(r"listens on (http://\S+)/")


@dataclass(frozen=True)
class Ground:
    """One installation: RabbitMQ with PostgreSQL, or the embedded default."""

    broker_url: str
    store_url: str
    #: The commands of its processes; a small site has one for all.
    roles: tuple[str, ...]

    @property
    def topology(self) -> Topology:
        return topology("datapusher", JOB_TYPES, [2.0, 10.0, 60.0])

    @property
    def settings(self) -> Settings:
        return Settings(secret_key=SECRET)

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        engine = open_store(self.store_url)
        yield engine
        engine.dispose()

    @contextlib.contextmanager
    def bus(self) -> Iterator[Bus]:
        bus = connect(self.broker_url, self.topology, self.store_url)
        try:
            if not self.broker_url.startswith("embedded"):
                await_connected(bus, 10)
            yield bus
        finally:
            bus.close()

    @contextlib.contextmanager
    def running(self, *command: str, **environment: str) -> Iterator["Role"]:
        """A process of the service."""
        with tempfile.TemporaryDirectory() as folder:
            listens = {"gateway", "up"} & set(command) or any("bare" in word for word in command)
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self._environment(folder, environment),
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert process.stdout is not None
                yield Role(process.pid, _url(process.stdout) if listens else "")
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()

    @contextlib.contextmanager
    def all_roles(self, **environment: str) -> Iterator[dict[str, "Role"]]:
        """The whole service: its processes by the name of their command; the first one is, or has, the gateway."""
        with contextlib.ExitStack() as stack:
            yield {name: stack.enter_context(self.running("datapusher.py", name, **environment)) for name in self.roles}

    def _environment(self, folder: str, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DATAPUSHER_")}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "DATAPUSHER_HOST": "127.0.0.1",
            "DATAPUSHER_PORT": "0",
            "DATAPUSHER_DATA_DIR": folder,
            "DATAPUSHER_SECRET_KEY": SECRET,
            "DATAPUSHER_PASSWORD": "sesame",
            "DATAPUSHER_BROKER_URL": self.broker_url,
            "DATAPUSHER_SQLALCHEMY_DATABASE_URI": self.store_url,
            "DATAPUSHER_JOB_MODULES": "bench.noop,consumer.push.job",
            **more,
        }


@dataclass(frozen=True)
class Role:
    """A process at work."""

    process_id: int
    #: Where it listens; empty where it does not.
    url: str

    @property
    def cpu_s(self) -> float:
        """Processor time it has used, with the children it has now, in seconds."""
        processes = psutil.Process(self.process_id)
        times = [each.cpu_times() for each in (processes, *processes.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))


def _url(output: IO[str]) -> str:
    for line in output:
        if found := LISTENS.search(line):
            threading.Thread(target=output.read, daemon=True).start()  # whatever else it says
            return found[1]
    raise RuntimeError("the gateway does not start; its words are above")


@contextlib.contextmanager
def rabbitmq_postgresql() -> Iterator[Ground]:
    with rabbitmq() as vhost, postgresql() as database:
        yield Ground(vhost.url, store_url(database, ""), ("gateway", "recorder", "worker"))


@contextlib.contextmanager
def embedded() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as folder:
        yield Ground("embedded:", f"sqlite:///{folder}/datapusher.db", ("up",))


#: By the name the figures have in bench/results.json; the first one's stand there without.
GROUNDS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Ground]]] = {
    "rabbitmq": rabbitmq_postgresql,
    "embedded": embedded,
}
