"""Names, queues and policies as data."""

import re

import pytest

from schemas.topology import BUILT_IN_JOB_TYPES, RESERVED, Names, Topology, delay_label, topology


@pytest.fixture
def given() -> Topology:
    return topology("datapusher", [*BUILT_IN_JOB_TYPES, "deadline-check", "retry_all"], [10, 60, 600, 3600])


@pytest.mark.parametrize(
    ("delay_s", "label"), [(0.2, "200ms"), (2, "2s"), (10, "10s"), (60, "1m"), (90, "90s"), (3600, "1h"), (86400, "1d")]
)
def test_delay_has_a_short_name(delay_s: float, label: str) -> None:
    assert delay_label(delay_s) == label


@pytest.mark.parametrize(("wanted", "declared"), [(0, 10), (10, 10), (10.5, 60), (3600, 3600), (9999, 3600)])
def test_delay_is_the_shortest_that_is_long_enough(given: Topology, wanted: float, declared: float) -> None:
    assert given.retry_delay(wanted) == declared


def test_every_queue_and_every_exchange_has_a_binding(given: Topology) -> None:
    assert {binding.queue for binding in given.bindings} == {queue.name for queue in given.queues}
    assert {binding.exchange for binding in given.bindings} == {exchange.name for exchange in given.exchanges}


def test_recorder_hears_of_known_job_types_only(given: Topology) -> None:
    names = given.names
    heard = {each.routing_key for each in given.bindings if (each.exchange, each.queue) == (names.jobs, names.recorder)}
    assert heard == {"push_to_datastore", "deadline-check", "retry_all"}


def test_only_waiting_queues_have_arguments_of_their_own(given: Topology) -> None:
    own = {queue.name for queue in given.queues if queue.arguments != {"x-queue-type": "quorum"}}
    assert own == {queue.name for queue in given.queues if queue.delay_s is not None}


def test_exactly_one_policy_holds_for_each_consumed_queue(given: Topology) -> None:
    for queue in given.queues:
        holding = [policy.name for policy in given.policies if re.search(policy.pattern, queue.name)]
        assert len(holding) == (1 if queue.delay_s is None else 0), f"{queue.name}: {holding}"


def test_policies_leave_other_installations_alone(given: Topology) -> None:
    others = [queue.name for queue in topology("datapusher.test", ["x"], [10]).queues] + ["other.push_to_datastore"]
    assert not [name for name in others for policy in given.policies if re.search(policy.pattern, name)]


def test_reserved_names_are_those_that_queues_and_exchanges_have() -> None:
    names = Names("p")
    ours = {names.jobs, names.events, names.recorder, names.callbacks, names.dead, "p.retry"}
    assert {name.removeprefix("p.") for name in ours} == RESERVED
