"""Callbacks that come before the end of their job is recorded."""

import time

from publisher.bus import Message
from schemas.messages import CALLBACK_TYPE, Callback, Kind
from schemas.sealing import Sealer, message_keys
from tests.consumer.hook_server import HookServer
from tests.consumer.workshop import API_KEY, Workshop, eventually


def test_a_callback_waits_until_the_end_of_its_job_is_recorded(workshop: Workshop, hook: HookServer) -> None:
    recorder = workshop.recorder()
    workshop.worker()
    workshop.callbacks()
    job_id = workshop.send("sleeps", 1, result_url=hook.url)
    eventually(lambda: workshop.row(job_id).get("state") == "running")
    recorder.set()
    eventually(lambda: workshop.bus.depth(workshop.names.recorder) > 0)
    time.sleep(1.5)
    assert hook.calls == []
    workshop.recorder()
    eventually(lambda: hook.calls)
    assert workshop.row(job_id)["state"] == "complete"


def test_a_recorder_that_is_away_does_not_hold_a_callback_back_for_long(workshop: Workshop, hook: HookServer) -> None:
    recorder = workshop.recorder()
    workshop.worker()
    workshop.callbacks()
    job_id = workshop.send("sleeps", 1, result_url=hook.url)
    eventually(lambda: workshop.row(job_id).get("state") == "running")
    recorder.set()
    eventually(lambda: hook.calls)
    assert workshop.row(job_id)["state"] == "running"


def test_a_callback_that_waits_holds_up_no_other(workshop: Workshop, hook: HookServer) -> None:
    recorder = workshop.recorder()
    workshop.worker()
    slow = workshop.send("sleeps", 2, result_url=hook.url)
    eventually(lambda: workshop.row(slow).get("state") == "running")
    recorder.set()
    workshop.callbacks()
    _send(workshop, hook.url, slow)
    _send(workshop, hook.url, "unknown-to-the-store")
    eventually(lambda: hook.calls, 3.0)
    assert hook.calls[0].body["job_id"] == "unknown-to-the-store"


def _send(shop: Workshop, url: str, job_id: str) -> None:
    sealed = Sealer(message_keys(shop.settings.secret_key, ())).seal(API_KEY)
    payload = {"job_id": job_id, "status": Kind.COMPLETE.value}
    callback = Callback(
        job_id=job_id, job_type="echo", result_url=url, api_key=sealed, sequence=1_910_000, payload=payload
    )  # fmt: skip
    message = Message(
        exchange=shop.names.callbacks, routing_key="echo", body=callback.encode(), message_id=job_id, type=CALLBACK_TYPE
    )
    shop.bus.publish(message).result(10)
