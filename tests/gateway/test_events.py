"""`GET /job/<id>/events`: server-sent events."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from schemas.messages import Event, Kind
from tests.gateway.gateway_thread import SECRET, GatewayThread
from tests.gateway.recording import Recording


class Reader:
    """Reads one stream, event by event: (id, kind, data of the CloudEvent)."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response
        self._lines = response.iter_lines(chunk_size=1, decode_unicode=True)

    def next(self) -> tuple[str, str, Any]:
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if not line and "event" in fields:
                event = Event.decode(fields["data"].encode())
                return fields.get("id", ""), fields["event"], dict(event.data)
            if name and line:
                fields[name] = value
        raise EOFError

    def rest(self) -> list[tuple[str, str, Any]]:
        found = []
        try:
            while True:
                found.append(self.next())
        except EOFError:
            return found


@contextmanager
def stream(gateway: GatewayThread, job_id: str, last: str | None = None, key: str = SECRET) -> Iterator[Reader]:
    headers = {"Authorization": key, **({"Last-Event-ID": last} if last else {})}
    url = f"{gateway.url}/job/{job_id}/events"
    with requests.get(url, headers=headers, stream=True, timeout=20) as response:
        assert response.status_code == 200, response.text
        yield Reader(response)


def test_what_has_happened_is_replayed_and_what_happens_follows(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    job_id = job["job_id"]
    running = {"state": "running", "sequence": 1_000_000, "attempt": 1, "worker": "/worker/host/1/1"}
    recording.change(job_id, **running, progress={"percent": 5}, progress_sequence=1_000_002)
    recording.log(job_id, "Fetching")
    with stream(gateway, job_id, key=job["job_key"]) as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream"
        before = [reader.next() for _ in range(3)]
        recording.tell(job_id, Kind.LOG, 1_000_003, level="INFO", message="live")
        live = reader.next()
        recording.tell_end(job_id, data={"rows": 2})
        last = reader.rest()

    assert [event[:2] for event in before] == [("1000000", "started"), ("1000001", "log"), ("1000002", "progress")]
    assert before[0][2] == {"attempt": 1, "starts": 1, "worker": "/worker/host/1/1"}
    assert live == ("1000003", "log", {"level": "INFO", "message": "live"})
    assert last == [("1900000", "complete", {"data": {"rows": 2}})]


def test_a_job_that_has_ended_is_told_whole(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, *"abc")
    recording.end(job_id, "error", error={"message": "no"})
    with stream(gateway, job_id) as reader:
        told = reader.rest()
    assert [(number, kind) for number, kind, _ in told] == [
        ("1000001", "log"), ("1000002", "log"), ("1000003", "log"), ("1900000", "error")]  # fmt: skip
    assert told[0][2] == {"level": "INFO", "message": "a", "module": "jobs", "funcName": "push", "lineno": 7}
    assert told[-1][2] == {"error": {"message": "no"}}


def test_a_client_that_comes_back_goes_on_where_it_was(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, *"abc")
    recording.end(job_id)
    with stream(gateway, job_id, last="1000002") as reader:
        assert [number for number, _, _ in reader.rest()] == ["1000003", "1900000"]
    headers = {"Last-Event-ID": "1900000"}
    assert gateway.get(f"/job/{job_id}/events", headers=headers).status_code == 204


def test_what_the_bus_did_not_bring_comes_from_the_store(
    gateway: GatewayThread, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stream.LOOK_S", 0.2)
    job_id = gateway.accepted()["job_id"]
    with stream(gateway, job_id) as reader:
        assert reader.next()[:2] == ("0", "queued")
        recording.tell(job_id, Kind.LOG, 1_000_002, message="second, live")
        assert reader.next()[0] == "1000002"
        recording.log(job_id, "first, late", "second, stored")
        late = reader.next()
        recording.end(job_id)
        rest = reader.rest()
    assert (late[0], late[2]["message"]) == ("", "first, late")
    assert [number for number, _, _ in rest] == ["1900000"]


def test_a_quiet_stream_is_kept_alive(gateway: GatewayThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stream.LOOK_S", 0.1)
    monkeypatch.setattr("gateway.stream.HEARTBEAT_S", 0.2)
    job_id = gateway.accepted()["job_id"]
    with stream(gateway, job_id) as reader:
        lines = [line for line, _ in zip(reader.response.iter_lines(chunk_size=1), range(6), strict=False)]
    assert lines[0] == b"id: 0" and b": still here" in lines


def test_events_of_other_jobs_are_not_told(gateway: GatewayThread, recording: Recording) -> None:
    mine, other = gateway.accepted()["job_id"], gateway.accepted()["job_id"]
    with stream(gateway, mine) as reader:
        reader.next()
        recording.tell(other, Kind.LOG, 1_000_001, message="other")
        recording.tell_end(mine)
        assert [kind for _, kind, _ in reader.rest()] == ["complete"]


def test_the_stream_of_a_deleted_job_ends(gateway: GatewayThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stream.LOOK_S", 0.1)
    job_id = gateway.accepted()["job_id"]
    with stream(gateway, job_id) as reader:
        reader.next()
        gateway.delete(f"/job/{job_id}")
        assert reader.rest() == []


def test_a_client_that_goes_away_is_forgotten(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    for _ in range(5):
        with stream(gateway, job_id) as reader:
            reader.next()
    for n in range(20):
        recording.tell(job_id, Kind.LOG, 1_000_001 + n, message="x")
    with stream(gateway, job_id) as reader:
        assert json.dumps(reader.next()[1]) == '"queued"'


def test_a_gateway_that_ends_does_not_wait_for_its_streams(gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    with stream(gateway, job_id) as reader:
        reader.next()
        started = time.monotonic()
        gateway.stop()
        assert time.monotonic() - started < 5
