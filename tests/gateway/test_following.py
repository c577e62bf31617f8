"""`datapusher logs -f` and `submit --wait`: the client's side of a job's events."""

import io
import json
import threading
import time
from collections.abc import Callable

import pytest
import requests
from rich.console import Console

from gateway import client
from gateway.client import GatewayClient, Refused
from gateway.event_stream import parsed
from schemas.messages import Kind
from tests.gateway.gateway_thread import SECRET, GatewayThread
from tests.gateway.recording import Recording
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def gateway_client(gateway: GatewayThread) -> GatewayClient:
    return GatewayClient(gateway.url, SECRET)


def in_a_thread(act: Callable[[], int]) -> Callable[[], int]:
    """Starts *act*; gives what waits for its result."""
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(act()))
    thread.start()

    def result() -> int:
        thread.join(20)
        return results[0]

    return result


def wait_for(capsys: pytest.CaptureFixture[str], words: str) -> str:
    """What was printed until *words* were."""
    shown, deadline = "", time.monotonic() + 20
    while words not in shown:
        assert time.monotonic() < deadline, shown
        shown += capsys.readouterr().out
        time.sleep(0.02)
    return shown


def test_a_log_is_followed_line_by_line_until_the_end(
    gateway: GatewayThread, recording: Recording, gateway_client: GatewayClient, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, "Fetching")
    status = in_a_thread(lambda: client.logs(gateway_client, job_id, follow=True, as_json=False))
    assert wait_for(capsys, "Fetching").endswith("INFO     Fetching\n")
    recording.tell(job_id, Kind.LOG, 1_000_003, level="WARNING", message="live", module="m", funcName="f", lineno=1)
    assert "WARNING  live" in wait_for(capsys, "live")
    recording.end(job_id, "error", error={"message": "no"})
    assert status() == 1


def test_a_followed_log_is_json_for_machines(
    gateway: GatewayThread, recording: Recording, gateway_client: GatewayClient, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, "Fetching")
    recording.end(job_id)
    assert client.logs(gateway_client, job_id, follow=True, as_json=True) == 0
    followed = json.loads(capsys.readouterr().out)
    client.logs(gateway_client, job_id, follow=False, as_json=True)
    assert followed == json.loads(capsys.readouterr().out)


def test_a_stream_that_is_cut_goes_on_where_it_was(
    gateway: GatewayThread, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.event_stream.PAUSE_S", 0.05)
    job_id = gateway.accepted()["job_id"]
    with TcpProxy("127.0.0.1", int(gateway.url.rpartition(":")[2])) as proxy:
        happened = GatewayClient(f"http://127.0.0.1:{proxy.port}", SECRET).events(job_id)
        told = [next(happened)["sequence"]]
        proxy.cut()
        recording.log(job_id, "first", "second")
        recording.end(job_id)
        proxy.heal()
        told += [event["sequence"] for event in happened]
    assert told == [0, 1_000_001, 1_000_002, 1_900_000]


def test_progress_is_shown_until_the_job_has_ended(
    gateway: GatewayThread, recording: Recording, gateway_client: GatewayClient
) -> None:
    job_id = gateway.accepted()["job_id"]
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    ended: list[client.JobDict] = []
    thread = threading.Thread(target=lambda: ended.append(client.follow(gateway_client, job_id, console)))
    thread.start()
    recording.tell(job_id, Kind.PROGRESS, 1_000_001, stage="reading", rows=50, rows_total=100)
    time.sleep(0.5)
    recording.end(job_id)
    thread.join(20)
    assert ended[0]["state"] == "complete"


def test_who_may_not_see_a_job_is_told_so(gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    with pytest.raises(Refused, match="not authorized"):
        client.logs(GatewayClient(gateway.url, "wrong"), job_id, follow=True, as_json=False)


def test_a_gateway_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.event_stream.PAUSE_S", 0.01)
    with pytest.raises(Refused, match="The job goes on"):
        list(GatewayClient("http://127.0.0.1:1", "k").events("j"))


def test_comments_and_messages_without_an_id_are_read_as_they_are_meant() -> None:
    lines = [b": still here", b"", b"id: 7", b"event: log", b'data: {"a": 1}', b"", b'data: {"b": ": "}', b""]
    assert list(parsed(lines)) == [("7", {"a": 1}), ("", {"b": ": "})]


def test_a_refusal_that_is_no_json_is_told_as_it_is() -> None:
    answer = requests.Response()
    answer._content = b"Bad Gateway"
    assert client._refusal(answer) == "Bad Gateway"
