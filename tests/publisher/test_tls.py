"""amqps:// to a real broker, whose certificate is of an authority of its own and names localhost."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from publisher.bus import Bus
from publisher.client import Publisher
from publisher.connect import await_connected, connect
from publisher.tls import Tls, divided
from schemas.errors import BadSetting, BusError, NotPublished
from schemas.topology import Topology, topology
from tests.services import PrivateBroker, free_port


def url_of(broker: PrivateBroker, query: str = "", host: str = "localhost") -> str:
    return f"amqps://guest:guest@{host}:{broker.tls_port}/%2F?heartbeat=10{query}"


@pytest.fixture
def names(prefix: str) -> Topology:
    return topology(prefix, ["echo"], [1.0])


@contextmanager
def bus(url: str, names: Topology) -> Iterator[Bus]:
    bus = connect(url, names, "")
    try:
        yield bus
    finally:
        bus.close()


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("localhost", "&cacertfile={0.authority}"),
        ("127.0.0.1", "&cacertfile={0.authority}&server_name_indication=localhost"),
        ("127.0.0.1", "&verify=verify_none"),
    ],
)
def test_bus_and_client_use_a_broker_whose_certificate_is_as_wanted(
    private_broker: PrivateBroker, names: Topology, prefix: str, host: str, query: str
) -> None:
    url = url_of(private_broker, query.format(private_broker), host)
    with bus(url, names) as connected, Publisher(url, prefix=prefix) as publisher:
        await_connected(connected, 10)
        job_id = publisher.submit("echo")
        assert job_id and connected.depth(names.names.work("echo")) == 1


@pytest.mark.parametrize(
    ("host", "query", "why"),
    [("localhost", "", "certificate verify failed"), ("127.0.0.1", "&cacertfile={0.authority}", "mismatch")],
)
def test_a_broker_whose_certificate_is_another_ones_is_refused_in_a_line(
    private_broker: PrivateBroker, names: Topology, host: str, query: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = url_of(private_broker, query.format(private_broker), host)
    with caplog.at_level(logging.INFO), bus(url, names) as refused:
        with pytest.raises(BusError, match=why):
            await_connected(refused, 2)
    assert [record for record in caplog.records if record.exc_info] == []
    with Publisher(url, prefix=names.names.prefix, tries=1) as publisher, pytest.raises(NotPublished, match=why):
        publisher.submit("echo")


def test_a_broker_without_tls_is_said_to_be_none(private_broker: PrivateBroker, names: Topology) -> None:
    with (
        bus(private_broker.url.replace("amqp:", "amqps:"), names) as refused,
        pytest.raises(BusError, match="WRONG_VERSION_NUMBER"),
    ):
        await_connected(refused, 2)


def test_a_client_that_goes_on_to_another_broker_checks_that_ones_name(
    private_broker: PrivateBroker, names: Topology, prefix: str
) -> None:
    query = f"&cacertfile={private_broker.authority}"
    away = f"amqps://guest:guest@127.0.0.1:{free_port()}/%2F?cacertfile={private_broker.authority}"
    urls = f"{away} ; {url_of(private_broker, query)}".replace("?heartbeat=10&", "?")
    with bus(url_of(private_broker, query), names) as connected, Publisher(urls, prefix=prefix) as publisher:
        await_connected(connected, 10)
        assert publisher.submit("echo")


def test_a_client_goes_on_to_no_broker_with_another_name(private_broker: PrivateBroker, names: Topology, prefix: str) -> None:
    query = f"cacertfile={private_broker.authority}"
    away = f"amqps://guest:guest@localhost:{free_port()}/%2F?{query}"
    with bus(url_of(private_broker, f"&{query}"), names) as connected:
        await_connected(connected, 10)
        urls = f"{away};amqps://guest:guest@127.0.0.1:{private_broker.tls_port}/%2F?{query}"
        with Publisher(urls, prefix=prefix, tries=1) as publisher, pytest.raises(NotPublished, match="mismatch"):
            publisher.submit("echo")


def test_the_broker_sees_the_certificates_of_bus_and_client(
    private_broker: PrivateBroker, names: Topology, prefix: str
) -> None:
    broker = private_broker
    url = url_of(broker, f"&cacertfile={broker.authority}&certfile={broker.certificate}&keyfile={broker.key}")
    with bus(url, names) as connected, Publisher(url, prefix=prefix, waits=True) as publisher:
        await_connected(connected, 10)
        assert publisher.submit("echo")
        assert broker.control("list_connections", "peer_cert_subject").count("trustme") == 3  # one of them hears of ends


def test_other_parameters_of_a_url_stay() -> None:
    assert divided("amqp://host/v?heartbeat=5", "url") == ("amqp://host/v?heartbeat=5", None)
    assert divided("amqps://u:p%40@host/%2F?verify=verify_none&heartbeat=5", "url") == (
        "amqps://u:p%40@host/%2F?heartbeat=5",
        Tls(verify=False),
    )
    assert divided("amqps:///v?cacertfile=&verify=", "url") == ("amqps:///v", Tls())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("amqps://host?verify=no", "verify_peer or verify_none, not 'no'"),
        ("amqps://host?cacertfile=/none.pem", "cannot use cacertfile /none.pem: No such file"),
        ("amqps://host?certfile=/etc/hostname", "cannot use certfile /etc/hostname"),
        ("amqp://host?cacertfile=/none.pem", "cacertfile is of use with amqps:// only"),
        ("amqps://host?keyfile=/none.pem", "keyfile is of use with certfile only"),
        ("amqps://host?ssl_options={}", "no parameter ssl_options; it has cacertfile"),
        ("amqps://host?cafile=x", "no parameter cafile"),
        ("amqp://host?ssl=x", "no parameter ssl"),
    ],
)
def test_what_cannot_be_asked_for_is_said(url: str, why: str, names: Topology) -> None:
    with pytest.raises(BadSetting, match=f"^DATAPUSHER_BROKER_URL: .*{why}"):
        connect(url, names, "")
    with pytest.raises(BadSetting, match=why):
        Publisher(url)


def test_brokers_of_one_client_have_one_kind_of_tls() -> None:
    with pytest.raises(BadSetting, match="the same cacertfile"):
        Publisher("amqps://one;amqp://two")
