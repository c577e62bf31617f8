"""The dead can be looked at, replayed and purged, on both buses."""

import json
import time

import pytest

from publisher.bus import Message
from publisher.dead import chosen, letter_of, look, purge, replay, revived
from schemas.errors import BusError, Unroutable
from schemas.messages import Job
from tests.publisher.lab import JOB_TYPE, Lab, eventually


def bury(lab: Lab, *reasons: str, job_type: str = JOB_TYPE) -> None:
    """A job for each reason, ids j0, j1, …, taken up by a worker and declared dead."""
    dead, hand = lab.bus.depth(lab.names.dead), lab.consume()
    for number, reason in enumerate(reasons):
        job = Job(job_id=f"j{number}", job_type=job_type, api_key="s3cret")
        message = Message(exchange="", routing_key=lab.work, body=job.encode(), message_id=job.job_id, headers={"attempts": 3})
        lab.publish(message)
        hand.take().dead_letter(reason, routing_key=f"job.{job_type}")
    eventually(lambda: lab.bus.depth(lab.names.dead) == dead + len(reasons))
    lab.bus.close()
    lab.bus = lab.another_bus()


def test_look_shows_the_dead_and_leaves_them(lab: Lab) -> None:
    bury(lab, "poison", "too old")
    for _ in range(3):
        letters = look(lab.bus, lab.names.dead, chosen())
        assert [(each.message_id, each.job_id, each.reason) for each in letters] == [
            ("j0", "j0", "poison"),
            ("j1", "j1", "too old"),
        ]
    assert (letters[0].job_type, letters[0].queue, letters[0].attempts) == (JOB_TYPE, lab.work, 3)
    eventually(lambda: lab.bus.depth(lab.names.dead) == 2)


def test_look_at_an_empty_queue_is_quick(lab: Lab) -> None:
    began = time.monotonic()
    assert look(lab.bus, lab.names.dead_callbacks, chosen()) == []
    assert time.monotonic() - began < 1


def test_api_key_is_never_shown(lab: Lab) -> None:
    bury(lab, "poison")
    (letter,) = look(lab.bus, lab.names.dead, chosen())
    assert "s3cret" not in repr(letter)
    assert json.loads(letter.body)["api_key"] == "***"


@pytest.mark.parametrize("body", [b'{"api_key": "s3cret", oops', b"api_key=s3cret&x", b'{"data": [{"api_key": "s3cret"}]}'])
def test_api_key_is_masked_in_strange_bodies_too(body: bytes) -> None:
    assert "s3cret" not in letter_of(Message(exchange="", routing_key="", body=body, message_id="j")).body


def test_replayed_job_begins_a_new_life_in_its_queue(lab: Lab) -> None:
    bury(lab, "poison")
    (letter,) = replay(lab.bus, lab.names, lab.names.dead, chosen(message_id="j0"))
    delivery = lab.consume().take()
    assert (delivery.message.message_id, delivery.attempt) == ("j0", 1)
    assert delivery.message.headers == {"dead-at": letter.at}
    assert json.loads(delivery.message.body)["api_key"] == "s3cret"
    assert lab.bus.depth(lab.names.dead) == 0


def test_only_the_chosen_are_replayed(lab: Lab) -> None:
    bury(lab, "Poison: 5 starts", "out of time", "poison: 6 starts")
    replayed = replay(lab.bus, lab.names, lab.names.dead, chosen(reason="poison", job_type=JOB_TYPE))
    assert [letter.message_id for letter in replayed] == ["j0", "j2"]
    eventually(lambda: [letter.message_id for letter in look(lab.bus, lab.names.dead, chosen())] == ["j1"])


def test_unknown_id_replays_nothing(lab: Lab) -> None:
    bury(lab, "poison")
    assert replay(lab.bus, lab.names, lab.names.dead, chosen(message_id="other")) == []
    eventually(lambda: lab.bus.depth(lab.names.dead) == 1)


def test_job_whose_queue_is_gone_stays_dead(lab: Lab) -> None:
    headers = {"dead-queue": "no-such-queue", "dead-reason": "poison"}
    lab.publish(lab.message(lab.names.dead, "job.x", "j0", headers))
    with pytest.raises(Unroutable):
        replay(lab.bus, lab.names, lab.names.dead, chosen())
    eventually(lambda: lab.bus.depth(lab.names.dead) == 1)


def test_purge_forgets_the_chosen_only(lab: Lab) -> None:
    bury(lab, "poison", "too old")
    assert [letter.message_id for letter in purge(lab.bus, lab.names.dead, chosen(reason="old"))] == ["j1"]
    eventually(lambda: [letter.message_id for letter in look(lab.bus, lab.names.dead, chosen())] == ["j0"])


def test_job_that_rabbitmq_declared_dead_finds_its_way_back(rabbit: Lab) -> None:
    body = Job(job_id="j0", job_type=JOB_TYPE).encode()
    headers = {"x-first-death-reason": "delivery_limit", "x-first-death-queue": rabbit.names.retry(0.2)}
    dead = Message(exchange="", routing_key="job.delivery-limit", body=body, message_id="j0", headers=headers)
    assert "too often" in letter_of(dead).reason
    again = revived(dead, rabbit.names, rabbit.names.dead)
    assert (again.exchange, again.routing_key, list(again.headers)) == ("", rabbit.work, ["dead-at"])


def test_message_that_tells_nothing_cannot_be_replayed(embedded: Lab) -> None:
    with pytest.raises(BusError, match="purge"):
        revived(Message(exchange="", routing_key="", body=b"?", message_id="x"), embedded.names, embedded.names.dead)
