"""Dead letters: seen, replayed, dropped."""

import pytest

from tests.ui.conftest import Many, Visitor

JOB = {"job_type": "push_to_datastore", "job_id": "j1", "api_key": "a-secret", "metadata": {"password": "pw"}}


@pytest.mark.parametrize(("place", "words"), [("/dead", "No job is dead"), ("/dead/callbacks", "No callback is dead")])
def test_where_nothing_is_dead_it_says_so(ui: Visitor, place: str, words: str) -> None:
    assert words in ui.page(place).text


def test_a_dead_letter_tells_why_and_shows_no_secret(ui: Visitor, many: Many) -> None:
    many.dead(JOB, reason="started 5 times")
    page = ui.page("/dead")
    assert "1 started 5 times" in page.text and "Since 2026-03-01 12:00:00" in page.text
    assert f"{ui.url}/job/j1" in page.links
    assert "a-secret" not in page.html and '"pw"' not in page.html and "&#34;pw&#34;" not in page.html


def test_looking_takes_nothing_away(ui: Visitor, many: Many) -> None:
    many.dead(JOB)
    assert all(ui.page("/dead").has_button("Replay") for _ in range(3))


def test_one_of_them_is_replayed(ui: Visitor, many: Many) -> None:
    many.dead(JOB, message_id="m1", reason="a")
    many.dead({**JOB, "job_id": "j2"}, message_id="m2", reason="b")
    page = ui.page("/dead")
    form = next(form for form in page.forms if form.fields.get("message_id") == "m1" and form.label == "Replay")
    answer = ui.http.post(form.action, data=form.fields, timeout=20)
    assert "1 message replayed" in answer.text and "j2" in answer.text and "j1" not in answer.text
    assert ui.gateway.depth() == 1


def test_all_with_the_same_reason_are_dropped(ui: Visitor, many: Many) -> None:
    for number in range(3):
        many.dead({**JOB, "job_id": f"j{number}"}, message_id=f"m{number}", reason="two\nlines" if number else "other")
    page = ui.page("/dead")
    form = next(form for form in page.forms if form.fields.get("reason") == "two\nlines" and "Drop" in form.label)
    answer = ui.http.post(form.action, data={**form.fields, "reason": "two\r\nlines"}, timeout=20)
    assert "2 messages dropped" in answer.text and "j0" in answer.text
    assert ui.gateway.depth() == 0


def test_callbacks_are_dead_apart(ui: Visitor, many: Many) -> None:
    many.dead({"job_id": "j9", "job_type": "push_to_datastore"}, callback=True)
    assert "No job is dead" in ui.page("/dead").text
    page = ui.page("/dead/callbacks")
    answer = ui.http.post(page.form("Replay").action, data=page.form("Replay").fields, timeout=20)
    assert "1 message replayed" in answer.text and answer.url.startswith(f"{ui.url}/dead/callbacks")
    assert ui.gateway.bus.depth(ui.gateway.names.callbacks) == 1


def test_a_form_that_names_none_drops_none(ui: Visitor, many: Many) -> None:
    many.dead(JOB)
    token = ui.page("/dead").form("Replay").fields["token"]
    assert ui.post("/dead/purge", {"token": token, "queue": "jobs"}).status_code == 400
    assert "No job is dead" not in ui.page("/dead").text


def test_a_body_that_is_no_json_is_shown_without_its_key(ui: Visitor, many: Many) -> None:
    many.dead(b"api_key=hush <b>\xff", message_id="")
    page = ui.page("/dead")
    assert "hush" not in page.html and "<b>\\xff" not in page.html and "It has no id" in page.text


def test_a_message_that_cannot_be_replayed_is_told(ui: Visitor, many: Many) -> None:
    many.dead(b"{}", queue="")
    answer = ui.press(ui.page("/dead"), "Replay")
    assert answer.status_code == 503 and "does not tell where it comes from" in answer.text
