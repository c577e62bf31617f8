"""Load and kills for a while, then the ledger: `python -m tests.faults.soak --minutes 10 --jobs 10000`.

A gateway, a recorder and two workers are killed at random and started again; every twentieth kill takes the broker. Beside
them one gateway, one recorder and one worker, the veterans, live through all of it: their memory must not grow.
"""

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from publisher.connect import connect
from sandbox.server import Sandbox
from schemas.store import open_store, store_url
from schemas.topology import topology
from tests.acceptance.service import Service, wait_until
from tests.faults.book import Page, back_after_s
from tests.faults.crew import Crew, excuse
from tests.faults.ledger import Account, Ledger
from tests.faults.own_postgresql import OwnPostgresql
from tests.services import PrivateBroker

PREFIX = "soak"
VARIABLES = {
    "DATAPUSHER_VHOST_PREFIX": PREFIX,
    "DATAPUSHER_MAX_STARTS": "100",
    "DATAPUSHER_LEASE": "5",
    "DATAPUSHER_CALLBACK_TIMEOUT": "5",
}
#: Jobs that may wait at a time: the load follows what the machine does.
BACKLOG = 20
BROKER_EACH = 20
SAMPLE_EVERY_S = 2.0
#: Copies of callbacks wait until it is certain that nobody is sending them.
EMPTY_WITHIN_S = 60.0
#: Growth of a veteran from the second quarter of the run to its last that is no leak.
ALLOWED_GROWTH, ALLOWED_FDS = 0.25, 10


@dataclass(frozen=True)
class Report:
    seconds: float
    accepted: int
    refusals: Mapping[str, int]
    account: Account
    #: Callbacks that came twice because a worker was killed between CKAN's answer and its note of it.
    excused: int
    kills: Mapping[str, int]
    #: Seconds from a kill to the first callback of a job that was accepted after it, by kind.
    back_after_s: Mapping[str, list[float]]
    #: Veteran → memory in MB in the second quarter and in the last, file descriptors the same.
    memory_mb: Mapping[str, tuple[float, float]]
    descriptors: Mapping[str, tuple[float, float]]
    left_in_queues: Mapping[str, int]

    @property
    def flat(self) -> bool:
        memory = all(late <= early * (1 + ALLOWED_GROWTH) for early, late in self.memory_mb.values())
        return memory and all(late <= early + ALLOWED_FDS for early, late in self.descriptors.values())

    def page(self, name: str) -> Page:
        return Page(name, self.accepted, self.account, Counter(self.kills), self.back_after_s, self.excused)

    def __str__(self) -> str:
        lines = [
            f"{self.accepted} jobs accepted in {self.seconds:.0f} s; refusals on the way: {dict(self.refusals) or 'none'}",
            f"{self.account} (and {self.excused} twice for a kill at the wrong moment)",
        ]
        for kind, count in sorted(self.kills.items()):
            times = self.back_after_s.get(kind) or [float("nan")]
            lines.append(f"{kind:15} {count:4} times; back after {statistics.median(times):.1f} s, at most {max(times):.1f} s")
        for name in self.memory_mb:
            (early, late), (few, many) = self.memory_mb[name], self.descriptors[name]
            lines.append(f"{name:10} memory {early:.0f} → {late:.0f} MB, file descriptors {few:.0f} → {many:.0f}")
        lines.append(f"left in queues: {dict(self.left_in_queues) or 'nothing'}")
        return "\n".join(lines)


