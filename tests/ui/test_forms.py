"""Nothing is changed by a request that does not come from a page of ours."""

import pytest

from gateway.ui.routes import CHANGES
from tests.gateway.recording import Recording
from tests.ui.conftest import Many, Visitor

PLACES = [path.replace("{job_id}", "mine") for path, _ in CHANGES]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("token", [None, "", "0" * 64, "ü"])
def test_a_form_without_the_sessions_token_is_refused(ui: Visitor, place: str, token: str | None) -> None:
    answer = ui.post(place, {"message_id": "m1", **({} if token is None else {"token": token})})
    assert answer.status_code == 403 and "out of date" in answer.text


@pytest.mark.parametrize("place", PLACES)
def test_a_form_without_a_session_is_refused(ui: Visitor, place: str) -> None:
    token = ui.page().form("Log out").fields["token"]
    ui.http.cookies.clear()
    assert ui.post(place, {"token": token}).status_code == 403


def test_another_sessions_token_is_refused(ui: Visitor) -> None:
    other = Visitor(ui.gateway).log_in()
    token = other.page().form("Log out").fields["token"]
    other.http.close()
    assert ui.post("/logout", {"token": token}).status_code == 403
    assert "/login" not in ui.get().url


@pytest.mark.parametrize("place", PLACES)
def test_a_link_changes_nothing(ui: Visitor, place: str) -> None:
    assert ui.get(place).status_code in (404, 405)
    assert "/login" not in ui.get().url


def test_a_refused_form_has_no_effect(ui: Visitor, recording: Recording, many: Many) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    many.dead({"job_id": job_id})
    for place in (f"/job/{job_id}/cancel", f"/job/{job_id}/resubmit", "/dead/purge"):
        ui.post(place, {"message_id": "m1"})
    assert "is being cancelled" not in ui.page(f"/job/{job_id}").text
    assert ui.page("/dead").has_button("Replay")
    assert ui.page("/jobs").count("span", "queued") == 1


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "multipart/form-data", "a/b; charset=none"])
def test_what_is_no_form_is_refused(ui: Visitor, content_type: str) -> None:
    answer = ui.http.post(ui.url + "/logout", data=b"token=x", headers={"Content-Type": content_type}, timeout=20)
    assert answer.status_code in (400, 403) and "<h1>" in answer.text
