"""Each future in flight learns what became of its own message."""

from concurrent.futures import Future

from publisher.bus import Message
from publisher.confirms import Confirms
from schemas.errors import NotPublished, Unroutable


def in_flight(confirms: Confirms, *keys: str) -> "list[Future[None]]":
    futures: list[Future[None]] = []
    for key in keys:
        futures.append(Future())
        confirms.expect(Message(exchange="jobs", routing_key=key, body=b"", message_id="j1"), futures[-1])
    return futures


def outcome(future: "Future[None]") -> str:
    return "waits" if not future.done() else type(future.exception()).__name__


def test_single_confirm_settles_its_number_only() -> None:
    futures = in_flight(confirms := Confirms(), "a", "a", "a")
    confirms.settle(2, multiple=False, positive=True)
    assert [outcome(future) for future in futures] == ["waits", "NoneType", "waits"]


def test_multiple_confirm_settles_all_up_to_its_number() -> None:
    futures = in_flight(confirms := Confirms(), "a", "a", "a")
    confirms.settle(2, multiple=True, positive=True)
    assert [outcome(future) for future in futures] == ["NoneType", "NoneType", "waits"]
    assert len(confirms) == 1


def test_returned_message_is_unroutable_and_the_same_id_elsewhere_is_not() -> None:
    futures = in_flight(confirms := Confirms(), "known", "unknown", "known")
    confirms.returned("jobs", "unknown", "j1")
    confirms.settle(3, multiple=True, positive=True)
    assert [type(future.exception()) for future in futures] == [type(None), Unroutable, type(None)]


def test_nack_and_loss_are_not_published() -> None:
    futures = in_flight(confirms := Confirms(), "a", "a")
    confirms.settle(1, multiple=False, positive=False)
    confirms.lose("the connection was lost")
    assert [type(future.exception()) for future in futures] == [NotPublished, NotPublished]
    confirms.settle(2, multiple=True, positive=True)


def test_future_that_was_given_up_harms_nobody() -> None:
    futures = in_flight(confirms := Confirms(), "a", "a")
    futures[0].cancel()
    confirms.settle(2, multiple=True, positive=True)
    assert futures[1].result(0) is None
