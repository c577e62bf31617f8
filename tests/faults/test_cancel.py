"""A running load that somebody cancels or deletes: what it had begun is gone within seconds."""

from collections.abc import Iterator, Mapping

import psutil
import psycopg2
import pytest
import requests

from tests.acceptance.service import SECRET, descendants, wait_until
from tests.faults.conftest import Install
from tests.faults.ledger import Ledger, csv
from tests.push.datastore_database import READER, Datastore, reshape
from tests.services import own_database

GONE_WITHIN_S = 5.0
ROWS = 2_000_000
COPYING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'copy%%'"


@pytest.fixture
def datastore(database_url: str) -> Iterator[Datastore]:
    with own_database(database_url) as url:
        yield reshape(url)
    with psycopg2.connect(database_url) as connection:
        connection.cursor().execute(f"DROP ROLE IF EXISTS {READER}")
    connection.close()


@pytest.fixture
def ledger(install: Install, on_rabbitmq: Mapping[str, str], datastore: Datastore) -> Ledger:
    return install({**on_rabbitmq, "DATAPUSHER_DATASTORE_WRITE_URL": datastore.url, "DATAPUSHER_SLOTS": "1"})


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_a_load_that_is_cancelled_is_gone_within_five_seconds_with_its_table(
    ledger: Ledger, datastore: Datastore, verb: str
) -> None:
    service = ledger.service
    _, worker, _ = service.start("gateway", "worker", "recorder")
    large = ledger.ckan.add_resource(upload=("large.csv", csv(ROWS)))
    job_id = service.post(ledger.ckan.job_for(large["id"])).json()["job_id"]
    wait_until(lambda: datastore.value(COPYING) > 0, "rows are on their way", 90, on_failure=service.logs)
    children = descendants(worker)

    url, key = f"{service.url}job/{job_id}", {"Authorization": SECRET}
    answer = requests.post(f"{url}/cancel", headers=key, timeout=10) if verb == "cancel" else requests.delete(
        url, headers=key, timeout=10
    )  # fmt: skip
    assert answer.ok, answer.text
    wait_until(lambda: datastore.value(COPYING) == 0, "the copy has ended", GONE_WITHIN_S, on_failure=service.logs)
    psutil.wait_procs(children, timeout=GONE_WITHIN_S)

    assert not any(child.is_running() for child in children)
    assert datastore.leftovers() == []
    assert large["id"] not in [name for (name,) in datastore.rows("SELECT relname FROM pg_class")]
    if verb == "cancel":
        assert service.ended(job_id)["state"] == "cancelled"
    ledger.submit()
    wait_until(lambda: len(ledger.open_jobs()) == 0, "the next one runs", on_failure=service.logs)
