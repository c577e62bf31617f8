"""Services and names that every test may ask for. Without a service its tests are skipped, loudly; with CI set they fail."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from schemas.collector import collect_rarely
from tests.services import Missing, PrivateBroker, Vhost, postgresql, rabbitmq

#: What was missing, and how to get it; told at the end of the run.
MISSING: pytest.StashKey[list[str]] = pytest.StashKey()
#: The vhost of this run, once a test has asked for it.
VHOST: pytest.StashKey[Vhost] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    missing: list[str] = []
    config.stash[MISSING] = missing
    # How long an example takes says nothing on a busy machine. With CI set Hypothesis tries the same ones each time.
    settings.register_profile("unhurried", settings.get_profile(settings.get_current_profile_name()), deadline=None)
    settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """As the service's processes do: what the collector of garbage looks at stands still, and so do gateways under test."""
    collect_rarely()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = config.stash[MISSING]
    for line in sorted(set(missing)):
        terminalreporter.write_line(f"NOT RUN: {line}", red=True, bold=True)


@contextlib.contextmanager
def needed(request: pytest.FixtureRequest, what: str) -> Iterator[None]:
    """A missing service skips the test at home and fails it in CI."""
    try:
        yield
    except Missing as error:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(f"CI needs {what}: {error}", pytrace=False)
        request.config.stash[MISSING].append(f"the tests that need {what}: {error}")
        pytest.skip(f"{what}: {error}")


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """amqp:// URL of a vhost of this run's own (where none can be made: of a shared one; `prefix` keeps tests apart)."""
    with contextlib.ExitStack() as stack:
        with needed(request, "RabbitMQ"):
            vhost = stack.enter_context(rabbitmq())
        request.config.stash[VHOST] = vhost
        yield vhost.url


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """postgresql:// URL (libpq's and SQLAlchemy's) of an empty database of this run's own."""
    with contextlib.ExitStack() as stack:
        with needed(request, "PostgreSQL"):
            url = stack.enter_context(postgresql())
        yield url


@pytest.fixture(scope="session")
def private_broker(request: pytest.FixtureRequest) -> Iterator[PrivateBroker]:
    """A RabbitMQ node that nobody else uses: may be killed and misconfigured. Takes 6 s; leave it running and whole."""
    with contextlib.ExitStack() as stack:
        with needed(request, "a RabbitMQ server to start"):
            broker = stack.enter_context(PrivateBroker())
        yield broker


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A VHOST_PREFIX that no other test has, so that no queue is shared; its queues are deleted after the test."""
    name = f"test{uuid.uuid4().hex[:12]}"
    yield name
    vhost = request.config.stash.get(VHOST, None)
    if vhost:
        vhost.forget(name)
