"""What is refused, in the old service's words, always as `{"error": "<string>"}`, and never with 500."""

import json
import socket
from typing import Any

import pytest

from tests.gateway.gateway_thread import JOB, SECRET, GatewayThread
from tests.gateway.recording import Recording

NOT_JSON = "Not recognised as json, make sure content type is application/json"
AVAILABLE = "Available job types are count, push_to_datastore"
JSON = {"Content-Type": "application/json"}

#: Bodies that are no job, whatever their keys.
NO_OBJECTS = [
    (b"{", "Malformed json"),
    (b"", "Malformed json"),
    (b"\xff", "Malformed json"),
    (b'{"a": NaN}', "Malformed json"),
    (b'{"api_key": "\\ud800"}', "Malformed json"),
    (b"[" * 5000, "Malformed json"),
    (b"{}", NOT_JSON),
    (b"[]", NOT_JSON),
    (b"null", NOT_JSON),
    (b"[1]", NOT_JSON),
    (b'"text"', NOT_JSON),
    (b"5", NOT_JSON),
    (b'{"metadata": {"a": "\\u0000"}}', "The json holds a NUL character, which no database takes"),
    (b'{"data": ' + b"[" * 80 + b"]" * 80 + b"}", "The json is nested more than 64 levels deep"),
]
#: Keys that differ from a job that is accepted; None takes the key away.
WRONG_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"zeta": 1, "alpha": 2}, "Too many arguments. Extra keys are alpha, zeta"),
    ({"job_id": "mine"}, "Too many arguments. Extra keys are job_id"),
    ({"result_url": "ftp://x"}, "result_url has to start with http"),
    ({"result_url": "httpx"}, "result_url has to start with http"),
    ({"result_url": 5}, "result_url has to start with http"),
    ({"result_url": ["http://x"]}, "result_url has to start with http"),
    ({"result_url": "http://x/\r\nHost: y"}, "result_url has to start with http"),
    ({"job_type": None}, "Please specify a job type"),
    ({"job_type": ""}, "Please specify a job type"),
    ({"job_type": "none"}, f"Job type none not available. {AVAILABLE}"),
    ({"job_type": {"a": 1}}, f"Job type {{'a': 1}} not available. {AVAILABLE}"),
    ({"api_key": None}, "Please provide your API key."),
    ({"api_key": ""}, "Please provide your API key."),
    ({"api_key": {"a": 1}}, "Please provide your API key."),
    ({"api_key": "X-Key: a\r\nHost: b"}, "api_key has to be one line without control characters"),
    ({"metadata": None}, "metadata has to be a json object"),
    ({"metadata": [1]}, "metadata has to be a json object"),
    ({"metadata": "text"}, "metadata has to be a json object"),
]


@pytest.mark.parametrize(("body", "error"), NO_OBJECTS)
def test_what_is_no_json_object_is_refused(gateway: GatewayThread, body: bytes, error: str) -> None:
    answer = gateway.http.post(gateway.url + "/job", data=body, headers=JSON)
    assert (answer.status_code, answer.json()) == (409, {"error": error})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("change", "error"), WRONG_KEYS)
def test_wrong_keys_are_refused(gateway: GatewayThread, change: dict[str, Any], error: str) -> None:
    answer = gateway.post({**JOB, **change})
    assert (answer.status_code, answer.json()) == (409, {"error": error})


def test_of_several_faults_the_first_of_the_old_order_is_told(gateway: GatewayThread) -> None:
    body: dict[str, Any] = {"result_url": "x", "job_type": "none", "metadata": 1, "extra": 1}
    told = []
    for key, right in (("extra", None), ("result_url", ""), ("job_type", "count"), ("api_key", "k"), ("metadata", {})):
        told.append(gateway.post(body).json()["error"].split()[0])
        body = {**body, key: right} if right is not None else {name: body[name] for name in body if name != key}
    assert told == ["Too", "result_url", "Job", "Please", "metadata"]


@pytest.mark.parametrize("content_type", ["text/plain", "", "multipart/form-data; boundary=x", "application/xml"])
def test_a_body_that_does_not_say_it_is_json_is_refused(gateway: GatewayThread, content_type: str) -> None:
    answer = gateway.http.post(gateway.url + "/job", data=json.dumps(JOB), headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()) == (409, {"error": NOT_JSON})


@pytest.mark.parametrize("job_id", ["with space", "%00", "a%0d%0ab", "%C3%A9", "x" * 129, "%ff"])
def test_an_id_that_no_job_can_have_is_refused(gateway: GatewayThread, job_id: str) -> None:
    posted, asked = gateway.post(JOB, f"/job/{job_id}"), gateway.get(f"/job/{job_id}")
    assert posted.status_code == 409 and posted.json()["error"].startswith("job_id has to be")
    assert (asked.status_code, asked.json()) == (404, {"error": "job_id not found"})


