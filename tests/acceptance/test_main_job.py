"""The main job through real processes, on both buses."""

import pytest

from sandbox.server import Sandbox
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
