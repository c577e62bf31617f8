"""A locked SQLite file, a full disk, and clocks that jump."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.service import wait_until
from tests.faults.conftest import Install
from tests.faults.ledger import csv

SKEWED = Path(__file__).parent / "skewed"


def test_a_locked_sqlite_file_refuses_in_time_and_loses_nothing(install: Install) -> None:
    ledger = install({})
    ledger.ckan.fail("datastore_create", status=None, times=2, delay_s=1.0)
    ledger.service.start("gateway", "worker", "recorder")
    for _ in range(4):
        ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "jobs run", on_failure=ledger.service.logs)

    path = str(ledger.engine.url.database)
    with sqlite3.connect(path, isolation_level=None, timeout=20) as locker:
        locker.execute("BEGIN IMMEDIATE")
        refused = ledger.service.post(ledger.ckan.job_for(ledger.entries[0].resource_id))
        [late] = ledger.service.spawn("recorder")
        # Longer than the 10 s that a writer waits for the lock.
        wait_until(lambda: "again in" in ledger.service.logs(), "somebody gives up", 60,
                   on_failure=ledger.service.logs)  # fmt: skip
        wait_until(lambda: "cannot start without the store" in ledger.service.logs(), "so does who just starts", 60,
                   on_failure=ledger.service.logs)  # fmt: skip
        locker.execute("ROLLBACK")
    locker.close()
    ledger.note("SQLite locked")
    ledger.submit()

    assert refused.status_code == 503 and isinstance(refused.json()["error"], str)
    assert refused.elapsed.total_seconds() < 2.5
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    assert late.poll() is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A temp folder of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_temp_folder_is_a_clear_error_of_its_job_and_the_next_one_runs(install: Install, small_disk: Path) -> None:
    ledger = install({"TMPDIR": str(small_disk), "DATAPUSHER_MAX_ATTEMPTS": "2"})
    service = ledger.service
    service.start("gateway", "worker", "recorder")
    large = ledger.ckan.add_resource(upload=("large.csv", csv(300_000)))
    answer = service.post(ledger.ckan.job_for(large["id"]))
    job = service.ended(answer.json()["job_id"])
    ledger.note("temp folder full")
    ledger.submit()
    account = ledger.settle()

    assert account.clean, f"{vars(account)}\n{service.logs()}"
    assert job["state"] == "error"
    assert any(word in job["error"]["message"].lower() for word in ("space", "disk")), job["error"]
    assert not ledger.ckan.has_table(large["id"])


@pytest.mark.parametrize("jump_s", [86_400, -86_400], ids=["a day ahead", "a day back"])
@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
def test_clocks_that_jump_in_mid_job_neither_lose_nor_double_it(
    install: Install, request: pytest.FixtureRequest, tmp_path: Path, broker: str, jump_s: int
) -> None:
    variables: Mapping[str, str] = {} if broker == "embedded" else request.getfixturevalue("on_rabbitmq")
    ledger = install({**variables, "FAULTS_CLOCK": str(tmp_path / "clock")})
    service = ledger.service
    service.environment["PYTHONPATH"] = f"{SKEWED}{os.pathsep}{service.environment['PYTHONPATH']}"
    ledger.ckan.fail("datastore_create", status=None, times=2, delay_s=3.0)
    service.start("gateway", "worker", "recorder")
    for _ in range(3):
        ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "jobs run", on_failure=service.logs)

    (tmp_path / "clock").write_text(str(jump_s))
    ledger.note("clock jumps")
    after = ledger.submit()
    account = ledger.settle()

    assert account.clean, f"{vars(account)}\n{service.logs()}"
    assert set(ledger.starts().values()) == {1}
    before, later = (service.job(entry.job_id)["requested_timestamp"] for entry in (ledger.entries[0], after))
    assert before[:10] != later[:10], "no clock has jumped"
