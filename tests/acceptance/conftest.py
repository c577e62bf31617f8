from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.acceptance.service import Service


@pytest.fixture(params=["embedded", "rabbitmq"])
def variables(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Both ways to run the service: on SQLite alone, and on RabbitMQ with PostgreSQL."""
    if request.param == "embedded":
        return {}
    return {
        "DATAPUSHER_BROKER_URL": request.getfixturevalue("broker_url"),
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": request.getfixturevalue("database_url"),
    }


@pytest.fixture
def service(tmp_path: Path, variables: Mapping[str, str]) -> Iterator[Service]:
    service = Service(tmp_path, variables)
    yield service
    service.stop()


@pytest.fixture
def ckan() -> Iterator[Sandbox]:
    with Sandbox() as ckan:
        yield ckan
