"""Faults on demand: each does what its name says, and no more often than asked."""

import time

import pytest
import requests

from sandbox import Sandbox


def _status(ckan: Sandbox, action: str = "status_show") -> int:
    return requests.post(f"{ckan.url}/api/3/action/{action}", json={}, timeout=30).status_code


def test_an_action_fails_as_often_as_asked(ckan: Sandbox) -> None:
    ckan.fail("status_show", 503, times=2)

    assert [_status(ckan) for _ in range(3)] == [503, 503, 200]


def test_other_actions_are_not_hit(ckan: Sandbox) -> None:
    ckan.fail("datastore_create", 503)

    assert _status(ckan) == 200


def test_a_star_hits_whatever_comes_next(ckan: Sandbox) -> None:
    ckan.fail("*", 500)

    assert [_status(ckan), _status(ckan)] == [500, 200]


def test_calls_can_be_let_through_first(ckan: Sandbox) -> None:
    ckan.fail("status_show", 500, skip=2)

    assert [_status(ckan) for _ in range(4)] == [200, 200, 500, 200]


def test_the_body_and_headers_of_a_fault_are_ones_own(ckan: Sandbox) -> None:
    ckan.fail("status_show", 429, body="<html>", headers={"Retry-After": "7"})

    answer = requests.post(f"{ckan.url}/api/3/action/status_show", json={}, timeout=30)

    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (429, "<html>", "7")


def test_a_delay_alone_ends_in_the_true_answer(ckan: Sandbox) -> None:
    ckan.fail("status_show", None, delay_s=0.2)
    before = time.monotonic()

    assert _status(ckan) == 200

    assert time.monotonic() - before >= 0.2


def test_a_dropped_connection_has_no_answer(ckan: Sandbox) -> None:
    ckan.fail("status_show", drop=True)

    with pytest.raises(requests.ConnectionError):
        _status(ckan)
    assert _status(ckan) == 200


def test_a_fault_after_the_deed_leaves_the_deed_done(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]
    ckan.fail("datastore_create", drop=True, after=True)
    params = {"resource_id": resource_id, "force": True, "fields": [{"id": "a", "type": "text"}]}

    with pytest.raises(requests.ConnectionError):
        requests.post(
            f"{ckan.url}/api/3/action/datastore_create",
            json=params,
            headers={"Authorization": ckan.token},
            timeout=30,
        )

    assert ckan.table(resource_id).types == {"a": "text"}


@pytest.mark.parametrize("kind", ["download", "files"])
def test_a_file_can_be_cut_short(ckan: Sandbox, kind: str) -> None:
    url = ckan.put_file("a.csv", b"x" * 100) if kind == "files" else None
    resource = ckan.add_resource(url, upload=None if url else ("a.csv", b"x" * 100))
    ckan.fail(kind, cut_after_bytes=40)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(resource["url"], timeout=30)
    assert len(requests.get(resource["url"], timeout=30).content) == 100


def test_healing_forgets_the_faults_that_wait(ckan: Sandbox) -> None:
    ckan.fail("status_show", 500, times=9)

    ckan.heal()

    assert _status(ckan) == 200


def test_calls_from_inside_meet_no_faults(ckan: Sandbox) -> None:
    ckan.fail("*", 500)

    assert ckan.call("status_show")["site_url"] == ckan.url


def test_faults_can_be_ordered_over_http(ckan: Sandbox) -> None:
    order = {"action": "status_show", "status": 503}

    assert requests.post(f"{ckan.url}/sandbox/faults", json=order, timeout=30).status_code == 200

    assert [_status(ckan), _status(ckan)] == [503, 200]
    listed = requests.get(f"{ckan.url}/sandbox/requests", timeout=30).json()
    assert [entry["path"] for entry in listed] == ["/api/3/action/status_show"] * 2


@pytest.mark.parametrize("order", [{"status": 500}, {"action": "x", "colour": "red"}])
def test_an_order_that_makes_no_fault_is_refused(ckan: Sandbox, order: dict[str, object]) -> None:
    answer = requests.post(f"{ckan.url}/sandbox/faults", json=order, timeout=30)

    assert answer.status_code == 400 and "action" in answer.json()["error"]
