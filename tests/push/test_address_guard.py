import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumer.push.address_guard import AddressGuard, AddressRefused, Origin, is_public
from consumer.push.download import FetchSettings
from consumer.push.fetch import fetch
from tests.push.file_server import Answer, FileServer, running


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running(server := FileServer()):
        server.answers["/file.csv"] = Answer(b"a\n1\n")
        yield server


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1",
        "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b:1::808:808", "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_way_of_writing_the_own_machine_is_fetched_from(server: FileServer, tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressRefused, match="DATAPUSHER_ALLOWED_NETWORKS"):
        fetch(server.url(host=host), tmp_path / "body", FetchSettings())
    assert server.asked == []


def test_a_redirect_into_the_private_network_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.answers["/r"] = Answer(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})

    with pytest.raises(AddressRefused, match=r"169\.254"):
        fetch(server.url("/r"), tmp_path / "body", FetchSettings(ckan_urls=(server.url(),)))


def test_ftp_goes_through_the_guard(tmp_path: Path) -> None:
    with pytest.raises(AddressRefused):
        fetch("ftp://127.0.0.1:21/x.csv", tmp_path / "body", FetchSettings())


def test_ckans_own_origin_is_allowed_but_not_its_other_ports(server: FileServer, tmp_path: Path) -> None:
    settings = FetchSettings(ckan_urls=(server.url("/"),))

    fetch(server.url(), tmp_path / "body", settings)

    with pytest.raises(AddressRefused):
        fetch("http://127.0.0.1:5432/", tmp_path / "body", settings)


@pytest.mark.parametrize("allowed", ["127.0.0.0/8", "127.0.0.1", "files.test", ".test"])
def test_networks_and_hosts_may_be_allowed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    _resolve(monkeypatch, {"files.test": ["127.0.0.1"]})

    fetch(server.url(host="files.test"), tmp_path / "body", FetchSettings(allowed_networks=(allowed,)))

    assert server.asked[0][1]["Host"].startswith("files.test:")


def test_a_name_that_changes_after_the_check_wins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    connected: list[Any] = []
    _resolve(monkeypatch, answers)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))

    AddressGuard().connect(Origin("http", "rebind.test", 80), 1.0).close()

    assert connected == [("93.184.216.34", 80)]


def test_of_several_addresses_only_the_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, {"mixed.test": ["10.0.0.1", "93.184.216.34"]})

    found = AddressGuard().addresses(Origin("http", "mixed.test", 80))

    assert [sockaddr for *_, sockaddr in found] == [("93.184.216.34", 80)]


def test_the_message_does_not_tell_how_an_internal_name_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, {"db.internal": ["10.9.8.7"]})

    with pytest.raises(AddressRefused) as caught:
        AddressGuard().addresses(Origin("http", "db.internal", 80))
    assert "10.9.8.7" not in str(caught.value.as_dict())


def test_a_body_need_not_wait_for_the_acknowledgement_of_its_headers(server: FileServer) -> None:
    with AddressGuard(("127.0.0.0/8",)).connect(Origin.of(server.url()), 5.0) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _resolve(monkeypatch: pytest.MonkeyPatch, answers: Any) -> None:
    """A resolver that knows the names of the test: a mapping, or an iterator of what each further call is told."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        addresses = answers[host] if isinstance(answers, dict) else next(answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
