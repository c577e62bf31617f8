"""A CKAN that is down for hours: the delays are those of an installation, and time is moved in the bus's own table."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.settings import Settings, numbers
from tests.consumer.hook_server import Answer, HookServer
from tests.consumer.test_callback import last, send, states
from tests.consumer.workshop import QUICK, Workshop, eventually

DELAYS = Settings().callback_delays


@pytest.fixture
def shop(tmp_path: Path, prefix: str) -> Iterator[Workshop]:
    settings = replace(QUICK, broker_url="embedded:", vhost_prefix=prefix, callback_delays=DELAYS)
    with Workshop(settings, f"sqlite:///{tmp_path}/store.db") as shop:
        yield shop.listen()


def wait_over(shop: Workshop, delay_s: float) -> None:
    """Ends the wait of the one callback that waits for *delay_s*, as if the time had passed."""
    eventually(lambda: due_now(shop, delay_s) == 1)


def due_now(shop: Workshop, delay_s: float) -> int:
    """How many messages there were that had more than half of the delay before them."""
    now_ms = int(time.time() * 1000)
    connection = sqlite3.connect(shop.store_url.removeprefix("sqlite:///"), timeout=20, isolation_level=None)
    try:
        move = "UPDATE bus_messages SET due_ms = ? WHERE due_ms > ?"
        return connection.execute(move, (now_ms, now_ms + int(500 * delay_s))).rowcount
    finally:
        connection.close()


def test_a_callback_arrives_after_a_night_in_which_ckan_was_down(shop: Workshop, hook: HookServer) -> None:
    hook.answers = [Answer(502)]
    shop.callbacks()
    job_id = send(shop, hook.url)
    *most, longest = numbers(DELAYS)
    for delay_s in most:
        wait_over(shop, delay_s)
    eventually(lambda: len(hook.calls) == 1 + len(most))
    hook.answers = [Answer()]
    wait_over(shop, longest)
    assert last(shop, job_id, "delivered").data["attempts"] == len(most) + 2
    assert states(shop, job_id) == ["retrying"] * (len(most) + 1) + ["delivered"]
    assert sum(numbers(DELAYS)) > 24 * 3600
