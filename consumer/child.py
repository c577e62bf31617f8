"""The process that runs job functions: `python -m consumer.child <descriptor> <parent's process id>`, started by `slots.py`.

It speaks JSON with its parent over a socket: never pickle, since it reads strangers' files and must not be able to run
code in the process that holds the secrets.

    parent → child   {settings, modules}, then tasks {run, job_id, job_type, input, folder, kept}
    child → parent   {ready: [job types]} or {bad_setting, message}; for a task any number of {kind, data, run}, of
                     {stage, started_s, seconds, run} and of {keep, run}, which is answered with {kept}; then
                     {returned, raw} or {raised: "job-error" | "transient" | "postponed" | "bug" | "memory", message, …}
"""

import ctypes
import errno
import faulthandler
import json
import math
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from consumer import job
from consumer.memory import Kept, Memory
from consumer.report import Report
from schemas.collector import collect_rarely
from schemas.errors import BadSetting, JobError, Postponed, Transient
from schemas.messages import Json
from schemas.niceness import give_way
from schemas.settings import Settings

#: Value of PR_SET_PDEATHSIG in <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
#: Largest result of a job, in bytes of JSON: it has to fit a message and a row of the store.
MAX_RESULT_BYTES = 16 * 1024 * 1024
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NO_SPACE = "The worker has no space left on its disk for temporary files; its administrator has to make room"
#: Under memory pressure the kernel is to kill a job rather than the worker (proc(5), oom_score_adj).
OOM_SCORE = "1000"


def main(arguments: list[str]) -> None:
    descriptor, parent = int(arguments[0]), int(arguments[1])
    _die_with(parent)
    give_way()  # to the gateway, to PostgreSQL and to CKAN, whose answers people and this very job wait for
    with Connection(descriptor) as connection:
        start = json.loads(connection.recv_bytes())
        settings = Settings(**start["settings"])
        _limit_resources(settings)
        try:
            functions = job.load(start["modules"])
        except BadSetting as error:
            connection.send_bytes(_dump({"bad_setting": error.name, "message": error.message}))
            return
        collect_rarely()
        connection.send_bytes(_dump({"ready": sorted(functions)}))
        _serve(connection, functions, settings)


def _die_with(parent: int) -> None:
    """A child without its worker would work on beside the next run of its job (measured: 7 s without this).

    The signal comes when the *thread* that started the child ends: slot threads live as long as their children.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    # Service managers and terminals signal the whole group; when to stop is the parent's decision.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()


def _limit_resources(settings: Settings) -> None:
    """Memory is watched by the parent (`slots.py` says why); here is what the kernel does well."""
    largest_file = max(settings.max_content_length, settings.max_expanded_length)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    # A core file would hold API keys.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text(OOM_SCORE)


def _serve(connection: Connection, functions: Mapping[str, job.JobFunction], settings: Settings) -> None:
    # Job functions may report from threads of theirs; two halves of messages must not mix.
    lock = threading.Lock()

    def send(message: Mapping[str, object]) -> None:
        data = _dump(message)
        with lock:
            connection.send_bytes(data)

    while True:
        try:
            task = json.loads(connection.recv_bytes())
        except EOFError:
            return
        memory = Memory(task["kept"], partial(_keep, connection, send, task["run"]))
        send({**_run(task, functions, settings, send, memory), "run": task["run"]})


def _keep(connection: Connection, send: Callable[[Mapping[str, object]], None], run: int, value: Kept) -> None:
    """Returns once the store has *value*. While a task runs, the parent says nothing else."""
    send({"keep": value, "run": run})
    connection.recv_bytes()


def _run(
    task: dict[str, Any],
    functions: Mapping[str, job.JobFunction],
    settings: Settings,
    send: Callable[[Mapping[str, object]], None],
    memory: Memory,
) -> dict[str, object]:
    """The task's last message. Whatever a job function raises ends here: there is nobody above to decide."""
    tempfile.tempdir = task["folder"]
    # The number tells the parent what a thread says that an earlier job left behind.
    report = Report(
        lambda kind, data: send({"kind": kind, "data": data, "run": task["run"]}),
        max_rejects=settings.max_rejects_kept,
        timed=lambda name, started_s, seconds: send(
            {"stage": name, "started_s": started_s, "seconds": seconds, "run": task["run"]}
        ),
    )
    try:
        function = functions.get(task["job_type"])
        if function is None:
            raise JobError(f"This worker has no job type {task['job_type']!r}: see DATAPUSHER_JOB_MODULES.")
        with job.running(report, settings, memory):
            return _returned(function(task["job_id"], task["input"]))
    except JobError as error:
        return {"raised": "job-error", "message": error.message, "details": error.as_dict(), "code": error.code}
    except Transient as error:
        kind = "postponed" if isinstance(error, Postponed) else "transient"
        return {"raised": kind, "message": error.message, "retry_after_s": error.retry_after_s}
    except MemoryError:
        return {"raised": "memory", "message": "no memory left"}
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return {"raised": "transient", "message": NO_SPACE, "retry_after_s": None}
        return {"raised": "bug", "message": type(error).__name__, "trace": traceback.format_exc()}


def _returned(value: object) -> dict[str, object]:
    if callable(value):
        value = value()
    raw = isinstance(value, Iterator)
    if isinstance(value, Iterator):
        value = _joined(value)
    message = {"returned": value, "raw": raw}
    if len(_dump(message)) > MAX_RESULT_BYTES:
        raise JobError(f"The result of the job is larger than {MAX_RESULT_BYTES // 1024**2} MiB.")
    return message


def _joined(parts: Iterator[object]) -> str:
    """A streamed result, whole: it crosses the bus as one text."""
    found, size = [], 0
    for part in parts:
        found.append(part if isinstance(part, bytes) else str(part).encode())
        size += len(found[-1])
        if size > MAX_RESULT_BYTES:
            raise JobError(f"The result of the job is larger than {MAX_RESULT_BYTES // 1024**2} MiB.")
    return b"".join(found).decode("utf-8", "replace")


def _dump(message: Mapping[str, object]) -> bytes:
    """Strangers to JSON become text; NaN and the infinities, which JSON lacks, become null."""
    try:
        text = json.dumps(message, default=str, allow_nan=False, ensure_ascii=False)
    except ValueError:
        text = json.dumps(_without_nan(json.loads(json.dumps(message, default=str))), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _without_nan(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main(sys.argv[1:])
