"""Policies reach the broker, the definitions file says the same as the code, and without the API the words help."""

import shlex
from pathlib import Path

import pytest

from publisher.policies import NoManagement, apply, commands, definitions, differing, management_api, vhost_of
from schemas.topology import BUILT_IN_JOB_TYPES, topology
from tests.publisher.lab import ROOT, Lab, topology_of
from tests.services import PrivateBroker, answers, free_port


def test_each_queue_has_the_policy_meant_for_it(private_broker: PrivateBroker, prefix: str) -> None:
    with Lab(private_broker.url, "", prefix) as lab:
        apply(lab.topology, private_broker.url, private_broker.management_url)
        assert differing(lab.topology, private_broker.url, private_broker.management_url) == []
        lines = private_broker.control("list_queues", "name", "policy", "--no-table-headers").splitlines()
        found = dict(line.split("\t") for line in lines if line.startswith(prefix))
        wanted = {lab.names.recorder: "recorder", lab.work: "work", lab.names.callbacks: "callbacks"}
        wanted |= {lab.names.dead: "dead", lab.names.dead_callbacks: "dead"}
        waiting = {queue.name: "" for queue in lab.topology.queues if queue.delay_s}
        assert found == {queue: f"{prefix}-{policy}" for queue, policy in wanted.items()} | waiting


def test_poison_over_the_delivery_limit_lands_with_the_dead(private_broker: PrivateBroker, prefix: str) -> None:
    with Lab(private_broker.url, "", prefix) as lab:
        apply(lab.topology, private_broker.url, private_broker.management_url)
        hand, dead = lab.consume(), lab.consume(lab.names.dead)
        lab.publish(lab.job("j1"))
        for _ in range(51):
            hand.take().release()
        letter = dead.take().message
        assert (letter.message_id, letter.routing_key) == ("j1", "job.delivery-limit")
        assert letter.headers["x-first-death-reason"] == "delivery_limit"


def test_missing_policies_are_named(private_broker: PrivateBroker, prefix: str) -> None:
    wanted = topology_of(prefix)
    assert differing(wanted, private_broker.url, private_broker.management_url) == [one.name for one in wanted.policies]


def test_exported_file_is_what_the_code_says() -> None:
    written = (ROOT / "deploy" / "definitions.json").read_text()
    assert written == definitions(topology("datapusher", BUILT_IN_JOB_TYPES, ())), "run: datapusher topology export"


def test_exported_user_can_log_in(private_broker: PrivateBroker, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "definitions.json").write_text(definitions(topology_of(prefix), user=prefix, password="pass word"))
    private_broker.control("import_definitions", str(tmp_path / "definitions.json"))
    assert answers(f"amqp://{prefix}:pass%20word@127.0.0.1:{private_broker.port}/%2F")
    assert not answers(f"amqp://{prefix}:wrong@127.0.0.1:{private_broker.port}/%2F")


def test_without_the_api_the_lines_to_type_are_told(prefix: str) -> None:
    with pytest.raises(NoManagement) as refusal:
        apply(topology_of(prefix), "amqp://guest:s3cret@127.0.0.1/%2F", f"http://guest:s3cret@127.0.0.1:{free_port()}")
    assert "rabbitmq-plugins enable rabbitmq_management" in refusal.value.message
    assert f"rabbitmqctl set_policy --vhost / --apply-to queues --priority 10 {prefix}-work" in refusal.value.message
    assert "s3cret" not in refusal.value.message


def test_line_to_type_does_what_the_api_does(private_broker: PrivateBroker, prefix: str) -> None:
    wanted = topology_of(prefix)
    private_broker.control(*shlex.split(commands(wanted, "/")[0])[1:])
    missing = differing(wanted, private_broker.url, private_broker.management_url)
    assert missing == [policy.name for policy in wanted.policies[1:]]


def test_wrong_password_is_told_as_such(private_broker: PrivateBroker, prefix: str) -> None:
    url = private_broker.management_url.replace("guest:guest", "guest:wrong")
    with pytest.raises(NoManagement, match=r"401[^$]*Correct user and password"):
        differing(topology_of(prefix), private_broker.url, url)
    with pytest.raises(NoManagement, match=r"404[^$]*Correct the vhost"):
        differing(topology_of(prefix), f"{private_broker.url}-none", private_broker.management_url)


@pytest.mark.parametrize(
    ("broker_url", "api"),
    [
        ("amqp://me:pw@mq.example:5672/vh;amqp://other/vh", "http://me:pw@mq.example:15672"),
        ("amqps://mq.example", "https://guest:guest@mq.example:15671"),
    ],
)
def test_api_is_looked_for_at_the_first_broker(broker_url: str, api: str) -> None:
    assert management_api(broker_url) == api


@pytest.mark.parametrize(("path", "vhost"), [("", "/"), ("/", "/"), ("/%2F", "/"), ("/a%2Fb", "a/b")])
def test_vhost_is_read_from_the_url(path: str, vhost: str) -> None:
    assert vhost_of(f"amqp://host{path}") == vhost
