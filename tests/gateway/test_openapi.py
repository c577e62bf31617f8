"""schemas/openapi.json against the gateway: every route is in it, and what is really answered is what it says."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from gateway.app import ROUTES
from schemas.messages import JOB_ID, State
from tests.gateway.gateway_thread import JOB, PASSWORD, SECRET, GatewayThread
from tests.gateway.recording import Recording

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = json.loads((SCHEMAS / "openapi.json").read_text())


def told(method: str, path: str, status: int) -> Mapping[str, Any]:
    """What the document says of this answer."""
    answers = DOCUMENT["paths"][path][method.lower()]["responses"]
    found = answers.get(str(status), answers["default"])
    return dict(DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found)


def check(answer: requests.Response, path: str) -> None:
    about = told(str(answer.request.method), path, answer.status_code)
    assert set(about.get("headers", {})) - {"Link", "Set-Cookie"} <= set(answer.headers)
    if answer.content:
        mimetype = answer.headers["Content-Type"].partition(";")[0]
        schema = about["content"].get(mimetype) or about["content"]["*/*"]
        if mimetype == "application/json":
            Draft202012Validator({**schema["schema"], "components": DOCUMENT["components"]}).validate(answer.json())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from references(child)


def test_every_route_is_in_the_document_and_no_other() -> None:
    documented = {
        (method.upper(), path) for path, about in DOCUMENT["paths"].items() for method in about if method != "parameters"
    }
    assert documented == {(method, path) for method, path, _ in ROUTES}


def test_the_document_holds_together() -> None:
    for reference in set(references(DOCUMENT)):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert DOCUMENT["info"]["version"] == (SCHEMAS / "VERSION").read_text().strip()
    assert DOCUMENT["components"]["parameters"]["job_id"]["schema"]["pattern"] == f"^{JOB_ID.pattern}$"
    assert DOCUMENT["components"]["schemas"]["Job"]["properties"]["state"]["enum"] == [state.value for state in State]


@pytest.mark.parametrize("key", [SECRET, None])
@pytest.mark.parametrize(
    "path", ["/", "/status", "/user", "/job", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/asyncapi.json"]
)
def test_what_routes_without_a_job_answer_is_documented(gateway: GatewayThread, path: str, key: str | None) -> None:
    gateway.accepted()
    answer = gateway.get(path, key=key)
    assert answer.status_code == 200
    check(answer, path)


@pytest.mark.parametrize("path", ["", "/data", "/rejects.csv"])
@pytest.mark.parametrize("state", ["queued", "complete", "error"])
@pytest.mark.parametrize("key", [SECRET, None])
def test_what_a_job_answers_is_documented(
    gateway: GatewayThread, recording: Recording, path: str, state: str, key: str | None
) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, "line")
    recording.change(job_id, state=state, data={"a": 1}, progress={"stage": "x"}, callback={"state": "waiting"})
    check(gateway.get(f"/job/{job_id}{path}", key=key), f"/job/{{job_id}}{path}")


def test_what_changes_something_answers_as_documented(gateway: GatewayThread) -> None:
    key = {"Authorization": SECRET}
    check(gateway.post(JOB), "/job")
    check(gateway.post({}), "/job")
    check(gateway.post(JOB, "/job/mine"), "/job/{job_id}")
    check(gateway.post(JOB, "/job/mine"), "/job/{job_id}")
    for _ in range(2):
        check(gateway.post(None, "/job/mine/resubmit", headers=key), "/job/{job_id}/resubmit")
        check(gateway.post(None, "/job/mine/cancel", headers=key), "/job/{job_id}/cancel")
        check(gateway.delete("/job/mine"), "/job/{job_id}")
    for query in ("", "?days=x", "?days=100000", "?days=100001", f"?days={10**30}"):
        check(gateway.delete(f"/job{query}"), "/job")


def test_logins_answer_as_documented(gateway: GatewayThread) -> None:
    for password in ("wrong", PASSWORD):
        check(gateway.get("/login", key=None, auth=("admin", password)), "/login")
        check(gateway.post(None, "/login", data={"username": "admin", "password": password}), "/login")
    check(gateway.post(None, "/login", data={}), "/login")
    check(gateway.get("/logout"), "/logout")


def test_an_event_stream_is_documented(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.end(job_id)
    path = "/job/{job_id}/events"
    check(gateway.get(f"/job/{job_id}/events"), path)
    check(gateway.get(f"/job/{job_id}/events", headers={"Last-Event-ID": "1900000"}), path)
    check(gateway.get(f"/job/{job_id}/events", key=None), path)
