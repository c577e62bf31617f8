"""One suite, two targets: the sandbox, or the CKAN of DATAPUSHER_TEST_CKAN_URL and DATAPUSHER_TEST_CKAN_TOKEN.

A real CKAN must post its jobs to 127.0.0.1:DATAPUSHER_TEST_SERVICE_PORT (`ckan.datapusher.url`); without that variable the
tests of its datapusher plugin are skipped.
"""

import os
from collections.abc import Iterator

import pytest

from sandbox import Sandbox
from tests.contract.service import Service, ServiceServer
from tests.contract.target import Target

REAL_URL = os.environ.get("DATAPUSHER_TEST_CKAN_URL", "").rstrip("/")
REAL_TOKEN = os.environ.get("DATAPUSHER_TEST_CKAN_TOKEN", "")
SERVICE_PORT = int(os.environ.get("DATAPUSHER_TEST_SERVICE_PORT", "0"))


@pytest.fixture(scope="session")
def server() -> Iterator[ServiceServer]:
    server = ServiceServer(SERVICE_PORT if REAL_URL else 0)
    yield server
    server.close()


@pytest.fixture(scope="session")
def ckan(server: ServiceServer) -> Iterator[Target]:
    """The CKAN under test; each test makes its own datasets."""
    if REAL_URL:
        yield Target(REAL_URL, REAL_TOKEN)
        return
    with Sandbox(server.service.url) as sandbox:
        yield Target(sandbox.url, sandbox.token)


@pytest.fixture
def service(server: ServiceServer) -> Service:
    """The DataPusher behind the CKAN under test, well-behaved again."""
    if REAL_URL and not SERVICE_PORT:
        pytest.skip("the real CKAN's datapusher plugin is not known to point here: set DATAPUSHER_TEST_SERVICE_PORT")
    fresh = Service(server.service.url)
    server.service = fresh
    return fresh