def test_a_body_beyond_the_limit_is_refused(gateway: GatewayThread) -> None:
    answer = gateway.post({**JOB, "data": "x" * 100_000})
    assert answer.status_code == 413 and "DATAPUSHER_MAX_BODY" in answer.json()["error"]


def test_a_body_that_is_not_packed_as_it_says_is_refused(gateway: GatewayThread) -> None:
    answer = gateway.http.post(gateway.url + "/job", data=b"no gzip", headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.status_code in (400, 409) and isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/job", 405),
        ("DELETE", "/status", 405),
        ("PATCH", "/job/x", 405),
        ("GET", "//job", 404),
    ],
)
def test_what_is_not_there_is_refused_as_json(gateway: GatewayThread, method: str, path: str, status: int) -> None:
    answer = gateway.http.request(method, gateway.url + path)
    assert answer.status_code == status and isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("path", ["", "/data", "/rejects.csv", "/events"])
def test_a_job_is_unknown_before_it_is_forbidden(gateway: GatewayThread, path: str) -> None:
    job = gateway.accepted()
    unknown, keyless = gateway.get(f"/job/unknown{path}", key=None), gateway.get(f"/job/{job['job_id']}{path}", key=None)
    assert (unknown.status_code, unknown.text) == (404, '{"error": "job_id not found"}')
    assert (keyless.status_code, keyless.text) == (403, '{"error": "not authorized"}')


@pytest.mark.parametrize("path", ["/job/{}", "/job/{}/data"])
def test_another_jobs_key_opens_nothing(gateway: GatewayThread, path: str) -> None:
    mine, other = gateway.accepted(), gateway.accepted()
    asked = path.format(mine["job_id"])
    assert gateway.get(asked, key=other["job_key"]).status_code == 403
    assert gateway.get(asked, key="None").status_code == 403
    assert gateway.get(asked, key=mine["job_key"]).status_code == 200


@pytest.mark.parametrize("word", ["Bearer", "bearer"])
def test_a_key_is_taken_bare_and_after_the_word_bearer(gateway: GatewayThread, word: str) -> None:
    mine, other = gateway.accepted(), gateway.accepted()
    path = f"/job/{mine['job_id']}"
    assert gateway.get(path, key=f"{word} {mine['job_key']}").status_code == 200
    assert gateway.get(path, key=f"{word} {SECRET}").status_code == 200
    assert gateway.get(path, key=f"{word} {other['job_key']}").status_code == 403
    assert gateway.get(path, key=f"{word} ").status_code == 403


def test_a_job_without_a_key_is_not_opened_by_having_none(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.change(job["job_id"], job_key=None)
    for key in (None, "", "None"):
        assert gateway.get(f"/job/{job['job_id']}", key=key).status_code == 403


def test_a_key_that_is_no_text_is_refused(gateway: GatewayThread) -> None:
    job = gateway.accepted()
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        raw.sendall(f"GET /job/{job['job_id']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode())
        raw.sendall(b"Authorization: \xff\xfe\r\n\r\n")
        assert b" 403 " in raw.recv(1000)


@pytest.mark.parametrize("path", ["/job?_limit=abc", "/job?_limit=-1", "/job?_offset=1e3", "/job?_limit=", "/job?_limit=٣"])
def test_a_page_that_is_no_number_is_refused(gateway: GatewayThread, path: str) -> None:
    answer = gateway.get(path)
    assert answer.status_code == 409 and "whole number" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        f"/job?_offset={'9' * 400}",
        f"/job?_limit={'9' * 30}",
        "/job?a%00b=%00",
        "/job?%ff=%fe",
        '/job?a"]=1',
        "/job?_status=%00",
    ],
)
def test_absurd_parameters_do_no_harm(gateway: GatewayThread, path: str) -> None:
    answer = gateway.get(path)
    assert (answer.status_code, answer.json()) == (200, {"list": []})


def test_too_many_filters_are_refused(gateway: GatewayThread) -> None:
    assert gateway.get("/job?" + "&".join(f"k{n}=1" for n in range(50))).status_code == 409


@pytest.mark.parametrize(
    ("days", "error"),
    [("x", "invalid literal for int() with base 10: 'x'"), ("", "invalid literal for int() with base 10: ''"),
     ("-1", "days has to be from 0 to 100000"), ("9" * 30, "days has to be from 0 to 100000")],
)  # fmt: skip
def test_days_that_are_none_are_refused(gateway: GatewayThread, days: str, error: str) -> None:
    answer = gateway.delete("/job", params={"days": days})
    assert (answer.status_code, answer.json()) == (409, {"error": error})


def test_names_longer_than_their_columns_are_accepted(gateway: GatewayThread) -> None:
    answer = gateway.post({**JOB, "metadata": {"resource_id": "r" * 5000, "ckan_url": "u" * 50_000}})
    assert answer.status_code == 200
