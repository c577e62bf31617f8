"""Processes that are killed and started again, as an init system would."""

import random
import signal
import subprocess

import psutil

from tests.acceptance.service import descendants
from tests.faults.ledger import Account, Ledger

#: A round of kills, in any order: workers and their children do most of the work.
ROUND = ("gateway", "recorder", "worker", "worker", "child", "child", "child")

#: A worker that is killed after CKAN took a callback and before it noted so leaves a second one to be sent: HTTP has no
#: exactly-once. Such a copy is excused only when a worker was killed so soon after the first.
EXCUSED_S = 3.0
#: What lies in CKAN's socket when its sender is killed is taken, and noted, a little after the death.
STILL_TAKEN_S = 0.5


class Crew:
    """A gateway, a recorder and *workers* workers of *ledger*'s service, where each kill is noted."""

    def __init__(self, ledger: Ledger, chance: random.Random, *, workers: int = 2) -> None:
        self.kills: list[str] = []
        self._ledger = ledger
        self._service = ledger.service
        self._chance = chance
        self._round: list[str] = []
        self._members: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("gateway", "recorder", *(f"worker {number}" for number in range(1, workers + 1))):
            self._start(name)

    @property
    def processes(self) -> list["subprocess.Popen[bytes]"]:
        return list(self._members.values())

    def kill_somebody(self) -> None:
        """`kill -9` of one that is fit to be killed; it is started again at once (children by their worker)."""
        kind = self._next_kind()
        if kind == "child":
            victim = self._chance.choice(self._children())
            victim.kill()
            psutil.wait_procs([victim], timeout=10)
            assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE
        else:
            name = self._chance.choice([name for name in self._members if name.startswith(kind)])
            process = self._members[name]
            process.kill()
            assert process.wait() == -signal.SIGKILL, f"{name} had ended by itself\n{self._service.logs()}"
        self.kills.append(kind)
        self._ledger.note(f"{kind} killed")
        if kind != "child":
            self._start(name)

    def _next_kind(self) -> str:
        self._round = self._round or self._chance.sample(ROUND, len(ROUND))
        kind = next(kind for kind in (*self._round, "recorder") if self._fit(kind))
        if kind in self._round:
            self._round.remove(kind)
        return kind

    def _start(self, name: str) -> None:
        (self._members[name],) = self._service.start(name.split()[0])

    def _fit(self, kind: str) -> bool:
        """Workers are given the time to begin: one that is killed while it imports has nothing to lose."""
        return bool(self._children()) if kind in ("worker", "child") else True

    def _children(self) -> list[psutil.Process]:
        workers = [process for name, process in self._members.items() if name.startswith("worker")]
        return [child for worker in workers if worker.poll() is None for child in descendants(worker)]


def excuse(account: Account, ledger: Ledger) -> None:
    """Takes those out of the *account* for whose second callback a kill is to blame, and counts them."""
    deaths = [fault.at for fault in ledger.faults if fault.kind == "worker killed"]
    calls = ledger.ckan.calls("datapusher_hook")

    def excused(job_id: str) -> bool:
        arrived = min(call.at for call in calls if job_id.encode() in call.body)
        return any(-STILL_TAKEN_S <= death - arrived < EXCUSED_S for death in deaths)

    avoidable = [job_id for job_id in account.called_back_twice if not excused(job_id)]
    ledger.excused = len(account.called_back_twice) - len(avoidable)
    account.called_back_twice = avoidable
