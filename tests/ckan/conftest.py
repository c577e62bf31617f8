"""A real CKAN, as `python -m tests.ckan` brings it up and names it by variables, and our service in front of it.

Every test here runs with each loader: CKAN's API alone, and COPY, which runs on both buses.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests
from kombu.connection import Connection

from tests.acceptance.service import Service
from tests.ckan.client import RealCkan
from tests.ckan.datastore import Datastore
from tests.push.file_server import FileServer, running

URL = os.environ.get("DATAPUSHER_TEST_CKAN_URL", "").rstrip("/")
TOKEN = os.environ.get("DATAPUSHER_TEST_CKAN_TOKEN", "")
WRITE_URL = os.environ.get("DATAPUSHER_TEST_CKAN_WRITE_URL", "")
SERVICE_PORT = int(os.environ.get("DATAPUSHER_TEST_SERVICE_PORT", "0"))
#: A callback makes CKAN submit again, if at all, before it is answered.
QUIET_S = 1.0


class PushService(Service):
    """Listens where CKAN posts its jobs to, and may fetch from this machine."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        own = {"DATAPUSHER_PORT": str(SERVICE_PORT), "DATAPUSHER_ALLOWED_NETWORKS": "127.0.0.1"}
        super().__init__(folder, {**own, **variables})
        self.port = SERVICE_PORT
        self.url = f"http://127.0.0.1:{SERVICE_PORT}/"

    def jobs_of(self, resource_id: str) -> list[str]:
        """The ids of all jobs that were posted for a resource: CKAN's, and those of a test."""
        listed = requests.get(f"{self.url}job?resource_id={resource_id}", timeout=10).json()["list"]
        return [str(path).rpartition("/")[2] for path in listed]

    def quiet(self, resource_id: str) -> int:
        """How many jobs a resource has had, once all have ended and CKAN had the time to post one more."""
        count = 0
        while count < len(ids := self.jobs_of(resource_id)):
            count = len(ids)
            for job_id in ids:
                self.ended(job_id)
            time.sleep(QUIET_S)
        return count


@pytest.fixture(scope="session")
def ckan() -> RealCkan:
    if not URL:
        pytest.skip("`make test-ckan` brings up the CKAN that this needs")
    return RealCkan(URL, TOKEN)


@pytest.fixture(scope="session", params=["api", "copy", "copy on RabbitMQ"])
def loader(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def service(
    ckan: RealCkan,
    loader: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[PushService]:
    """The service behind the CKAN, with *loader*."""
    variables = {} if loader == "api" else {"DATAPUSHER_DATASTORE_WRITE_URL": WRITE_URL}
    roles = ["up"]
    if "RabbitMQ" in loader:
        variables["DATAPUSHER_BROKER_URL"] = broker_url = request.getfixturevalue("broker_url")
        record_testsuite_property("RabbitMQ", _version(broker_url))
        variables["DATAPUSHER_SQLALCHEMY_DATABASE_URI"] = request.getfixturevalue("database_url")
        roles = ["gateway", "worker", "recorder"]
    service = PushService(tmp_path_factory.mktemp("service"), variables)
    try:
        service.start(*roles)
        yield service
    finally:
        service.stop()


def _version(broker_url: str) -> str:
    with Connection(broker_url) as connection:  # type: ignore[no-untyped-call]
        return str(connection.default_channel.connection.server_properties["version"])


@pytest.fixture(scope="session")
def datastore() -> Iterator[Datastore]:
    datastore = Datastore(WRITE_URL)
    yield datastore
    datastore.close()


@pytest.fixture(scope="session")
def files() -> Iterator[FileServer]:
    """Linked files, at `files.url(path)`."""
    server = FileServer()
    with running(server):
        yield server
