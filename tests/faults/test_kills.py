"""`kill -9` of gateway, worker, recorder and children at random moments, under load."""

import os
import random
import threading
import time
from collections.abc import Mapping

import pytest

from tests.acceptance.service import wait_until
from tests.faults.conftest import Install
from tests.faults.crew import Crew, excuse
from tests.faults.ledger import Ledger
from tests.faults.witness import Witness

KILLS = int(os.environ.get("FAULTS_KILLS", "50"))
#: Each load takes at least so long, so that kills meet it.
LOAD_S = 0.4
#: Random kills may meet one job often; what MAX_STARTS does is another test's matter.
PATIENT = {"DATAPUSHER_MAX_STARTS": "100", "DATAPUSHER_LEASE": "3", "DATAPUSHER_CALLBACK_TIMEOUT": "5"}


@pytest.mark.timeout(900)
def test_fifty_kills_under_load_lose_nothing_and_double_nothing(
    install: Install, on_rabbitmq: Mapping[str, str], broker_url: str, prefix: str
) -> None:
    ledger = install({**on_rabbitmq, **PATIENT})
    ledger.ckan.fail("datastore_create", status=None, times=10**6, delay_s=LOAD_S)
    crew = Crew(ledger, random.Random(KILLS))
    wait_until(ledger.service.ready, "the topology is there", on_failure=ledger.service.logs)
    witness = Witness(broker_url, prefix)

    kill_under_load(crew, ledger, KILLS)
    account = ledger.settle(240)

    assert set(crew.kills) == {"gateway", "worker", "recorder", "child"}
    assert len(crew.kills) == KILLS
    assert any(starts > 1 for starts in ledger.starts().values()), "no kill has met a running job"
    excuse(account, ledger)
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
    assert {job_id: len(ids) for job_id, ids in witness.ends().items()} == {entry.job_id: 1 for entry in ledger.entries}


@pytest.mark.timeout(600)
def test_the_embedded_service_survives_kills_too(install: Install) -> None:
    ledger = install(PATIENT)
    ledger.ckan.fail("datastore_create", status=None, times=10**6, delay_s=LOAD_S)
    crew = Crew(ledger, random.Random(1), workers=1)

    kill_under_load(crew, ledger, KILLS // 4)
    account = ledger.settle(240)

    assert any(starts > 1 for starts in ledger.starts().values()), "no kill has met a running job"
    excuse(account, ledger)
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"


def kill_under_load(crew: Crew, ledger: Ledger, kills: int) -> None:
    """Submits jobs all the time while *kills* processes die, one every second or so."""
    over, failures = threading.Event(), list[BaseException]()

    def load() -> None:
        try:
            while not over.wait(0.5):
                ledger.submit()
        except BaseException as error:  # told by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        chance = random.Random(2)
        for _ in range(kills):
            time.sleep(chance.uniform(0.2, 2.0))
            wait_until(lambda: bool(ledger.open_jobs()) or bool(failures), "there is load")
            crew.kill_somebody()
    finally:
        over.set()
        thread.join()
    assert not failures, failures
