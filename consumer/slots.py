"""A slot runs one job at a time in a child process, and answers for what the child may do.

Children are new programs, not forks: a fork of a process with threads may deadlock, and a program of its own has an
environment of its own, without the service's secrets (`/proc/<pid>/environ` of a fork or of multiprocessing's spawn would
show ours). They live long, since importing Polars and Arrow takes longer than a small job.

The memory limit is watched from here: RLIMIT_AS counts address space, of which Arrow's and Polars' allocators reserve
many times what they use, and RLIMIT_DATA counts reserved pages and every thread's stack; both end in an abort deep in
somebody's C++. Anonymous resident pages are what a machine runs out of. What grows faster than we look is the kernel's
(`child.OOM_SCORE`).
"""

import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from consumer.memory import FORGETFUL, Memory
from consumer.retry import Bug
from consumer.scratch import Scratch
from consumer.unhurried import Tell, Unhurried
from consumer.watchman import Watchman
from publisher.backoff import delays
from schemas.errors import BadSetting, JobError, Postponed, Stopped, Transient
from schemas.json_text import dump_json, load_json
from schemas.messages import Job, Json, Kind
from schemas.settings import Settings, environment_for_jobs, rows_of_table, words

logger = logging.getLogger(__name__)

#: Importing everything a job may need takes some seconds on a slow disk.
START_TIMEOUT_S = 120.0
#: Children that may die while they start before the start of the worker fails.
FIRST_TRIES = 4
#: A shorter text would be found in places where it means nothing.
SHORTEST_SECRET = 6
#: What is kept of a stage's name, in characters.
LONGEST_STAGE = 100

#: Of a stage that is over: its name, when it began (seconds since 1970), how long it took (seconds).
Timed = Callable[[str, float, float], None]


def _untimed(name: str, started_s: float, seconds: float) -> None:
    pass