class Soak:
    """One run; *broker* is None for the embedded bus and SQLite."""

    def __init__(self, ledger: Ledger, veterans: Service, broker: PrivateBroker | None, chance: random.Random) -> None:
        self._ledger = ledger
        self._service = ledger.service
        self._broker = broker
        self._chance = chance
        roles = ("gateway", "worker", "recorder")
        self._veterans = dict(zip(roles, veterans.start(*roles), strict=True))
        self._crew = Crew(ledger, chance)
        self._samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._over = threading.Event()
        self._failures: list[BaseException] = []

    def run(self, seconds: float, jobs: int, kill_every_s: float) -> Report:
        began = time.time()
        threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (lambda: self._load(jobs), self._sample)
        ]
        for thread in threads:
            thread.start()
        while time.time() < began + seconds and len(self._ledger.entries) < jobs and not self._failures:
            time.sleep(self._chance.uniform(0.5, 1.5) * kill_every_s)
            self._kill()
        self._over.set()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        account = self._ledger.settle(300)
        return self._report(time.time() - began, account)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # told by the main thread
            self._failures.append(error)

    def _load(self, jobs: int) -> None:
        while not self._over.is_set() and len(self._ledger.entries) < jobs:
            if len(self._ledger.entries) - len(self._ledger.ckan.hooks) < BACKLOG:
                self._ledger.submit(rows=self._chance.randint(1, 20), patience_s=120)
            else:
                time.sleep(0.1)

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            for name, process in self._veterans.items():
                told = psutil.Process(process.pid)
                self._samples[name].append((told.memory_info().rss / 1e6, told.num_fds()))

    def _kill(self) -> None:
        done = len(self._ledger.faults)
        if self._broker and done % BROKER_EACH == BROKER_EACH - 1:
            self._broker.kill()
            self._ledger.note("broker killed")
            self._broker.start()
        else:
            self._crew.kill_somebody()

    def _report(self, seconds: float, account: Account) -> Report:
        excuse(account, self._ledger)
        return Report(
            seconds=seconds,
            accepted=len(self._ledger.entries),
            refusals=self._ledger.refusals,
            account=account,
            excused=self._ledger.excused,
            kills=Counter(fault.kind for fault in self._ledger.faults),
            back_after_s=back_after_s(self._ledger),
            memory_mb={name: quarters([memory for memory, _ in taken]) for name, taken in self._samples.items()},
            descriptors={name: quarters([count for _, count in taken]) for name, taken in self._samples.items()},
            left_in_queues=left_in_queues(self._service),
        )


def quarters(values: list[float]) -> tuple[float, float]:
    """The medians of the second quarter and of the last."""
    size = max(1, len(values) // 4)
    return statistics.median(values[size : 2 * size] or values), statistics.median(values[-size:])


def left_in_queues(service: Service) -> dict[str, int]:
    environment = service.environment
    queues = topology(PREFIX, ["push_to_datastore"], (0.5, 1.0))
    url = store_url(environment.get("DATAPUSHER_SQLALCHEMY_DATABASE_URI", ""), environment["DATAPUSHER_DATA_DIR"])
    bus = connect(environment.get("DATAPUSHER_BROKER_URL", "embedded:"), queues, url)
    try:
        wait_until(lambda: bus.connected, "the bus is there")
        deadline = time.monotonic() + EMPTY_WITHIN_S
        while (left := {one.name: depth for one in queues.queues if (depth := bus.depth(one.name))}) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.5)
        return left
    finally:
        bus.close()


def soak(folder: Path, *, seconds: float, jobs: int, kill_every_s: float, embedded: bool, seed: int) -> Report:
    with ExitStack() as stack:
        variables, broker = dict(VARIABLES), None
        if not embedded:
            broker = stack.enter_context(PrivateBroker())
            database = stack.enter_context(OwnPostgresql())
            variables |= {"DATAPUSHER_BROKER_URL": broker.url, "DATAPUSHER_SQLALCHEMY_DATABASE_URI": database.url}
        service = Service(folder, variables)
        uri = variables.get("DATAPUSHER_SQLALCHEMY_DATABASE_URI", "")
        engine = open_store(store_url(uri, service.environment["DATAPUSHER_DATA_DIR"]))
        stack.callback(engine.dispose)
        ckan = stack.enter_context(Sandbox())
        (folder / "veterans").mkdir()
        # On a port of its own: two gateways cannot share one.
        veterans = Service(
            folder / "veterans", {**variables, "DATAPUSHER_DATA_DIR": service.environment["DATAPUSHER_DATA_DIR"]}
        )
        stack.callback(veterans.stop)
        stack.callback(service.stop)
        ledger = Ledger(service, ckan, engine)
        return Soak(ledger, veterans, broker, random.Random(seed)).run(seconds, jobs, kill_every_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="no new jobs after so long")
    parser.add_argument("--jobs", type=int, default=10_000, help="nor after so many")
    parser.add_argument("--kill-every", type=float, default=4.0, help="mean seconds between kills")
    parser.add_argument("--broker", choices=("rabbitmq", "embedded"), default="rabbitmq")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="datapusher-soak-") as folder:
        report = soak(Path(folder), seconds=given.minutes * 60, jobs=given.jobs, kill_every_s=given.kill_every,
                      embedded=given.broker == "embedded", seed=given.seed)  # fmt: skip
    sys.stdout.write(f"{report}\n")
    sys.exit(0 if report.account.clean and report.flat and not report.left_in_queues else 1)


if __name__ == "__main__":
    main()
