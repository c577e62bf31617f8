"""Events that the recorder hears twice, three times, and in any order."""

import random
from collections.abc import Mapping

import pika

from tests.acceptance.service import wait_until
from tests.faults.conftest import Install

JOBS = 4


def test_events_told_again_and_shuffled_change_nothing(
    install: Install, on_rabbitmq: Mapping[str, str], broker_url: str, prefix: str
) -> None:
    ledger = install(on_rabbitmq)
    service = ledger.service
    service.start("gateway", "worker")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    for _ in range(JOBS):
        ledger.submit()
    wait_until(lambda: len(ledger.ckan.hooks) == JOBS, "the jobs are done, though nobody records", on_failure=service.logs)
    assert len(ledger.open_jobs()) == JOBS

    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        told, copies = tell_again(connection.channel(), f"{prefix}.recorder", random.Random(3))
    ledger.note("events told again and shuffled")
    service.start("recorder")
    account = ledger.settle()

    assert account.clean, f"{vars(account)}\n{service.logs()}"
    assert told > 5 * JOBS and copies > 2 * told
    wait_until(lambda: depth(broker_url, f"{prefix}.recorder") == 0, "all is recorded")
    for entry in ledger.entries:
        job = service.job(entry.job_id)
        lines = [line["message"] for line in job["logs"]]
        assert job["status"] == "complete" and job["callback"]["state"] == "delivered"
        assert lines and len(lines) == len(set(lines))


def tell_again(channel: "pika.channel.Channel", queue: str, chance: random.Random) -> tuple[int, int]:
    """Puts each message that waits back two to four times, shuffled; gives how many there were, and are."""
    waiting = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        waiting.append((got[1], got[2]))
    copies = [message for message in waiting for _ in range(chance.randint(2, 4))]
    chance.shuffle(copies)
    channel.confirm_delivery()
    for properties, body in copies:
        channel.basic_publish("", queue, body, properties)
    return len(waiting), len(copies)


def depth(broker_url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
