"""Where a callback may not go. Nothing here is allowed by a setting but where the test says so."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.hook import post
from schemas.messages import Json
from schemas.settings import Settings
from tests.consumer.hook_server import Answer, HookServer

SETTINGS = Settings(callback_timeout=0.5)


def payload(ckan_url: str) -> dict[str, Json]:
    return {"status": "complete", "metadata": {"ckan_url": ckan_url, "resource_id": "r"}}


def base(hook: HookServer) -> str:
    return hook.url.removesuffix("/api/3/action/datapusher_hook")


#: Each is an address that a cloud, a container or the own machine would answer at, in one of its spellings.
HOSTILE = [
    "http://127.0.0.1", "http://localhost", "http://127.1", "http://2130706433", "http://0x7f.1", "http://0177.0.0.1",
    "http://0.0.0.0", "http://[::1]", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]", "http://[::127.0.0.1]",
    "http://[64:ff9b::7f00:1]", "http://[2002:7f00:1::]", "http://10.0.0.1", "http://172.16.0.1", "http://192.168.1.1",
    "http://100.64.0.1", "http://169.254.169.254", "http://[fd00:ec2::254]", "http://[fe80::1]", "http://[fc00::1]",
    "http://224.0.0.1", "http://LOCALHOST", "http://localhost.", "http://user:pass@127.0.0.1", "https://127.0.0.1",
]  # fmt: skip


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every address that anything connects to."""
    addresses: list[Any] = []

    def connect(_socket: socket.socket, address: Any) -> None:
        addresses.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield addresses


@pytest.mark.parametrize("place", HOSTILE)
def test_a_private_address_is_not_even_connected_to(connected: list[Any], place: str) -> None:
    answer = post(f"{place}:8080/admin?token=s3cret", payload("https://ckan.example"), "k", SETTINGS)
    assert (connected, answer.status) == ([], None)
    assert answer.error is not None
    assert "s3cret" not in answer.error and "pass@" not in answer.error


def test_what_is_refused_is_laid_with_the_dead_at_once_and_names_the_setting() -> None:
    answer = post("http://127.0.0.1:1/hook", payload("https://ckan.example"), "k", SETTINGS)
    assert not answer.passing
    assert "DATAPUSHER_ALLOWED_NETWORKS" in str(answer.error)


def test_a_callback_goes_to_the_jobs_own_ckan_on_whatever_network_it_lies(hook: HookServer) -> None:
    assert post(hook.url, payload(base(hook)), "k", SETTINGS).error is None
    assert post(hook.url, payload(f"{base(hook)}/"), "k", SETTINGS).error is None
    assert len(hook.calls) == 2


def test_a_ckan_below_a_root_path_is_called_back_too(hook: HookServer) -> None:
    url = f"{base(hook)}/data/api/action/datapusher_hook"
    assert post(url, payload(f"{base(hook)}/data"), "k", SETTINGS).error is None


@pytest.mark.parametrize(
    "path",
    ["/", "/admin", "/api/3/action/x?y=/api/3/action/z", "/api/3/action/x/../../shut", "/x?/api/3/action/y"],
)
def test_on_ckans_private_host_nothing_but_an_action_is_asked(hook: HookServer, path: str) -> None:
    assert not post(base(hook) + path, payload(base(hook)), "k", SETTINGS).passing
    assert hook.calls == []


def test_another_port_of_ckans_host_is_another_place(hook: HookServer) -> None:
    assert not post(hook.url, payload("http://127.0.0.1:5000"), "k", SETTINGS).passing
    assert hook.calls == []


def test_no_job_can_name_the_place_where_a_cloud_keeps_credentials(connected: list[Any]) -> None:
    for place in ("http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]", "http://[fe80::1]"):
        assert not post(f"{place}/api/3/action/datapusher_hook", payload(place), "k", SETTINGS).passing
    assert connected == []


def test_a_place_that_the_administrator_maps_to_may_be_called_back(hook: HookServer) -> None:
    settings = Settings(callback_timeout=0.5, ckan_url_map=f"https://data.example={base(hook)}")
    assert post("https://data.example/own/hook", payload("https://data.example"), "k", settings).error is None
    assert not post("http://127.0.0.1:1/own/hook", payload("https://data.example"), "k", settings).passing


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8", "::1, 127.0.0.1/32"])
def test_a_network_may_be_allowed(hook: HookServer, allowed: str) -> None:
    settings = Settings(callback_timeout=0.5, allowed_networks=allowed)
    assert post(f"{base(hook)}/own/hook", payload("https://ckan.example"), "k", settings).error is None


def test_a_redirect_into_the_private_network_is_not_followed(hook: HookServer) -> None:
    hook.answers = [Answer(307, {"Location": "http://169.254.169.254/latest"})]
    answer = post(hook.url, payload(base(hook)), "k", SETTINGS)
    assert "where a token must not go" in str(answer.error)
    assert len(hook.calls) == 1


def test_a_name_that_changes_between_check_and_connection_wins_nothing(
    monkeypatch: pytest.MonkeyPatch, connected: list[Any]
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def getaddrinfo(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    post("http://rebind.example/hook", payload("https://ckan.example"), "k", SETTINGS)
    assert connected == [("93.184.216.34", 80)]
