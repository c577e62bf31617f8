"""Callbacks from the queue to CKAN, over both buses."""

import time

from consumer.callback import HOST_SHARE
from publisher.bus import Message
from schemas.messages import CALLBACK_TYPE, Callback, Event, Kind, new_id
from schemas.sealing import Sealer, message_keys
from tests.consumer.hook_server import Answer, HookServer
from tests.consumer.workshop import API_KEY, Workshop, eventually


def send(shop: Workshop, url: str, job_id: str = "") -> str:
    job_id = job_id or new_id()
    sealed = Sealer(message_keys(shop.settings.secret_key, ())).seal(API_KEY)
    callback = Callback(
        job_id=job_id,
        job_type="echo",
        result_url=url,
        api_key=sealed,
        sequence=1_910_000,
        payload={"job_id": job_id, "status": "complete", "metadata": {"a": 1}},
    )
    message = Message(
        exchange=shop.names.callbacks, routing_key="echo", body=callback.encode(), message_id=job_id, type=CALLBACK_TYPE
    )
    shop.bus.publish(message).result(10)
    return job_id


def states(shop: Workshop, job_id: str) -> list[object]:
    return [event.data["state"] for event in shop.told(job_id, Kind.CALLBACK)]


def last(shop: Workshop, job_id: str, state: str) -> Event:
    eventually(lambda: state in states(shop, job_id))
    return shop.told(job_id, Kind.CALLBACK)[-1]


def test_a_callback_arrives_with_its_job_key(workshop: Workshop, hook: HookServer) -> None:
    workshop.listen().callbacks()
    job_id = send(workshop, hook.url)
    event = last(workshop, job_id, "delivered")
    assert event.data == {"state": "delivered", "attempts": 1, "last_error": None, "status": 200}
    assert hook.calls[0].body["job_key"] == workshop.job_key(job_id)
    assert hook.calls[0].headers["Authorization"] == API_KEY


def test_a_refused_callback_is_tried_again_until_it_arrives(workshop: Workshop, hook: HookServer) -> None:
    hook.answers = [Answer(503), Answer(404, body=b"no such task"), Answer()]
    workshop.listen().callbacks()
    job_id = send(workshop, hook.url)
    last(workshop, job_id, "delivered")
    assert states(workshop, job_id) == ["retrying", "retrying", "delivered"]
    assert "no such task" in str(workshop.told(job_id)[1].data["last_error"])
    assert len(hook.calls) == 3


def test_a_callback_that_is_never_taken_lies_with_the_dead_its_key_sealed(workshop: Workshop, hook: HookServer) -> None:
    hook.answers = [Answer(403, body=b"Access denied")]
    dead = workshop.dead(workshop.names.dead_callbacks)
    workshop.listen().callbacks()
    job_id = send(workshop, hook.url)
    event = last(workshop, job_id, "dead")
    assert (event.data["attempts"], event.data["status"]) == (3, 403)
    message = dead.of(job_id)
    assert message.routing_key == "callback.echo"
    assert "Access denied" in str(message.headers["dead-reason"])
    assert API_KEY.encode() not in message.body


def test_a_dead_callback_that_is_replayed_and_arrives_counts_as_delivered(workshop: Workshop, hook: HookServer) -> None:
    hook.answers = [Answer(500)]
    dead = workshop.dead(workshop.names.dead_callbacks)
    workshop.listen().callbacks()
    job_id = send(workshop, hook.url)
    message = dead.of(job_id)
    hook.answers = [Answer()]
    replay = Message(
        exchange=workshop.names.callbacks, routing_key="echo", body=message.body, message_id=job_id, headers=message.headers
    )
    workshop.bus.publish(replay).result(10)
    assert last(workshop, job_id, "delivered").data["state"] == "delivered"


def test_a_callback_with_a_key_that_cannot_be_sent_is_not_tried_again(workshop: Workshop, hook: HookServer) -> None:
    workshop.listen().worker()
    workshop.callbacks()
    job_id = workshop.send("echo", 1, api_key="Host: evil", result_url=hook.url)
    assert last(workshop, job_id, "dead").data["attempts"] == 1
    assert hook.calls == []


def test_what_was_delivered_is_not_posted_again(workshop: Workshop, hook: HookServer) -> None:
    workshop.listen().worker()
    workshop.callbacks()
    job_id = workshop.send("echo", 1, result_url=hook.url)
    last(workshop, job_id, "delivered")
    send(workshop, hook.url, job_id)
    marker = send(workshop, hook.url)
    last(workshop, marker, "delivered")
    eventually(lambda: workshop.bus.depth(workshop.names.callbacks) == 0)
    assert [call.body["job_id"] for call in hook.calls] == [job_id, marker]


def test_two_copies_at_once_are_posted_once(workshop: Workshop, hook: HookServer) -> None:
    hook.answers = [Answer(wait_s=0.3)]
    workshop.listen().worker()
    job_id = workshop.send("echo", 1, result_url=hook.url)
    workshop.end(job_id)
    send(workshop, hook.url, job_id)
    workshop.callbacks()
    last(workshop, job_id, "delivered")
    time.sleep(3 * workshop.settings.busy_delay)
    assert len(hook.calls) == 1


def test_a_slow_host_leaves_room_for_others(workshop: Workshop, hook: HookServer) -> None:
    workshop.listen().callbacks(callback_timeout=5.0)
    with HookServer() as slow:
        slow.answers = [Answer(wait_s=3.0)]
        for _ in range(3 * HOST_SHARE):
            send(workshop, slow.url)
        eventually(lambda: len(slow.calls) == HOST_SHARE)
        started = time.monotonic()
        last(workshop, send(workshop, hook.url), "delivered")
        assert time.monotonic() - started < 2.5
        assert len(slow.calls) == HOST_SHARE
        slow.answers = [Answer()]
        workshop.stop()


def test_what_is_no_callback_lies_with_the_dead(workshop: Workshop) -> None:
    dead = workshop.dead(workshop.names.dead_callbacks)
    workshop.callbacks()
    body = b'{"job_id": "x", "api_key": "the-token-of-a-site"}'
    message = Message(exchange=workshop.names.callbacks, routing_key="echo", body=body, message_id="odd")
    workshop.bus.publish(message).result(10)
    assert dead.first().routing_key == "callback.invalid"
    assert API_KEY.encode() not in dead.first().body
