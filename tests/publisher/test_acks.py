"""As few acknowledgements as tell what is settled, and never one for what is not."""

from hypothesis import given
from hypothesis import strategies as st

from publisher.acks import Acks


def holding(*tags: int) -> Acks:
    acks = Acks()
    for tag in tags:
        acks.hold(tag)
    return acks


def test_all_settled_is_one_acknowledgement() -> None:
    acks = holding(1, 2, 3)
    for tag in (3, 1, 2):
        acks.settle(tag)
    assert list(acks.flush()) == [(3, True)]
    assert acks.idle


def test_what_lies_above_a_held_tag_is_acknowledged_alone() -> None:
    acks = holding(1, 2, 3, 4)
    for tag in (1, 3, 4):
        acks.settle(tag)
    assert list(acks.flush()) == [(1, True), (3, False), (4, False)]
    assert not acks.idle


def test_given_back_tag_holds_nothing_up() -> None:
    acks = holding(1, 2)
    acks.drop(1)
    acks.settle(2)
    assert list(acks.flush()) == [(2, True)]


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["settle", "drop", "flush"])), max_size=60))
def test_broker_hears_exactly_what_was_settled(steps: list[tuple[int, str]]) -> None:
    """Against a broker that keeps a set of unacknowledged tags."""
    acks, broker, held, settled = holding(*range(1, 31)), set(range(1, 31)), set(range(1, 31)), set[int]()
    for tag, step in [*steps, (0, "flush")]:
        if step == "flush":
            for told, multiple in acks.flush():
                broker -= {each for each in broker if each == told or (multiple and each < told)}
            assert broker == held
        elif tag in held:
            held.remove(tag)
            if step == "drop":
                acks.drop(tag)
                broker.remove(tag)
            else:
                acks.settle(tag)
                settled.add(tag)
