"""The main job through real processes, on both buses."""

import os

import psutil
import pytest

from sandbox.server import Sandbox
from schemas.niceness import NICENESS, give_way
from tests.acceptance.service import Service, wait_until

CSV = b"id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n"
JOBS = 100


def test_an_uploaded_file_becomes_a_table_and_ckan_hears_of_it(service: Service, ckan: Sandbox) -> None:
    service.start("gateway", "worker", "recorder")
    ckan.datapusher_url = service.url
    resource = ckan.add_resource(upload=("people.csv", CSV))

    assert ckan.wait_for(resource["id"])["state"] == "complete", service.logs()
    assert ckan.table(resource["id"]).types == {"id": "numeric", "name": "text", "born": "timestamp"}
    status = ckan.status(resource["id"])
    assert status["task_info"]["status"] == "complete"
    assert any("2" in entry["message"] for entry in status["task_info"]["logs"])


@pytest.mark.timeout(240)
def test_a_hundred_jobs_at_once_all_complete_each_with_one_callback(service: Service, ckan: Sandbox) -> None:
    service.start("gateway", "worker", "worker", "recorder")
    ckan.datapusher_url = service.url
    resources = [ckan.add_resource(upload=(f"{number}.csv", CSV))["id"] for number in range(JOBS)]

    wait_until(lambda: len(ckan.hooks) >= JOBS, "every callback has arrived", 180, on_failure=service.logs)

    assert sorted(hook["metadata"]["resource_id"] for hook in ckan.hooks) == sorted(resources)
    assert {hook["status"] for hook in ckan.hooks} == {"complete"}
    assert all(len(ckan.table(resource).rows) == 2 for resource in resources)
    states = [service.job(hook["job_id"])["state"] for hook in ckan.hooks]
    wait_until(lambda: {service.job(hook["job_id"])["state"] for hook in ckan.hooks} == {"complete"}, f"all complete: {states}")


def test_every_thread_of_a_recorder_of_its_own_gives_way(service: Service) -> None:
    (recorder,) = service.start("recorder")
    wait_until(lambda: "records " in service.logs(), "it records", on_failure=service.logs)
    threads = [thread.id for thread in psutil.Process(recorder.pid).threads()]
    assert len(threads) > 2 and {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {NICENESS}


def test_a_recorder_that_may_not_give_way_runs_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_step: int) -> int:
        raise PermissionError("as by the filter of system calls of a systemd unit")

    monkeypatch.setattr(os, "nice", refuse)
    give_way()
