"""`gateway`: one on SQLite and one on PostgreSQL, so that every query runs on both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from schemas.store import open_store
from schemas.tables import metadata
from tests.gateway.gateway_thread import GatewayThread
from tests.gateway.recording import Recording

#: (settings) -> a gateway that runs.
Start = Callable[..., GatewayThread]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("database_url")


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """An empty store; PostgreSQL's is one for the whole run."""
    engine = open_store(store_url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name != "schema_version":
                connection.execute(table.delete())
    yield engine
    engine.dispose()


@pytest.fixture
def start(engine: Engine, tmp_path: Path) -> Iterator[Start]:
    """Starts gateways with settings of their own; several share store and bus."""
    with ExitStack() as stack:

        def start(**settings: Any) -> GatewayThread:
            return stack.enter_context(GatewayThread(engine, tmp_path, **settings))

        yield start


@pytest.fixture
def gateway(start: Start) -> GatewayThread:
    return start()


@pytest.fixture
def recording(engine: Engine, gateway: GatewayThread) -> Recording:
    return Recording(engine, gateway)
