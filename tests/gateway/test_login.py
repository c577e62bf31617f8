"""The administrator's session."""

import socket
from typing import Any

import pytest
import requests

from gateway.auth import Sessions, Throttle, local_path
from tests.gateway.gateway_thread import PASSWORD, SECRET, GatewayThread

RIGHT = ("admin", PASSWORD)
FORM = {"username": "admin", "password": PASSWORD}
ADMIN = {"id": "0", "name": "Admin", "is_active": True, "is_anonymous": False}
NOBODY = {"id": None, "name": "Anonymous", "is_active": False, "is_anonymous": True}
REFUSED = "Could not verify your access level for that URL.\n "


def login(gateway: GatewayThread, query: str = "", method: str = "GET", **options: Any) -> requests.Response:
    return gateway.http.request(method, f"{gateway.url}/login{query}", allow_redirects=False, timeout=10, **options)


@pytest.mark.parametrize("how", [{"auth": RIGHT}, {"method": "POST", "data": FORM}, {"method": "POST", "auth": RIGHT}])
def test_a_login_opens_a_session(gateway: GatewayThread, how: dict[str, Any]) -> None:
    answer = login(gateway, **how)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/user")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert gateway.get("/user", key=None).json() == ADMIN


def test_a_session_opens_every_job_until_it_ends(gateway: GatewayThread) -> None:
    path = f"/job/{gateway.accepted()['job_id']}"
    login(gateway, auth=RIGHT)
    assert gateway.get(path, key=None).status_code == 200
    answer = gateway.get("/logout?next=/job", key=None)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/job")
    assert gateway.get(path, key=None).status_code == 403
    assert gateway.get("/user", key=None).json() == NOBODY


@pytest.mark.parametrize(
    ("how", "reason"),
    [({}, "No username or password."), ({"auth": ("admin", "")}, "No username or password."),
     ({"auth": ("admin", "wrong")}, "Wrong username or password."),
     ({"auth": ("root", PASSWORD)}, "Wrong username or password."),
     ({"method": "POST", "data": {**FORM, "password": "é"}}, "Wrong username or password."),
     ({"headers": {"Authorization": "Basic ?"}}, "No username or password.")],
)  # fmt: skip
def test_wrong_credentials_are_refused_in_the_old_words(gateway: GatewayThread, how: dict[str, Any], reason: str) -> None:
    answer = login(gateway, **how)
    assert (answer.status_code, answer.text) == (401, REFUSED + reason)
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Login Required"'
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("form", [{}, {"username": "admin"}])
def test_a_form_without_its_fields_is_refused(gateway: GatewayThread, form: dict[str, str]) -> None:
    answer = login(gateway, method="POST", data=form)
    assert answer.status_code == 400 and isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "multipart/form-data", "a/b; charset=none"])
def test_a_broken_form_is_refused(gateway: GatewayThread, content_type: str) -> None:
    answer = login(gateway, method="POST", data=b"username=admin", headers={"Content-Type": content_type})
    assert answer.status_code == 400 and isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("target", "place"),
    [("/job?_limit=1", "/job?_limit=1"), ("https://evil.example", "/user"), ("//evil.example", "/user"), ("/\\evil", "/user"),
     ("javascript:alert(1)", "/user"), ("/a\r\nX: y", "/user"), ("", "/user"), ("/\t/evil", "/user")],
)  # fmt: skip
def test_a_login_leads_to_this_server_only(gateway: GatewayThread, target: str, place: str) -> None:
    assert login(gateway, auth=RIGHT, params={"next": target}).headers["Location"] == place
    assert gateway.get("/logout", key=None, params={"next": target}).headers["Location"] == place
    assert (local_path(target) or "/user") == place


def test_a_login_under_the_prefix_stays_there(gateway: GatewayThread) -> None:
    answer = gateway.http.get(gateway.url + "/dp/login", auth=RIGHT, allow_redirects=False)
    assert answer.headers["Location"] == "/dp/user"


def test_the_cookie_is_for_https_only_where_that_is_spoken(gateway: GatewayThread) -> None:
    assert "Secure" in login(gateway, auth=RIGHT, headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]


def test_guessing_is_stopped(gateway: GatewayThread) -> None:
    statuses = [login(gateway, auth=("admin", f"guess{n}")).status_code for n in range(11)]
    assert statuses == [401] * 10 + [429]
    right = login(gateway, auth=RIGHT)
    assert right.status_code == 429 and int(right.headers["Retry-After"]) > 0


def test_the_throttle_forgets_addresses_not_failures_of_one() -> None:
    throttle = Throttle()
    for n in range(20_000):
        throttle.failed(f"address {n}")
        throttle.failed("one")
    assert throttle.wait_s("one") > 0 and throttle.wait_s("address 19999") == 0


@pytest.mark.parametrize("change", ["", "x", "..", "9999999999.a.b", "é"])
def test_a_forged_session_is_none(gateway: GatewayThread, change: str) -> None:
    cookie = Sessions("another-secret").new() if not change else change
    answer = gateway.get("/user", key=None, headers={"Cookie": f"datapusher_session={cookie}"})
    assert answer.json() == NOBODY


def test_a_session_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(SECRET)
    cookie = sessions.new()
    assert sessions.valid(cookie) and not Sessions("other").valid(cookie)
    monkeypatch.setattr("gateway.auth.time.time", lambda: 9_999_999_999.0)
    assert not sessions.valid(cookie)


def test_a_cookie_that_is_no_text_is_none(gateway: GatewayThread) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        raw.sendall(b"GET /user HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: datapusher_session=9.\xff.\xfe\r\n\r\n")
        assert b" 200 " in raw.recv(1000)
