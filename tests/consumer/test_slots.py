import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from consumer.retry import Bug
from consumer.scratch import Scratch
from consumer.slots import Slot
from schemas.errors import BadSetting, JobError, Stopped, Transient
from schemas.messages import Job, Json, Kind
from schemas.settings import Settings
from tests.consumer.workshop import API_KEY, MODULE, eventually

SETTINGS = Settings(
    job_modules=MODULE, secret_key="our own secret", password="sesame-open", broker_url="amqp://user:pw@host",
    sqlalchemy_database_uri="postgresql://store", message_keys="a-fernet-key", management_url="http://guest:guest@host",
    job_memory=300_000_000,
)  # fmt: skip


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    scratch = Scratch(tmp_path)
    yield scratch
    scratch.close()


@pytest.fixture
def slot(scratch: Scratch) -> Iterator[Slot]:
    slot = Slot(SETTINGS, scratch)
    yield slot
    slot.discard()


def nothing() -> None: ...


def run(slot: Slot, job_type: str, data: Json = None, told: list[tuple[Kind, Mapping[str, Json]]] | None = None) -> Json:
    job = Job(job_id="a-job", job_type=job_type, api_key=API_KEY, data=data)
    heard = told if told is not None else []
    return slot.run(job, lambda kind, data: heard.append((kind, data)), nothing)


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "consumer.child" in each.cmdline()]


def test_a_job_gives_any_json_value(slot: Slot) -> None:
    value: Json = {"a": [1, 2.5, None, True], "ü": "ß\u0000"}
    assert run(slot, "echo", value) == {"data": value}


def test_a_stream_is_given_whole_and_marked_raw(slot: Slot) -> None:
    assert run(slot, "stream") == {"data": '{"a": 1}', "raw": True}


def test_logs_and_rejects_are_told_in_order_and_of_progress_the_last(slot: Slot) -> None:
    told: list[tuple[Kind, Mapping[str, Json]]] = []
    run(slot, "logs", "hello", told)
    kinds = [Kind.LOG, Kind.LOG, Kind.REJECTS, Kind.PROGRESS]
    assert [kind for kind, _ in told] == kinds
    assert [data.get("message") for _, data in told[:2]] == ["by logging: hello", "by report: hello"]


@pytest.mark.parametrize("api_key", [API_KEY, "schlüssel zum haus"])
def test_a_job_error_comes_with_its_details_and_without_the_api_key(slot: Slot, api_key: str) -> None:
    job = Job(job_id="a-job", job_type="refuses", api_key=api_key)
    with pytest.raises(JobError, match=r"The file is a picture\.") as caught:
        slot.run(job, lambda kind, data: None, nothing)
    assert caught.value.details == {"Hint": "Upload a table.", "Key": "***"}


def test_a_passing_failure_stays_one(slot: Slot, tmp_path: Path) -> None:
    with pytest.raises(Transient, match="CKAN answered 503"):
        run(slot, "stumbles", str(tmp_path / "tries"))


def test_a_bug_comes_with_its_traceback(slot: Slot) -> None:
    with pytest.raises(Bug, match="ZeroDivisionError") as caught:
        run(slot, "has_bug")
    assert "in has_bug" in caught.value.trace
    assert API_KEY not in caught.value.trace


def test_a_type_that_no_module_has_is_an_error_of_the_job(slot: Slot) -> None:
    with pytest.raises(JobError, match="no job type 'unregistered'"):
        run(slot, "unregistered")


@pytest.mark.parametrize(("job_type", "why"), [("exits", "exit status 3"), ("segfaults", "signal 11")])
def test_a_child_that_dies_stops_the_job_and_the_next_one_runs(slot: Slot, job_type: str, why: str) -> None:
    with pytest.raises(Stopped, match=why) as caught:
        run(slot, job_type)
    assert caught.value.why == "died"
    assert run(slot, "echo", 1) == {"data": 1}


def test_an_endless_loop_is_killed_at_its_time_limit(scratch: Scratch) -> None:
    slot = Slot(replace(SETTINGS, job_timeout=0.5), scratch)
    started = time.monotonic()
    with pytest.raises(Stopped) as caught:
        run(slot, "loops")
    assert (caught.value.why, children()) == ("timeout", [])
    assert time.monotonic() - started < 5


