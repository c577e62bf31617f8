from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.acceptance.service import Service
from tests.conftest import needed
from tests.services import postgresql


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own: what one test leaves in its outbox is not published by the next one's gateway."""
    with ExitStack() as stack:
        with needed(request, "PostgreSQL"):
            url = stack.enter_context(postgresql())
        yield url


@pytest.fixture
def on_rabbitmq(broker_url: str, database_url: str, prefix: str) -> Mapping[str, str]:
    """What makes a service use RabbitMQ and PostgreSQL, apart from every other test's."""
    return {
        "DATAPUSHER_BROKER_URL": broker_url,
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": database_url,
        "DATAPUSHER_VHOST_PREFIX": prefix,
    }


@pytest.fixture(params=["embedded", "rabbitmq"])
def variables(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Both ways to run the service: on SQLite alone, and on RabbitMQ with PostgreSQL."""
    return {} if request.param == "embedded" else request.getfixturevalue("on_rabbitmq")


@pytest.fixture
def service(tmp_path: Path, variables: Mapping[str, str]) -> Iterator[Service]:
    service = Service(tmp_path, variables)
    yield service
    service.stop()


@pytest.fixture
def ckan() -> Iterator[Sandbox]:
    with Sandbox() as ckan:
        yield ckan
