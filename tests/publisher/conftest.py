"""`lab`: the same tests over both buses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publisher.lab import Lab


@pytest.fixture(params=["embedded", "rabbitmq"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Lab]:
    url = "embedded:" if request.param == "embedded" else request.getfixturevalue("broker_url")
    with Lab(url, f"sqlite:///{tmp_path}/store.db", prefix) as lab:
        yield lab


@pytest.fixture
def rabbit(broker_url: str, prefix: str) -> Iterator[Lab]:
    with Lab(broker_url, "", prefix) as lab:
        yield lab


@pytest.fixture
def embedded(tmp_path: Path, prefix: str) -> Iterator[Lab]:
    with Lab("embedded:", f"sqlite:///{tmp_path}/store.db", prefix) as lab:
        yield lab
