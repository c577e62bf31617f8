"""What `publisher.bus` promises, over RabbitMQ and over the embedded bus."""

import threading
import time
from concurrent.futures import wait

import pytest

from publisher.bus import Message
from schemas.errors import Unroutable
from tests.publisher.lab import JOB_TYPE, PATIENCE_S, Lab, eventually


def test_published_message_arrives_as_it_was_sent(lab: Lab) -> None:
    hand = lab.consume()
    sent = Message(
        exchange=lab.names.jobs, routing_key=JOB_TYPE, body="ł\0".encode(), message_id="j1", type="datapusher.job",
        headers={"attempts": 0, "traceparent": "00-ab", "flag": True, "none": None},
    )  # fmt: skip
    lab.publish(sent)
    delivery = hand.take()
    assert delivery.message == sent
    assert (delivery.queue, delivery.attempt, delivery.redelivered) == (lab.work, 1, False)


def test_many_messages_are_in_flight_at_once(lab: Lab) -> None:
    futures = [lab.bus.publish(lab.job(f"j{number}")) for number in range(500)]
    assert not wait(futures, PATIENCE_S).not_done
    assert [future.exception() for future in futures] == [None] * 500
    assert lab.bus.depth(lab.work) == 500


def test_publishing_from_many_threads_loses_nothing(lab: Lab) -> None:
    threads = [threading.Thread(target=lambda: lab.publish(*(lab.event("job.log.x") for _ in range(50)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lab.bus.depth(lab.names.recorder) == 200


def test_job_of_an_unknown_type_is_unroutable(lab: Lab) -> None:
    unknown = lab.message(lab.names.jobs, "no_such_type", "j1", {})
    futures = [lab.bus.publish(message) for message in (lab.job("j1"), unknown, lab.job("j1"))]
    assert futures[0].result(PATIENCE_S) is None
    assert isinstance(futures[1].exception(PATIENCE_S), Unroutable)
    assert futures[2].result(PATIENCE_S) is None


def test_unknown_exchange_is_unroutable_and_disturbs_nobody(lab: Lab) -> None:
    before = lab.bus.publish(lab.job())
    with pytest.raises(Unroutable, match="no-such-exchange"):
        lab.bus.publish(lab.message("no-such-exchange", "x", "j1", {})).result(PATIENCE_S)
    assert before.result(PATIENCE_S) is None
    assert lab.bus.connected


def test_default_exchange_reaches_a_queue_by_its_name(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.message("", lab.work, "j1", {}))
    assert hand.take().message.message_id == "j1"


def test_consumer_holds_no_more_than_its_prefetch(lab: Lab) -> None:
    lab.publish(*(lab.job() for _ in range(5)))
    hand = lab.consume(prefetch=2)
    first, second = hand.take(), hand.take()
    time.sleep(0.2)
    assert len(hand) == 0
    second.ack()
    hand.take().ack()
    first.ack()
    hand.take(), hand.take()


def test_acknowledged_message_never_comes_again(lab: Lab) -> None:
    lab.publish(*(lab.job(f"j{number}") for number in range(5)))
    hand = lab.consume()
    held = [hand.take() for _ in range(5)]
    for number in (4, 0, 2):
        held[number].ack()
    lab.bus.close()
    rest = lab.consume(bus=lab.another_bus())
    assert {rest.take().message.message_id, rest.take().message.message_id} == {"j1", "j3"}
    time.sleep(0.2)
    assert len(rest) == 0


def test_retry_comes_back_after_the_delay_and_counts_the_attempt(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job("j1", traceparent="00-ab"))
    began = time.monotonic()
    hand.take().retry(0.9, "CKAN answers 503")
    again = hand.take()
    assert 1.0 <= time.monotonic() - began < 4.0
    assert (again.attempt, again.message.message_id, again.queue) == (2, "j1", lab.work)
    assert again.message.headers["retry-reason"] == "CKAN answers 503"
    assert again.message.headers["traceparent"] == "00-ab"
    assert lab.bus.depth(lab.work) == 0


def test_attempts_add_up_over_retries(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job())
    for attempt in (1, 2, 3):
        delivery = hand.take()
        assert delivery.attempt == attempt
        delivery.retry(0, "again")


def test_retry_can_leave_the_attempt_unspent(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job(attempts=1))
    delivery = hand.take()
    assert delivery.attempt == 2
    delivery.retry(0, "the resource is busy", spend=False)
    assert hand.take().attempt == 2


def test_long_delay_does_not_hold_up_a_short_one(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job("slow"), lab.job("quick"))
    slow, quick = hand.take(), hand.take()
    slow.retry(5.0, "later")
    quick.retry(0.2, "soon")
    assert hand.take(patience_s=3).message.message_id == "quick"


def test_retry_returns_to_its_own_queue_only(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job())
    hand.take().retry(0.2, "again")
    hand.take().ack()
    assert lab.bus.depth(lab.names.recorder) == 1


def test_longer_delay_than_any_takes_the_longest(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job())
    hand.take().retry(999, "later")
    time.sleep(0.5)
    assert len(hand) == 0


def test_dead_letter_says_why_whence_and_when(lab: Lab) -> None:
    hand, dead = lab.consume(), lab.consume(lab.names.dead)
    lab.publish(lab.job("j1"))
    hand.take().dead_letter("poison", routing_key=f"job.{JOB_TYPE}", body=b"masked")
    letter = dead.take()
    assert (letter.message.message_id, letter.message.body) == ("j1", b"masked")
    assert letter.message.headers["dead-reason"] == "poison"
    assert letter.message.headers["dead-queue"] == lab.work
    assert str(letter.message.headers["dead-at"]).endswith("+00:00")
    assert lab.bus.depth(lab.work) == 0


def test_dead_callbacks_lie_apart_from_dead_jobs(lab: Lab) -> None:
    hand = lab.consume(lab.names.callbacks)
    lab.publish(lab.message(lab.names.callbacks, JOB_TYPE, "c1", {}))
    hand.take().dead_letter("nobody there", routing_key=f"callback.{JOB_TYPE}")
    eventually(lambda: lab.bus.depth(lab.names.dead_callbacks) == 1)
    assert lab.bus.depth(lab.names.dead) == 0


def test_reason_of_any_length_fits(lab: Lab) -> None:
    hand, dead = lab.consume(), lab.consume(lab.names.dead)
    lab.publish(lab.job())
    hand.take().retry(0, "ł" * 1_000_000)
    hand.take().dead_letter("ł" * 1_000_000, routing_key="job.x")
    assert len(str(dead.take().message.headers["dead-reason"])) > 100


def test_released_message_comes_again_at_once(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job("j1"))
    hand.take().release()
    again = hand.take()
    assert (again.message.message_id, again.redelivered, again.attempt) == ("j1", True, 1)


def test_message_of_a_killed_process_is_delivered_to_another(lab: Lab) -> None:
    process = lab.consumer_process()
    lab.publish(lab.job("j1"))
    assert process.stdout and process.stdout.readline().strip() == "j1"
    hand = lab.consume()
    time.sleep(0.5)
    assert len(hand) == 0, "it was not held"
    process.kill()
    killed = time.monotonic()
    again = hand.take()
    assert (again.message.message_id, again.redelivered) == ("j1", True)
    assert time.monotonic() - killed < 2


def test_messages_outlive_every_process(lab: Lab) -> None:
    lab.publish(lab.job("j1"))
    lab.bus.close()
    assert lab.consume(bus=lab.another_bus()).take().message.message_id == "j1"


def test_closed_bus_gives_back_what_it_held(lab: Lab) -> None:
    hand = lab.consume()
    lab.publish(lab.job("j1"))
    held = hand.take()
    lab.bus.close()
    held.ack()
    assert lab.consume(bus=lab.another_bus()).take().redelivered


def test_closing_waits_for_what_is_in_flight(lab: Lab) -> None:
    futures = [lab.bus.publish(lab.job()) for _ in range(200)]
    lab.bus.close()
    assert all(future.done() and not future.exception() for future in futures)
    assert lab.another_bus().depth(lab.work) == 200


@pytest.mark.parametrize("first", ["ack", "release"])
def test_settling_twice_is_an_error(lab: Lab, first: str) -> None:
    hand = lab.consume()
    lab.publish(lab.job())
    delivery = hand.take()
    getattr(delivery, first)()
    with pytest.raises(RuntimeError, match="settled"):
        delivery.ack()


def test_two_consumers_share_the_work(lab: Lab) -> None:
    one, other = lab.consume(prefetch=1), lab.consume(prefetch=1, bus=lab.another_bus())
    lab.publish(lab.job("j1"), lab.job("j2"))
    assert {one.take().message.message_id, other.take().message.message_id} == {"j1", "j2"}


def test_cancelled_consumer_gets_nothing_more_but_may_settle(lab: Lab) -> None:
    given: list[object] = []
    consumer = lab.bus.consume(lab.work, given.append, prefetch=1)
    lab.publish(lab.job("j1"), lab.job("j2"))
    eventually(lambda: given)
    consumer.cancel()
    given[0].ack()  # type: ignore[attr-defined]
    assert lab.consume().take().message.message_id == "j2"
    assert len(given) == 1
    eventually(lambda: lab.bus.depth(lab.work) == 0)


def test_failing_handler_does_not_end_the_consumer(lab: Lab) -> None:
    got = []

    def handle(delivery: object) -> None:
        got.append(delivery)
        raise ValueError("a bug")

    lab.bus.consume(lab.work, handle, prefetch=5)
    lab.publish(lab.job(), lab.job())
    eventually(lambda: len(got) == 2)


def test_subscription_hears_matching_events_from_other_buses(lab: Lab) -> None:
    heard: list[str] = []
    lab.bus.subscribe(lab.names.events, "job.error.#", lambda message: heard.append(message.routing_key))
    other = lab.another_bus()

    def publish_until_heard() -> bool:
        for key in (f"job.log.{JOB_TYPE}", f"job.error.{JOB_TYPE}"):
            other.publish(lab.event(key)).result(PATIENCE_S)
        return bool(heard)

    eventually(publish_until_heard)
    assert set(heard) == {f"job.error.{JOB_TYPE}"}


def test_subscription_takes_nothing_from_the_recorder(lab: Lab) -> None:
    lab.bus.subscribe(lab.names.events, "#", lambda _message: None)
    hand = lab.consume(lab.names.recorder)
    lab.publish(lab.event("job.log.x", "e1"))
    assert hand.take().message.message_id == "e1"


def test_cancelled_subscription_is_silent(lab: Lab) -> None:
    heard: list[Message] = []
    subscription = lab.bus.subscribe(lab.names.events, "#", heard.append)

    def publish_until_heard() -> bool:
        lab.publish(lab.event("job.log.x"))
        return bool(heard)

    eventually(publish_until_heard)
    subscription.cancel()
    count = len(heard)
    lab.publish(lab.event("job.log.x"))
    time.sleep(0.2)
    assert len(heard) == count


def test_consumers_are_counted_where_the_bus_knows_them(lab: Lab) -> None:
    knows = lab.bus.consumers(lab.work) is not None
    assert lab.bus.consumers(lab.work) in (0, None)
    lab.consume(prefetch=1)
    if knows:
        eventually(lambda: lab.bus.consumers(lab.work) == 1)


def test_depth_counts_what_waits_and_not_what_is_held(lab: Lab) -> None:
    lab.publish(*(lab.job() for _ in range(3)))
    hand = lab.consume(prefetch=1)
    hand.take()
    eventually(lambda: lab.bus.depth(lab.work) == 2)
