"""The gateway on RabbitMQ itself: the broker away, and back."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from schemas.store import open_store
from tests.gateway.gateway_thread import JOB, GatewayThread
from tests.publisher.lab import eventually
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(broker_url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(broker_url)
    with TcpProxy(parts.hostname or "127.0.0.1", parts.port or 5672) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: TcpProxy, broker_url: str, prefix: str, tmp_path: Path) -> Iterator[GatewayThread]:
    """A gateway whose way to RabbitMQ can be cut."""
    parts = urlsplit(broker_url)
    url = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"))
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    with GatewayThread(engine, tmp_path, broker_url=url, vhost_prefix=prefix) as gateway:
        eventually(lambda: gateway.bus.connected)
        yield gateway
    engine.dispose()


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_jobs_are_accepted_while_the_broker_is_away_and_published_when_it_is_back(
    through: GatewayThread, proxy: TcpProxy, silent: bool
) -> None:
    proxy.cut(silent=silent)
    answers = [through.post(JOB) for _ in range(3)]
    kept = through.outbox_depth()
    proxy.heal()

    assert [answer.status_code for answer in answers] == [200] * 3
    assert max(answer.elapsed.total_seconds() for answer in answers) < 2
    assert kept == 3
    eventually(lambda: through.outbox_depth() == 0)
    assert through.depth() == 3
