"""The way into the dashboard, and out."""

import pytest

from gateway.auth import COOKIE
from tests.gateway.gateway_thread import PASSWORD
from tests.ui.conftest import Visitor


@pytest.mark.parametrize("place", ["", "/", "/jobs", "/job/x", "/resource?id=r", "/dead", "/dead/callbacks"])
def test_every_page_asks_who_you_are(stranger: Visitor, place: str) -> None:
    answer = stranger.get(place, allow_redirects=False)
    assert answer.status_code == 303 and answer.content == b""
    assert "/ui/login" in stranger.get(place).url


def test_a_login_leads_back_to_where_it_was_asked_for(stranger: Visitor) -> None:
    page = stranger.page("/jobs?state=error&error=a+b")
    answer = stranger.press(page, "Log in", username="admin", password=PASSWORD)
    assert answer.status_code == 200
    assert answer.url == stranger.url + "/jobs?state=error&error=a+b"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil", "../../job", "javascript:alert(1)", "x/y"]
)
def test_a_login_leads_to_pages_of_ours_only(stranger: Visitor, target: str) -> None:
    answer = stranger.get("/login", params={"next": target})
    page = stranger.page("/login")
    token = page.form("Log in").fields
    answer = stranger.http.post(
        stranger.url + "/login", params={"next": target}, data={**token, "username": "admin", "password": PASSWORD},
        allow_redirects=False, timeout=20,
    )  # fmt: skip
    assert answer.status_code == 303 and answer.headers["Location"] == "./"


@pytest.mark.parametrize("given", [{"username": "admin", "password": "wrong"}, {"username": "root", "password": PASSWORD}, {}])
def test_wrong_credentials_are_told_and_open_nothing(stranger: Visitor, given: dict[str, str]) -> None:
    answer = stranger.press(stranger.page("/login"), "Log in", **given)
    assert answer.status_code == 403 and "Wrong user name or password" in answer.text
    assert COOKIE not in stranger.http.cookies


def test_guessing_is_slowed_down(stranger: Visitor) -> None:
    page = stranger.page("/login")
    answers = [stranger.press(page, "Log in", username="admin", password=str(number)) for number in range(11)]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_login_needs_the_form_that_was_shown(stranger: Visitor) -> None:
    credentials = {"username": "admin", "password": PASSWORD}
    assert stranger.post("/login", credentials).status_code == 403
    stranger.page("/login")
    assert stranger.post("/login", {**credentials, "token": "0" * 64}).status_code == 403
    assert COOKIE not in stranger.http.cookies


def test_the_session_cookie_is_kept_from_scripts_and_strangers(stranger: Visitor) -> None:
    form = stranger.page("/login").form("Log in")
    fields = {**form.fields, "username": "admin", "password": PASSWORD}
    secure = {"X-Forwarded-Proto": "https"}
    answer = stranger.http.post(form.action, data=fields, headers=secure, allow_redirects=False, timeout=20)
    cookie = next(each for each in answer.raw.headers.getlist("Set-Cookie") if each.startswith(COOKIE))
    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= set(cookie.split("; "))


def test_a_logout_ends_the_session(ui: Visitor) -> None:
    answer = ui.press(ui.page(), "Log out")
    assert answer.url == ui.url + "/login"
    assert "/login" in ui.get("/jobs").url
