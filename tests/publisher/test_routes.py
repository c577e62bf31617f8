"""Topic routing is what RabbitMQ does (https://www.rabbitmq.com/tutorials/tutorial-five-python)."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.connection import Connection

from publisher.routes import Routes, topic_matches
from schemas.topology import Binding

CASES = [
    (pattern, key)
    for pattern in ("#", "*", "a", "a.*", "a.#", "#.b", "*.b", "a.#.c", "#.b.#", "*.#", "#.#", "a..b", "")
    for key in ("", "a", "b", "a.b", "a.b.c", "a.c", "a..b", "a.", "ab", "c.a.b")
]


def test_topics_match_as_rabbitmq_matches_them(broker_url: str, prefix: str) -> None:
    """Each pattern has a queue of its own on a real exchange, each key is published once."""
    with Connection(broker_url) as connection:  # type: ignore[no-untyped-call]
        channel = connection.default_channel
        channel.exchange_declare(prefix, "topic", auto_delete=True)
        for pattern in dict(CASES):
            channel.queue_declare(f"{prefix}.{pattern}", exclusive=True)
            channel.queue_bind(f"{prefix}.{pattern}", prefix, pattern)
        for key in {key for _, key in CASES}:
            channel.basic_publish_confirm(channel.prepare_message(key, content_encoding="utf-8"), prefix, key)
        got = {(pattern, key) for pattern in dict(CASES) for key in _keys_in(channel, f"{prefix}.{pattern}")}
    assert {(pattern, key) for pattern, key in CASES if topic_matches(pattern, key)} == got


def _keys_in(channel: Any, queue: str) -> Iterator[str]:
    while message := channel.basic_get(queue, no_ack=True):
        body = message.body
        yield body if isinstance(body, str) else bytes(body).decode()


@pytest.mark.parametrize(
    ("exchange", "key", "queues"),
    [
        ("", "work", ("work",)),
        ("", "no-such-queue", ()),
        ("jobs", "push", ("work", "recorder")),
        ("jobs", "other", ()),
        ("fan", "anything", ("work",)),
        ("no-such-exchange", "push", ()),
    ],
)
def test_message_goes_to_each_bound_queue_once(exchange: str, key: str, queues: tuple[str, ...]) -> None:
    bindings = [
        Binding("jobs", "work", "push"), Binding("jobs", "recorder", "push"), Binding("jobs", "work", "#.push"),
        Binding("fan", "work", ""),
    ]  # fmt: skip
    assert Routes(bindings, ["fan"], ["work", "recorder"]).to(exchange, key) == queues
