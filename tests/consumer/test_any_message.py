"""Whatever bytes lie in a queue, no consumer stops: what comes after is worked on as always. Over both buses.

`FUZZ_EXAMPLES=200 python -m pytest tests/consumer/test_any_message.py` goes on for long, with new messages each time.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from publisher.bus import Message
from schemas.messages import CALLBACK_TYPE, EVENT_TYPE, JOB_TYPE, Callback, Event, Job, Kind
from tests.consumer.hook_server import HookServer
from tests.consumer.workshop import Workshop, eventually

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "6"))
FUZZ = settings(
    max_examples=EXAMPLES, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None, deadline=None,
    phases=(Phase.generate,), suppress_health_check=list(HealthCheck),
)  # fmt: skip
#: What databases, URLs and calendars refuse, beside what hypothesis thinks of.
ODD = st.sampled_from([
    "\x00", "a\x00b", "\ud800", "\U0010ffff", "x" * 3000, "../../etc/passwd", "'; DROP TABLE jobs; --", 2**63, -(2**70),
    1e308, float("nan"), float("inf"), "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "http://[", "http://127.0.0.1:1/\u0000",
    "http://127.0.0.1:99999/", "org.ckan.datapusher.job.complete", "fernet:x", "Host: evil\r\n", [[[[[[]]]]]], {"": {"": {}}},
])  # fmt: skip
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | ODD
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5
)
NOWHERE = "http://127.0.0.1:1/x"
NEARLY: tuple[Mapping[str, Any], ...] = (
    json.loads(Job(job_id="j", job_type="echo", result_url=NOWHERE, metadata={"resource_id": "r"}).encode()),
    *(json.loads(Event(job_id="j", job_type="echo", kind=kind, sequence=1).encode()) for kind in Kind),
    json.loads(Callback(job_id="j", job_type="echo", result_url=NOWHERE, api_key="k", sequence=1, payload={}).encode()),
)


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A message of ours, of which some fields are something else."""
    body = dict(draw(st.sampled_from(NEARLY)))
    for key in draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=3)):
        body[key] = draw(JSON)
    return json.dumps(body).encode()


BODIES = st.binary(max_size=200) | nearly() | JSON.map(lambda value: json.dumps(value).encode()) | st.just(b"[" * 3000)
MESSAGES = st.lists(
    st.tuples(
        BODIES,
        st.sampled_from(["echo", "recorder", "callbacks"]),
        st.sampled_from([JOB_TYPE, EVENT_TYPE, CALLBACK_TYPE, ""]) | st.text(st.characters(codec="utf-8"), max_size=20),
        st.text(st.characters(codec="utf-8"), max_size=60),
    ),
    min_size=20, max_size=40,
)  # fmt: skip


def still_works(shop: Workshop, hook: HookServer, number: int) -> None:
    """A job goes all the way: run, recorded, called back."""
    job_id = shop.send("echo", number, result_url=hook.url)
    eventually(lambda: shop.row(job_id).get("state") == "complete")
    eventually(lambda: any(call.body["job_id"] == job_id for call in hook.calls))


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    workshop.worker()
    workshop.recorder()
    workshop.callbacks()
    return workshop


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # other threads draw random numbers meanwhile
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_any_message_is_settled_and_the_next_job_goes_all_the_way(shop: Workshop, hook: HookServer) -> None:
    numbers = iter(range(10**9))

    @FUZZ
    @given(MESSAGES)
    def flood(messages: list[tuple[bytes, str, str, str]]) -> None:
        for body, queue, kind, message_id in messages:
            message = Message(
                exchange="", routing_key=f"{shop.names.prefix}.{queue}", body=body, message_id=message_id, type=kind
            )
            shop.bus.publish(message).result(20)
        still_works(shop, hook, next(numbers))

    flood()
    for queue in (shop.names.work("echo"), shop.names.recorder, shop.names.callbacks):
        eventually(lambda queue=queue: shop.bus.depth(queue) == 0)  # type: ignore[misc]


@pytest.mark.parametrize("workshop", ["rabbitmq"], indirect=True)
def test_properties_that_only_amqp_has_stop_nobody(shop: Workshop, hook: HookServer) -> None:
    odd: list[dict[str, Any]] = [
        {"headers": {"attempts": "many", "starts": {"a": [1]}, "x-death": "once", "dead-at": ["x"], "traceparent": b"\xff"}},
        {"headers": {"attempts": -5, "attempt": 2**40, "retry-to": "nowhere"}},
        {"content_type": "text/html", "content_encoding": "gzip", "priority": 255, "correlation_id": "c" * 255},
        {"message_id": "", "delivery_mode": 1},
        {"message_id": "/../" + "é" * 100},
        {"reply_to": "nobody", "expiration": "60000", "timestamp": 2**60},
    ]
    good = Job(job_id="odd", job_type="echo").encode()
    with pika.BlockingConnection(pika.URLParameters(shop.settings.broker_url)) as connection:
        channel = connection.channel()
        for queue in ("echo", "recorder", "callbacks"):
            for properties in odd:
                for body in (good, b"\xff\xfe\x00", b""):
                    channel.basic_publish("", shop.names.work(queue), body, pika.BasicProperties(**properties))
    still_works(shop, hook, 1)