def test_an_endless_loop_is_killed_at_its_limit_of_processor_time(scratch: Scratch) -> None:
    slot = Slot(replace(SETTINGS, job_cpu_time=0.5), scratch)
    with pytest.raises(Stopped) as caught:
        run(slot, "loops")
    assert (caught.value.why, children()) == ("cpu-time", [])


def test_what_earlier_jobs_of_a_child_used_is_not_counted_against_the_next(scratch: Scratch) -> None:
    slot = Slot(replace(SETTINGS, job_cpu_time=1.5), scratch)
    for _ in range(3):
        assert run(slot, "works_hard", 0.8) == {"data": "worked"}
    slot.discard()


def test_a_job_that_eats_memory_is_killed_and_told_the_limit(slot: Slot) -> None:
    with pytest.raises(Stopped, match="DATAPUSHER_JOB_MEMORY allows 300,000,000") as caught:
        run(slot, "eats_memory")
    assert caught.value.why == "memory"


def test_whatever_the_check_raises_kills_the_job_and_what_it_started(slot: Slot, tmp_path: Path) -> None:
    started = tmp_path / "process"

    def check() -> None:
        if started.exists() and started.read_text():
            raise Stopped("cancelled")

    job = Job(job_id="a-job", job_type="starts_a_program", data=str(started))
    with pytest.raises(Stopped, match="cancelled"):
        slot.run(job, lambda kind, data: None, check)
    eventually(lambda: not psutil.pid_exists(int(started.read_text())) or _is_zombie(int(started.read_text())))
    assert children() == []


def test_a_job_sees_none_of_the_services_secrets(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPUSHER_SECRET_KEY", "our own secret")
    monkeypatch.setenv("HARMLESS", "yes")
    seen = str(run(slot, "tells_secrets"))
    assert "HARMLESS=yes" in seen
    for secret in ("our own secret", "sesame-open", "user:pw", "postgresql://store", "a-fernet-key", "guest:guest"):
        assert secret not in seen


def test_temporary_files_lie_in_a_folder_that_is_gone_with_the_job(slot: Slot, scratch: Scratch) -> None:
    seen = run(slot, "tells_secrets")
    assert isinstance(seen, dict)
    data = seen["data"]
    assert isinstance(data, dict)
    folder = Path(str(data["folder"]))
    assert folder.is_relative_to(scratch.folder)
    assert not folder.exists()
    with pytest.raises(Stopped):
        run(slot, "exits")
    assert list(scratch.folder.glob("job-*")) == []


def test_a_child_runs_many_jobs_and_is_then_replaced(scratch: Scratch) -> None:
    slot = Slot(replace(SETTINGS, jobs_per_child=2), scratch)
    pids = []
    for _ in range(4):
        slot.prepare()
        pids.append(children()[0].pid)
        run(slot, "echo")
    slot.discard()
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_thread_that_a_job_leaves_behind_tells_nothing_in_the_next_ones_name(slot: Slot) -> None:
    told: list[tuple[Kind, Mapping[str, Json]]] = []
    run(slot, "leaves_a_thread", told=told)
    assert told
    later: list[tuple[Kind, Mapping[str, Json]]] = []
    run(slot, "sleeps", 0.1, told=later)
    assert later == []


def test_a_failure_of_ours_while_a_job_tells_does_not_leave_its_words_to_the_next(slot: Slot) -> None:
    def fail(kind: Kind, data: Mapping[str, Json]) -> None:
        raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError):
        slot.run(Job(job_id="a", job_type="logs", data="x"), fail, nothing)
    told: list[tuple[Kind, Mapping[str, Json]]] = []
    assert run(slot, "echo", 1, told) == {"data": 1}
    assert told == []


def test_a_module_that_cannot_be_imported_stops_the_start(scratch: Scratch) -> None:
    slot = Slot(replace(SETTINGS, job_modules="no.such"), scratch)
    with pytest.raises(BadSetting, match=r"^DATAPUSHER_JOB_MODULES: cannot import no\.such"):
        slot.prepare()
    assert children() == []


def test_a_folder_called_consumer_where_the_worker_runs_is_not_ours(
    slot: Slot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "consumer").mkdir()
    (tmp_path / "consumer" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir(tmp_path)
    assert run(slot, "echo", 1) == {"data": 1}


def _is_zombie(pid: int) -> bool:
    return str(psutil.Process(pid).status()) == str(psutil.STATUS_ZOMBIE)
