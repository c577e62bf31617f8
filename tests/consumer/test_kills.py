"""Workers that are killed outright."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from schemas.messages import Kind
from tests.consumer.hook_server import HookServer
from tests.consumer.workshop import Workshop, end_politely, eventually


def children(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def kill(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Kills the worker alone; gives the children it had, of which there must be some."""
    had = children(process)
    assert had
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return had


def test_a_job_whose_worker_is_killed_completes_elsewhere_and_leaves_no_orphan(workshop: Workshop, hook: HookServer) -> None:
    workshop.listen().callbacks()
    first = workshop.worker_process()
    job_id = workshop.send("sleeps", 2, result_url=hook.url)
    workshop.await_told(job_id, Kind.STARTED)
    orphans = kill(first)
    eventually(lambda: not any(each.is_running() and each.status() != "zombie" for each in orphans), 2)
    workshop.worker_process()
    assert workshop.end(job_id).kind is Kind.COMPLETE
    started = workshop.told(job_id, Kind.STARTED)
    assert [event.data["starts"] for event in started] == [1, 2]
    lines = [event.data["message"] for event in workshop.told(job_id, Kind.LOG)]
    assert f"Start 2 begins: worker {started[0].data['worker']} is gone." in lines
    eventually(lambda: any(event.data["state"] == "delivered" for event in workshop.told(job_id, Kind.CALLBACK)))
    assert len(hook.calls) == 1


def test_killing_the_child_alone_is_a_crash_of_the_job_not_of_the_worker(workshop: Workshop) -> None:
    workshop.listen()
    worker = workshop.worker_process(slots=1)
    job_id = workshop.send("sleeps", 1)
    workshop.await_told(job_id, Kind.STARTED)
    for child in children(worker):
        child.kill()
    assert workshop.end(job_id).kind is Kind.COMPLETE
    assert "signal 9" in str(workshop.told(job_id, Kind.RETRYING)[0].data["reason"])
    assert worker.poll() is None


def test_a_child_that_is_killed_while_its_worker_starts_does_not_end_the_worker(workshop: Workshop) -> None:
    workshop.listen()
    worker = workshop.worker_process(slots=1)
    eventually(lambda: children(worker))
    children(worker)[0].kill()
    assert workshop.end(workshop.send("echo", 1)).kind is Kind.COMPLETE
    assert worker.poll() is None


def test_a_job_that_kills_its_worker_each_time_is_poison(workshop: Workshop) -> None:
    workshop.listen()
    dead = workshop.dead()
    job_id = workshop.send("sleeps", 30)
    for start in (1, 2):
        worker = workshop.worker_process()
        workshop.await_told(job_id, Kind.STARTED, times=start)
        kill(worker)
    workshop.worker_process()
    assert workshop.end(job_id).kind is Kind.DEAD
    assert "started 2 times" in str(dead.of(job_id).headers["dead-reason"])


def test_sigterm_ends_a_worker_process_and_its_children(workshop: Workshop) -> None:
    workshop.listen()
    worker = workshop.worker_process()
    workshop.end(workshop.send("echo", 1))
    had = children(worker)
    assert end_politely(worker) == 0
    assert not any(child.is_running() for child in had)


def test_no_folder_of_a_drained_worker_is_left(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    workshop.listen()
    worker = workshop.worker_process()
    workshop.end(workshop.send("tells_secrets"))
    end_politely(worker)
    assert not list(tmp_path.glob("*datapusher-worker-*"))
