"""PostgreSQL restarted, crashed and stopped for a while."""

import time
from collections.abc import Mapping

import pytest

from schemas.errors import StoreUnavailable
from tests.acceptance.service import wait_until
from tests.faults.conftest import OUTAGE_S, Install
from tests.faults.own_postgresql import OwnPostgresql


@pytest.fixture
def variables(broker_url: str, own_postgresql: OwnPostgresql, prefix: str) -> Mapping[str, str]:
    return {
        "DATAPUSHER_BROKER_URL": broker_url,
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": own_postgresql.url,
        "DATAPUSHER_VHOST_PREFIX": prefix,
    }


@pytest.mark.parametrize(("mode", "outage_s"), [("fast", 0.0), ("immediate", 0.0), ("immediate", OUTAGE_S)])
def test_what_was_accepted_ends_once_whatever_postgresql_does(
    install: Install, variables: Mapping[str, str], own_postgresql: OwnPostgresql, mode: str, outage_s: float
) -> None:
    ledger = install(variables)
    ledger.ckan.fail("datastore_create", status=None, times=2, delay_s=1.0)
    ledger.service.start("gateway", "worker", "recorder")
    # One that has no store at its start ends, and nobody starts it again here.
    wait_until(lambda: "records " in ledger.service.logs(), "the recorder records", on_failure=ledger.service.logs)
    for _ in range(6):
        ledger.submit()
    wait_until(lambda: bool(ledger.ckan.calls("datastore_create")), "jobs run", on_failure=ledger.service.logs)

    own_postgresql.stop(mode)
    with pytest.raises(StoreUnavailable):
        ledger.open_jobs()
    refused = ledger.service.post(ledger.ckan.job_for(ledger.entries[0].resource_id))
    time.sleep(outage_s)
    own_postgresql.start()
    ledger.note(f"PostgreSQL stopped ({mode}), away for {outage_s:g} s")
    ledger.submit()

    assert refused.status_code == 503 and isinstance(refused.json()["error"], str)
    account = ledger.settle()
    assert account.clean, f"{vars(account)}\n{ledger.service.logs()}"
