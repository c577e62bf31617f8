"""`Publisher.wait`: how a job ends, told by the bus or by a gateway."""

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest

from publisher.bus import Message
from publisher.client import Publisher
from schemas.errors import BusError, DataPusherError, NotPublished, Unroutable
from schemas.messages import EVENT_CONTENT_TYPE, EVENT_TYPE, Event, Json, Kind, State
from tests.gateway.conftest import engine, gateway, recording, start, store_url
from tests.gateway.gateway_thread import SECRET, GatewayThread
from tests.gateway.recording import Recording
from tests.publisher.lab import JOB_TYPE, Lab
from tests.publisher.test_client import proxy, through
from tests.tcp_proxy import TcpProxy

__all__ = ["engine", "gateway", "proxy", "recording", "start", "store_url"]

REPORT: dict[str, Json] = {"data": {"rows": 2}}
FAILURE: dict[str, Json] = {"error": {"message": "no table"}, "code": "not-tabular"}


@pytest.fixture
def client(rabbit: Lab) -> Iterator[Publisher]:
    with Publisher(rabbit.broker_url, prefix=rabbit.names.prefix, waits=True) as client:
        yield client


def tell(rabbit: Lab, job_id: str, kind: Kind, data: dict[str, Json]) -> None:
    event = Event(job_id=job_id, job_type=JOB_TYPE, kind=kind, sequence=1_900_000, data=data)
    message = Message(
        exchange=rabbit.names.events, routing_key=event.routing_key, body=event.encode(), message_id=event.id,
        type=EVENT_TYPE, content_type=EVENT_CONTENT_TYPE,
    )  # fmt: skip
    rabbit.publish(message)


def test_the_end_of_a_job_is_told_whether_it_comes_before_or_while_somebody_waits(rabbit: Lab, client: Publisher) -> None:
    first, second = client.submit(JOB_TYPE), client.submit(JOB_TYPE)
    tell(rabbit, first, Kind.COMPLETE, REPORT)
    threading.Timer(0.2, tell, (rabbit, second, Kind.ERROR, FAILURE)).start()
    end = client.wait(second, timeout_s=15)
    assert (end.state, end.error, end.complete) == (State.ERROR, {"message": "no table"}, False)
    end = client.wait(first, timeout_s=15)
    assert (end.job_id, end.state, end.data, end.error) == (first, State.COMPLETE, {"rows": 2}, None)


def test_what_happens_before_the_end_and_to_other_jobs_is_no_end(rabbit: Lab, client: Publisher) -> None:
    job_id = client.submit(JOB_TYPE)
    tell(rabbit, "another", Kind.COMPLETE, REPORT)
    tell(rabbit, job_id, Kind.RETRYING, {"attempt": 1, "delay_s": 10.0, "reason": "CKAN is away"})
    with pytest.raises(TimeoutError, match=job_id):
        client.wait(job_id, timeout_s=0.5)
    tell(rabbit, job_id, Kind.CANCELLED, FAILURE)
    assert client.wait(job_id, timeout_s=15).state is State.CANCELLED


def test_an_end_that_was_told_while_the_connection_was_cut_is_heard(rabbit: Lab, proxy: TcpProxy) -> None:
    with Publisher(through(proxy, rabbit.broker_url), prefix=rabbit.names.prefix, waits=True) as client:
        job_id = client.submit(JOB_TYPE)
        proxy.cut()
        tell(rabbit, job_id, Kind.COMPLETE, REPORT)
        proxy.heal()
        assert client.wait(job_id, timeout_s=15).complete


def test_who_does_not_listen_is_told_to_name_a_gateway(rabbit: Lab) -> None:
    with Publisher(rabbit.broker_url, prefix=rabbit.names.prefix) as client, pytest.raises(ValueError, match="gateway"):
        client.wait(client.submit(JOB_TYPE), timeout_s=5)


def test_no_job_is_sent_whose_end_could_not_be_heard(
    rabbit: Lab, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Publisher(rabbit.broker_url, prefix="elsewhere", waits=True) as client, pytest.raises(Unroutable, match="elsewhere"):
        client.submit(JOB_TYPE)
    proxy.cut()
    caplog.clear()
    monkeypatch.setattr("publisher.endings.READY_S", 0.5)
    monkeypatch.setattr("publisher.endings.PAUSE_S", 0.05)
    with Publisher(through(proxy, rabbit.broker_url), prefix=rabbit.names.prefix, waits=True) as client:
        with pytest.raises(NotPublished, match="could not be heard"):
            client.submit(JOB_TYPE)
    assert proxy.refused > 1
    assert len(caplog.messages) == 1, "an outage is told once"


def test_a_child_of_a_fork_hears_of_its_own_jobs(rabbit: Lab, client: Publisher) -> None:
    client.submit(JOB_TYPE)
    if (child := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            job_id = client.submit(JOB_TYPE, job_id="child")
            os._exit(0 if client.wait(job_id, timeout_s=15).complete else 1)
        os._exit(2)
    hand = rabbit.consume()
    hand.take(), hand.take()
    tell(rabbit, "child", Kind.COMPLETE, REPORT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_gateway_that_is_no_address_is_refused(client: Publisher) -> None:
    with pytest.raises(ValueError, match="gateway:8800"):
        client.wait("any", timeout_s=5, gateway="gateway:8800")


def test_the_queue_of_who_waits_goes_with_him(rabbit: Lab) -> None:
    with Publisher(rabbit.broker_url, prefix=rabbit.names.prefix, waits=True) as client:
        client.submit(JOB_TYPE)
        assert client._endings is not None
        queue = client._endings._queue.name
        assert rabbit.bus.depth(queue) == 0
    with pytest.raises(BusError, match="NOT_FOUND"):
        rabbit.bus.depth(queue)


def test_a_gateway_tells_the_end_of_any_job(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    with Publisher("amqp://127.0.0.1:1") as client:
        with pytest.raises(TimeoutError):
            client.wait(job_id, timeout_s=0.3, gateway=gateway.url, key=SECRET)
        recording.end(job_id, "error", error={"message": "no"})
        end = client.wait(job_id, timeout_s=15, gateway=gateway.url, key=SECRET)
        with pytest.raises(DataPusherError, match="403"):
            client.wait(job_id, timeout_s=15, gateway=gateway.url, key="wrong")
    assert (end.state, end.error) == (State.ERROR, {"message": "no"})
