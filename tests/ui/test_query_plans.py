"""No page reads all jobs. SQLite tells how it goes about a query; PostgreSQL scans small tables, whatever indexes there are."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from gateway.ui import queries
from gateway.ui.job_search import Found, find
from schemas.store import reading
from tests.ui.test_job_search import START, WANTED, stored

__all__ = ["stored"]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def plans(engine: Engine) -> Iterator[list[str]]:
    """How SQLite finds what it is asked for while the test runs."""
    found = list[str]()

    def explain(connection: object, cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        asking = engine.raw_connection()
        found.extend(row[3] for row in asking.cursor().execute("EXPLAIN QUERY PLAN " + statement, parameters))
        asking.close()

    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)


def test_no_query_reads_all_jobs_or_all_claims(engine: Engine, stored: list[Found], plans: list[str]) -> None:
    with reading(engine) as connection:
        for wanted in WANTED:
            find(connection, replace(wanted, before=stored[9].place))
            find(connection, replace(wanted, after=stored[9].place))
        queries.activity(connection, START, [START, START + timedelta(hours=1)])
        queries.known_ckans(connection)
        queries.newest_loads(connection, "r1", 30)
        queries.job_facts(connection, "j001")
        queries.first_rejects(connection, "j001", 100)
    assert len(plans) > 50
    bare = [plan for plan in plans if plan.startswith(("SCAN jobs", "SCAN claims", "SCAN rejects")) and "USING" not in plan]
    sorted_all = [plan for plan in plans if plan == "SCAN jobs USING INDEX sqlite_autoindex_jobs_1"]
    assert bare == [] and sorted_all == []