class Slot:
    """For one thread, which must live as long as the slot: children die with the thread that started them."""

    def __init__(self, settings: Settings, scratch: Scratch, watchman: Watchman | None = None) -> None:
        self._settings = settings_for_jobs(settings)
        self._limits = settings
        self._scratch = scratch
        self._watchman = watchman or Watchman()
        self._child: Child | None = None

    def prepare(self) -> None:
        """Makes sure that a child is ready, its imports done.

        Raises: BadSetting when the job modules cannot be used, Stopped(`died`) when the child died over it.
        """
        if self._child is None:
            self._child = Child(self._settings)
        try:
            self._child.wait_until_ready()
        except (BadSetting, Stopped):
            self.discard()
            raise

    def prepare_first(self) -> None:
        """A child may be killed while it starts, as when memory is short; one that dies each time cannot work here."""
        for pause_s in islice(delays(), FIRST_TRIES - 1):
            try:
                self.prepare()
                return
            except Stopped as stopped:
                logger.warning("a child process died while it started: %s", stopped.message)
                time.sleep(pause_s)
        self.prepare()

    def run(
        self, job: Job, tell: Tell, check: Callable[[], None], timed: Timed = _untimed, memory: Memory = FORGETFUL
    ) -> dict[str, Json]:
        """Runs *job*, whose api_key is open; gives data of the complete event.

        *tell* and *timed* hear what the job tells. *check* is called ten times a second from another thread; what it raises
        (Stopped) kills the child, as does what *memory* raises when it is to keep something.
        Raises: JobError, Transient, Bug as the job function did; Stopped.
        """
        self.prepare()
        child = self._child
        assert child is not None
        with self._scratch.job_folder() as folder:
            try:
                return self._supervised(child, job, folder, check, tell, timed, memory)
            except (JobError, Transient, Bug):
                raise
            except BaseException:
                # Killed, or in the middle of its work still: what it says next must not be taken for the next job's.
                self.discard()
                raise
            finally:
                if child.runs >= self._limits.jobs_per_child:
                    self.discard()

    def discard(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _supervised(
        self, child: "Child", job: Job, folder: Path, check: Callable[[], None], tell: Tell, timed: Timed, memory: Memory
    ) -> dict[str, Json]:
        deadline = time.monotonic() + self._limits.job_timeout
        processor_end_s = child.processor_s + self._limits.job_cpu_time if self._limits.job_cpu_time else math.inf

        def look() -> None:
            try:
                check()
                child.check_limits(deadline, processor_end_s, self._limits.job_memory)
            except Stopped as stopped:
                child.kill(stopped)

        with self._watchman.looking(look):
            return child.run(job, folder, tell, timed, memory)


class Child:
    """One process that runs jobs."""

    def __init__(self, settings: Settings) -> None:
        self.runs = 0
        self._ready = False
        self._stopped: Stopped | None = None
        self._killing = threading.Lock()
        self._secrets = _secrets(settings)
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # -P: a folder called `consumer` where the worker was started must not be taken for ours.
                [sys.executable, "-P", "-m", "consumer.child", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Of its own group, so that whatever it starts is killed with it.
                start_new_session=True,
                env={**environment_for_jobs(), "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        self._send({"settings": asdict(settings), "modules": words(settings.job_modules)})

    def wait_until_ready(self) -> None:
        if self._ready:
            return
        if not self._connection.poll(START_TIMEOUT_S):
            self.kill()
        message = self._receive()
        if "bad_setting" in message:
            raise BadSetting(message["bad_setting"], message["message"].partition(": ")[2])
        self._ready = True

    def run(self, job: Job, folder: Path, tell: Tell, timed: Timed, memory: Memory) -> dict[str, Json]:
        self.runs += 1
        told = {"job_id": job.job_id, "job_type": job.job_type, "input": job.input}
        self._send({"run": self.runs, **told, "folder": str(folder), "kept": memory.kept})
        with closing(Unhurried(tell)) as unhurried:
            return self._hear_out(job.api_key, unhurried, timed, memory)

    def _hear_out(self, api_key: str, unhurried: Unhurried, timed: Timed, memory: Memory) -> dict[str, Json]:
        while True:
            while not self._speaks(unhurried.patience_s):
                unhurried.go_on()
            message = self._receive(api_key)
            if message.get("run") != self.runs:
                continue
            if "stage" in message:
                timed(str(message["stage"])[:LONGEST_STAGE], message["started_s"], message["seconds"])
                continue
            if "keep" in message:
                memory.keep(message["keep"])
                self._send({"kept": True})
                continue
            if "kind" not in message:
                return _result(message)
            unhurried.tell(Kind(message["kind"]), message["data"])

    @property
    def processor_s(self) -> float:
        """Processor time that its threads have used since it was started, in seconds."""
        return processor_seconds(self._process.pid)

    def check_limits(self, deadline: float, processor_end_s: float, memory_bytes: int) -> None:
        """Raises: Stopped (`timeout`, `cpu-time`, `memory`)."""
        if time.monotonic() > deadline:
            raise Stopped("timeout")
        if self.processor_s > processor_end_s:
            raise Stopped("cpu-time")
        if memory_bytes and (used := anonymous_bytes(self._process.pid)) > memory_bytes:
            raise Stopped("memory", f"{used:,} bytes; DATAPUSHER_JOB_MEMORY allows {memory_bytes:,}")

    def kill(self, why: Stopped | None = None) -> None:
        """Ends the process and all it started, at once. May be called from any thread."""
        self._stopped = self._stopped or why
        with self._killing:
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if why is None:
            self._connection.close()

    def _send(self, message: Mapping[str, object]) -> None:
        try:
            self._connection.send_bytes(dump_json(message))
        except OSError:
            # It is dead; receiving will say why.
            logger.debug("child %d does not listen", self._process.pid)

    def _speaks(self, within_s: float | None) -> bool:
        """Whether there is something to receive; None for whenever it comes."""
        try:
            return within_s is None or self._connection.poll(within_s)
        except OSError:
            return True  # that it is dead

    def _receive(self, api_key: str = "") -> dict[str, Any]:
        """Its next message, with every secret that it may have put there replaced."""
        try:
            data = self._connection.recv_bytes()
            for secret in (*self._secrets, dump_json(api_key)[1:-1]):
                data = data.replace(secret, b"***") if len(secret) >= SHORTEST_SECRET else data
            message: dict[str, Any] = load_json(data)
        except (EOFError, OSError, ValueError):
            raise self._why_dead() from None
        return message

    def _why_dead(self) -> Stopped:
        if self._stopped is None:
            self.kill(Stopped("died"))
            code = self._process.returncode
            self._stopped = Stopped("died", f"signal {-code}" if code < 0 else f"exit status {code}")
        return self._stopped


def settings_for_jobs(settings: Settings) -> Settings:
    """What a job may know of the settings: of the secrets only those it works with (the DataStore's URL, proxies)."""
    return replace(
        settings,
        secret_key="",
        password="",
        message_keys="",
        sqlalchemy_database_uri="",
        broker_url="embedded:",
        management_url="",
    )


def anonymous_bytes(process_id: int) -> int:
    """Resident memory that is nobody's file, in bytes; 0 where it cannot be told."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:")))
    return sum(int(words[1]) for words in lines) * 1024


def processor_seconds(process_id: int) -> float:
    """Time in user and in kernel mode of all threads (proc(5), fields 14 and 15 of stat); 0 where it cannot be told."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _secrets(settings: Settings) -> tuple[bytes, ...]:
    values = (str(getattr(settings, row.name)) for row in rows_of_table() if row.secret)
    return tuple(dump_json(value)[1:-1] for value in values)


def _result(message: dict[str, Any]) -> dict[str, Json]:
    """Raises what the job function raised."""
    text = str(message.get("message", ""))
    match message.get("raised"):
        case None:
            return {"data": message["returned"], **({"raw": True} if message["raw"] else {})}
        case "job-error":
            raise _job_error(text, message)
        case "transient":
            raise Transient(text, retry_after_s=message["retry_after_s"])
        case "postponed":
            raise Postponed(text, retry_after_s=message["retry_after_s"])
        case "memory":
            raise Stopped("memory", text)
        case _:
            raise Bug(text, str(message.get("trace", "")))


def _job_error(text: str, message: dict[str, Any]) -> JobError:
    error = JobError(text, details={key: value for key, value in message["details"].items() if key != "message"})
    error.code = message["code"]
    return error
