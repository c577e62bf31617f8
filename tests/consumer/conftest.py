"""Stores and workshops: once as it comes (SQLite and the embedded bus), once as it grows (PostgreSQL and RabbitMQ)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from schemas.store import open_store, store_url, writing
from schemas.tables import cancellations, claims, jobs, logs, outbox, rejects, workers
from tests.consumer.hook_server import HookServer
from tests.consumer.workshop import QUICK, Workshop


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store's URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return store_url(request.getfixturevalue("database_url"), "")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An empty store."""
    engine = open_store(url)
    with writing(engine) as connection:
        for table in (jobs, logs, rejects, claims, cancellations, outbox, workers):
            connection.execute(delete(table))
    yield engine
    engine.dispose()


@pytest.fixture(params=["embedded", "rabbitmq"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Workshop]:
    """Listens to events; the test starts what it needs."""
    embedded = request.param == "embedded"
    broker = "embedded:" if embedded else request.getfixturevalue("broker_url")
    store = f"sqlite:///{tmp_path}/store.db" if embedded else store_url(request.getfixturevalue("database_url"), "")
    with Workshop(replace(QUICK, broker_url=broker, vhost_prefix=prefix), store) as workshop:
        yield workshop


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server
