"""A store that is opened where the old DataPusher had its jobs."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect, select, text

from schemas.store import open_store, store_url
from schemas.tables import jobs
from tests.conftest import needed
from tests.services import postgresql

#: As ckanserviceprovider and APScheduler make them.
OLD_TABLES = (
    """CREATE TABLE jobs (job_id VARCHAR PRIMARY KEY, job_type VARCHAR, status VARCHAR, data VARCHAR, error VARCHAR,
       requested_timestamp TIMESTAMP, finished_timestamp TIMESTAMP, sent_data VARCHAR, aps_job_id VARCHAR,
       result_url VARCHAR, api_key VARCHAR, job_key VARCHAR)""",
    "CREATE INDEX ix_jobs_status ON jobs (status)",
    "CREATE TABLE metadata (job_id VARCHAR REFERENCES jobs ON DELETE CASCADE, key VARCHAR, value VARCHAR, type VARCHAR)",
    """CREATE TABLE logs (job_id VARCHAR REFERENCES jobs ON DELETE CASCADE, timestamp TIMESTAMP, message VARCHAR,
       level VARCHAR, module VARCHAR, "funcName" VARCHAR, lineno INTEGER)""",
    "CREATE TABLE apscheduler_jobs (id VARCHAR(191) PRIMARY KEY, next_run_time FLOAT, job_state BYTEA)",
    "INSERT INTO jobs (job_id, status) VALUES ('old-1', 'complete')",
    "INSERT INTO logs (job_id, message) VALUES ('old-1', 'Successfully pushed 2 entries')",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/job_store.db"
        else:
            with needed(request, "PostgreSQL"):
                url = store_url(stack.enter_context(postgresql()), "")
        engine = create_engine(url)
        with engine.begin() as connection:
            for statement in OLD_TABLES:
                connection.execute(text(statement))
        engine.dispose()
        yield url


def test_the_old_tables_are_kept_aside_and_ours_are_whole(url: str) -> None:
    engine = open_store(url)
    with engine.begin() as connection:
        job = {"job_id": "new-1", "job_type": "t", "state": "queued", "attempt": 1, "metadata": {}}
        connection.execute(insert(jobs).values(requested_at=datetime(2026, 1, 1), **job))
        assert connection.execute(select(jobs.c.job_id)).scalars().all() == ["new-1"]
        there = "ckanserviceprovider_" if engine.dialect.name == "sqlite" else "ckanserviceprovider."
        kept = [connection.execute(text(f"SELECT job_id FROM {there}{table}")).scalar() for table in ("jobs", "logs")]
    engine.dispose()
    assert kept == ["old-1", "old-1"]


def test_a_store_of_ours_stays_as_it_is(url: str) -> None:
    open_store(url).dispose()
    engine = open_store(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    assert {"jobs", "logs", "outbox", "claims"} <= names
