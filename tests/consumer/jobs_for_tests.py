"""Job functions that behave badly, for DATAPUSHER_JOB_MODULES=tests.consumer.jobs_for_tests."""

import ctypes
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from consumer import job
from schemas.errors import Postponed, Transient
from schemas.messages import Json


def _text(input: dict[str, Json], key: str = "data") -> str:
    return str(input[key])


@job.synchronous
def echo(task_id: str, input: dict[str, Json]) -> Json:
    return input["data"]


@job.asynchronous
def logs(task_id: str, input: dict[str, Json]) -> Json:
    logger = logging.getLogger("tests.logs")
    logger.setLevel("DEBUG")
    logger.addHandler(job.StoringHandler(task_id, input))
    logger.warning("by logging: %s", input["data"])
    job.report().info("by report: %s", input["data"])
    with job.report().stage("loading"):
        job.report().progress("loading", rows=7)
    job.report().rejects([(3, "too short", "a,b")])
    return {"stages": list(job.report().durations)}


@job.synchronous
def stream(task_id: str, input: dict[str, Json]) -> Iterator[bytes]:
    return iter([b'{"a":', b" 1}"])


@job.asynchronous
def refuses(task_id: str, input: dict[str, Json]) -> Json:
    raise job.JobError("The file is a picture.", details={"Hint": "Upload a table.", "Key": _text(input, "api_key")})


@job.asynchronous
def stumbles(task_id: str, input: dict[str, Json]) -> Json:
    """Transient failures, as often as the file it counts in says; then a result."""
    tries = Path(_text(input))
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if len(tries.read_text()) < 3:
        raise Transient("CKAN answered 503")
    return len(tries.read_text())


@job.asynchronous
def never_ready(task_id: str, input: dict[str, Json]) -> Json:
    raise Postponed("not yet")


@job.asynchronous
def has_bug(task_id: str, input: dict[str, Json]) -> Json:
    return {"result": 1 / 0, "key": input["api_key"]}


@job.asynchronous
def exits(task_id: str, input: dict[str, Json]) -> Json:
    os._exit(3)


@job.asynchronous
def segfaults(task_id: str, input: dict[str, Json]) -> Json:
    ctypes.string_at(0)
    return None


@job.asynchronous
def loops(task_id: str, input: dict[str, Json]) -> Json:
    while True:
        pass


@job.asynchronous
def works_hard(task_id: str, input: dict[str, Json]) -> Json:
    """Uses data seconds of processor time."""
    end = time.process_time() + float(_text(input))
    while time.process_time() < end:
        pass
    return "worked"


@job.asynchronous
def eats_memory(task_id: str, input: dict[str, Json]) -> Json:
    hoard = []
    while True:
        hoard.append(bytearray(16 * 1024 * 1024))
        time.sleep(0.01)


@job.asynchronous
def sleeps(task_id: str, input: dict[str, Json]) -> Json:
    """Sleeps data seconds."""
    time.sleep(float(_text(input)))
    return "slept"


@job.asynchronous
def works_alone(task_id: str, input: dict[str, Json]) -> Json:
    """Writes when it starts and when it ends into the file *data*, so that an overlap can be seen."""
    with Path(_text(input)).open("a") as file:
        file.write(f"start {task_id} {os.getpid()}\n")
        file.flush()
        time.sleep(0.3)
        file.write(f"end {task_id} {os.getpid()}\n")
    return None


@job.asynchronous
def starts_a_program(task_id: str, input: dict[str, Json]) -> Json:
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(_text(input)).write_text(str(program.pid))
    program.wait()
    return None


@job.synchronous
def tells_secrets(task_id: str, input: dict[str, Json]) -> Json:
    """All a job can see of its surroundings."""
    settings = job.settings()
    environ = Path("/proc/self/environ").read_text().split("\0")
    folder = tempfile.mkdtemp()
    return {"settings": vars(settings), "environ": list(environ), "folder": folder, "key": input["api_key"]}


@job.asynchronous
def leaves_a_thread(task_id: str, input: dict[str, Json]) -> Json:
    """The thread goes on telling when the job has long ended."""
    report = job.report()

    def tell() -> None:
        while True:
            report.info("from a thread of %s", task_id)
            time.sleep(0.001)

    threading.Thread(target=tell, daemon=True).start()
    time.sleep(0.05)
    return None
