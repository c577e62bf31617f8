"""Jobs that take their process with them, through the whole service."""

from collections.abc import Mapping

import pika
import pytest

from tests.acceptance.service import wait_until
from tests.faults.conftest import Install
from tests.faults.ledger import Ledger

MODULES = "consumer.push.job,tests.consumer.jobs_for_tests,tests.faults.jobs"
LIMITS = {"DATAPUSHER_MAX_STARTS": "2", "DATAPUSHER_JOB_TIMEOUT": "10", "DATAPUSHER_JOB_MEMORY": "600000000"}
#: How each ends: what kills its process again and again is dead, what only lasts too long is an error.
ENDS = {"segfaults": "dead", "exits": "dead", "eats_memory": "dead", "loops": "error", "holds_the_gil": "error"}


@pytest.fixture
def ledger(install: Install, on_rabbitmq: Mapping[str, str]) -> Ledger:
    return install({**on_rabbitmq, **LIMITS, "DATAPUSHER_JOB_MODULES": MODULES})


def test_poison_is_capped_and_laid_with_the_dead_and_harms_no_other_job(ledger: Ledger, broker_url: str, prefix: str) -> None:
    service = ledger.service
    _, worker, _ = service.start("gateway", "worker", "recorder")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    poison = {job_type: service.post({"job_type": job_type, "api_key": "key"}).json()["job_id"] for job_type in ENDS}
    for _ in range(5):
        ledger.submit()

    assert {job_type: service.ended(job_id, 120)["state"] for job_type, job_id in poison.items()} == ENDS
    assert all(ledger.starts()[job_id] == (2 if ENDS[job_type] == "dead" else 1) for job_type, job_id in poison.items())
    wait_until(lambda: depth(broker_url, f"{prefix}.dead") == 3, "the dead are three")
    assert worker.poll() is None
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{service.logs()}"


def depth(broker_url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
