"""The service as an administrator runs it: real processes of `datapusher`, started, killed and asked over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).parents[2]
SECRET = "acceptance-secret"
#: Delays short enough for tests; everything else as a user has it.
QUICK = {
    "DATAPUSHER_RETRY_DELAYS": "0.5,1", "DATAPUSHER_CALLBACK_DELAYS": "0.5,1", "DATAPUSHER_BUSY_DELAY": "0.5",
    "DATAPUSHER_LEASE": "4", "DATAPUSHER_SECRET_KEY": SECRET, "DATAPUSHER_PASSWORD": "sesame",
    "DATAPUSHER_HOST": "127.0.0.1", "DATAPUSHER_DRAIN_TIMEOUT": "5",
}  # fmt: skip
LIMIT_S = 60.0
#: A machine that has much else to do needs more: every limit is that many times as long.
PATIENCE = float(os.environ.get("TESTS_PATIENCE", "1"))


class Service:
    """One installation on one machine: any number of processes that share *variables* and a data folder."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        own = {"DATAPUSHER_PORT": str(self.port), "DATAPUSHER_DATA_DIR": str(folder / "data")}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DATAPUSHER_")}
        self.environment = {**inherited, **QUICK, **own, **variables, "PYTHONPATH": str(ROOT)}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *roles: str) -> list["subprocess.Popen[bytes]"]:
        """Processes `datapusher <role>`, one each; returns when a gateway among them listens."""
        started = self.spawn(*roles)
        if {"gateway", "up"} & set(roles):
            wait_until(self.answers, "the gateway listens", on_failure=self.logs)
        return started

    def spawn(self, *roles: str) -> list["subprocess.Popen[bytes]"]:
        """As `start`, and waits for none."""
        return [self._start(role) for role in roles]

    def _start(self, role: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{role}-{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen([sys.executable, str(ROOT / "datapusher.py"), role], env=self.environment,
                                       stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)  # fmt: skip
        self.processes.append(process)
        return process

    def answers(self, path: str = "health/live") -> bool:
        try:
            return requests.get(self.url + path, timeout=5).ok
        except requests.RequestException:
            return False

    def ready(self) -> bool:
        """Whether the gateway has its store and its bus."""
        return self.answers("health/ready")

    def stop(self) -> None:
        """Ends every process, politely first."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def post(self, body: Mapping[str, Any], **options: Any) -> requests.Response:
        return requests.post(self.url + "job", json=body, timeout=10, **options)

    def job(self, job_id: str) -> dict[str, Any]:
        answer = requests.get(f"{self.url}job/{job_id}", headers={"Authorization": SECRET}, timeout=10)
        return dict(answer.json()) if answer.ok else {"state": f"HTTP {answer.status_code}", "body": answer.text}

    def ended(self, job_id: str, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """The job once it is in a final state."""
        wait_until(lambda: self.job(job_id)["state"] in ("complete", "error", "cancelled", "dead"), f"{job_id} ends",
                   limit_s, on_failure=lambda: f"{self.job(job_id)}\n{self.logs()}")  # fmt: skip
        return self.job(job_id)

    def logs(self) -> str:
        """What all processes wrote, for a failing test."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.folder.glob("*.log"))
        )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(
    holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S, on_failure: Callable[[], str] = lambda: ""
) -> None:
    """Returns once *holds*; fails with *what* did not come true and what *on_failure* can tell."""
    deadline = time.monotonic() + limit_s * PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"after {limit_s} s not true: {what}\n{on_failure()}"
        time.sleep(0.05)


def descendants(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))
