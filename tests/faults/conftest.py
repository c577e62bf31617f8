"""Every test here is marked `faults`: `make test-faults` runs them, `make test` does not."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from schemas.store import open_store, store_url
from tests.acceptance.service import PATIENCE, Service
from tests.conftest import needed
from tests.faults import book as books
from tests.faults.book import Book
from tests.faults.ledger import Ledger
from tests.faults.own_postgresql import OwnPostgresql
from tests.services import PrivateBroker, postgresql

#: Variables of the service -> the installation with its ledger; nothing runs yet.
Install = Callable[[Mapping[str, str]], Ledger]
HERE = Path(__file__).parent
LIMIT_S = 300
#: How long what is stopped stays away, in seconds; a minute shows more, and takes it.
OUTAGE_S = float(os.environ.get("FAULTS_OUTAGE_S", "8"))


BOOK: pytest.StashKey[Book] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BOOK] = Book()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """All ledgers; also in the file that FAULTS_BOOK names."""
    if not config.stash[BOOK].pages:
        return
    lines = list(config.stash[BOOK].lines())
    for line in lines:
        terminalreporter.write_line(line)
    if path := os.environ.get("FAULTS_BOOK"):
        Path(path).write_text("\n".join((books.HEAD, *lines)) + "\n")


@pytest.fixture
def book(request: pytest.FixtureRequest) -> Book:
    return request.config.stash[BOOK]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            own = item.get_closest_marker("timeout")
            limit_s = own.args[0] if own else LIMIT_S
            item.add_marker(pytest.mark.timeout(limit_s * PATIENCE), append=False)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own."""
    with ExitStack() as stack:
        with needed(request, "PostgreSQL"):
            url = stack.enter_context(postgresql())
        yield url


@pytest.fixture
def own_postgresql(request: pytest.FixtureRequest) -> Iterator[OwnPostgresql]:
    """A server that may be stopped."""
    with ExitStack() as stack:
        with needed(request, "PostgreSQL's programs"):
            server = stack.enter_context(OwnPostgresql())
        yield server


@pytest.fixture
def on_rabbitmq(broker_url: str, database_url: str, prefix: str) -> Mapping[str, str]:
    return variables_for(broker_url, database_url, prefix)


@pytest.fixture
def on_own_broker(private_broker: PrivateBroker, database_url: str, prefix: str) -> Mapping[str, str]:
    """On a RabbitMQ node that tests may kill and misconfigure."""
    return variables_for(private_broker.url, database_url, prefix)


@pytest.fixture
def ckan() -> Iterator[Sandbox]:
    with Sandbox() as ckan:
        yield ckan


@pytest.fixture
def install(tmp_path: Path, ckan: Sandbox, book: Book, request: pytest.FixtureRequest) -> Iterator[Install]:
    """Makes the one installation of a test; ends its processes afterwards, and puts its ledger into the book."""
    with ExitStack() as stack:

        def install(variables: Mapping[str, str]) -> Ledger:
            service = Service(tmp_path, variables)
            stack.callback(service.stop)
            uri = service.environment.get("DATAPUSHER_SQLALCHEMY_DATABASE_URI", "")
            engine = open_store(store_url(uri, service.environment["DATAPUSHER_DATA_DIR"]))
            stack.callback(engine.dispose)
            ledger = Ledger(service, ckan, engine)
            stack.callback(lambda: book.add(request.node.name, ledger))
            return ledger

        yield install


def variables_for(broker_url: str, database_url: str, prefix: str) -> Mapping[str, str]:
    return {
        "DATAPUSHER_BROKER_URL": broker_url,
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": database_url,
        "DATAPUSHER_VHOST_PREFIX": prefix,
    }
