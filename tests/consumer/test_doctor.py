"""The doctor finds each misconfiguration that would break a promise, and says what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from kombu.connection import Connection
from sqlalchemy import insert

from consumer.doctor import Finding, Patient, examine
from consumer.doctor.broker import open_files
from consumer.doctor.finding import clock
from consumer.doctor.machine import file_system
from publisher.broker_state import Node
from publisher.bus import Message
from publisher.connect import connect
from publisher.policies import apply
from sandbox.server import Sandbox
from schemas.messages import new_id
from schemas.sealing import Sealer, message_keys
from schemas.settings import Settings
from schemas.store import open_store, store_url, writing
from schemas.tables import jobs, outbox, workers
from schemas.topology import topology
from tests.consumer.workshop import eventually
from tests.services import PrivateBroker, free_port, remove

NOW = datetime(2026, 1, 1)
#: What no test has by itself.
UNSEEN = ("CKAN", "COPY loader", "data folder", "workers", "recorder")
HEALTHY = Settings(secret_key="a long and random secret", job_timeout=600)


def patient(folder: Path, **changed: object) -> Patient:
    settings = replace(HEALTHY, data_dir=str(folder), **changed)  # type: ignore[arg-type]
    bus = topology(settings.vhost_prefix, ["push_to_datastore"], (2.0, 10.0))
    store = store_url(settings.sqlalchemy_database_uri, settings.data_dir)
    open_store(store).dispose()
    return Patient(settings, store, bus, lambda: connect(settings.broker_url, bus, store))


def findings(who: Patient, check: str = "") -> list[Finding]:
    """What is not well."""
    return [one for one in examine(who) if one.verdict != "ok" and (not check or one.check == check)]


def the_one(who: Patient, check: str) -> Finding:
    (found,) = findings(who, check)
    return found


@pytest.fixture
def healthy(tmp_path: Path) -> Patient:
    return patient(tmp_path)


@pytest.fixture
def on_rabbitmq(private_broker: PrivateBroker, prefix: str, tmp_path: Path) -> Iterator[Patient]:
    """With the policies applied."""
    url, api = private_broker.url, private_broker.management_url
    who = patient(tmp_path, broker_url=url, management_url=api, vhost_prefix=prefix)
    apply(who.topology, url, api)
    yield who
    remove(url, who.topology)
    left = private_broker.control("list_policies")
    for policy in who.topology.policies:
        if policy.name in left:
            private_broker.control("clear_policy", policy.name)


def test_nothing_is_wrong_with_a_healthy_installation(on_rabbitmq: Patient) -> None:
    assert [one for one in findings(on_rabbitmq) if one.check not in UNSEEN] == []


def test_each_finding_that_is_not_well_says_what_to_do(healthy: Patient) -> None:
    sick = replace(healthy, settings=replace(healthy.settings, secret_key="x", lease=1.0, broker_url="amqp://127.0.0.1:1"))
    assert all(one.advice for one in findings(sick))


# ----------------------------------------------------------------------------------------------------------- who runs


def test_it_is_told_when_no_worker_lives(healthy: Patient) -> None:
    assert the_one(healthy, "workers").advice == "start one: datapusher worker"
    alive = {"version": "1", "slots": 2, "busy": 0, "job_types": [], "started_at": NOW, "seen_at": NOW}
    with writing(open_store(healthy.store_url)) as connection:
        connection.execute(insert(workers).values(worker="/worker/a/1", good_until=datetime(2000, 1, 1), **alive))
    assert findings(healthy, "workers")
    with writing(open_store(healthy.store_url)) as connection:
        connection.execute(insert(workers).values(worker="/worker/a/2", good_until=datetime(2999, 1, 1), **alive))
    assert findings(healthy, "workers") == []


def test_it_is_told_when_no_recorder_listens(on_rabbitmq: Patient) -> None:
    assert the_one(on_rabbitmq, "recorder").advice == "start one: datapusher recorder"
    with Connection(on_rabbitmq.settings.broker_url) as connection:  # type: ignore[no-untyped-call]
        channel = connection.channel()
        channel.basic_consume(on_rabbitmq.topology.names.recorder, callback=lambda message: None)
        eventually(lambda: not findings(on_rabbitmq, "recorder"))


# ------------------------------------------------------------------------------------------------------------ the machine


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"secret_key": "short"}, "secret key"),
        ({"password": "admin"}, "password"),
        ({"lease": 2.0}, "DATAPUSHER_LEASE"),
        ({"job_memory": 0}, "DATAPUSHER_JOB_MEMORY"),
        ({"job_timeout": 0.0}, "DATAPUSHER_JOB_TIMEOUT"),
        ({"slots": 0}, "DATAPUSHER_SLOTS"),
        ({"max_starts": 1}, "DATAPUSHER_MAX_STARTS"),
        ({"max_attempts": 1}, "DATAPUSHER_MAX_ATTEMPTS"),
        ({"callback_delays": "10,60"}, "DATAPUSHER_CALLBACK_DELAYS"),
        ({"ssl_verify": False}, "DATAPUSHER_SSL_VERIFY"),
        ({"allowed_networks": "10.0.0.0/8, 0.0.0.0/0"}, "DATAPUSHER_ALLOWED_NETWORKS"),
        ({"max_content_length": 10**18}, "temporary folder"),
    ],
)
def test_a_setting_that_weakens_a_promise_is_named(tmp_path: Path, changed: dict[str, object], check: str) -> None:
    assert the_one(patient(tmp_path, **changed), check).verdict == "warning"
    assert findings(patient(tmp_path), check) == []


def test_a_secret_that_only_this_machine_has_is_told_where_others_need_it(tmp_path: Path, on_rabbitmq: Patient) -> None:
    (tmp_path / "secret.key").write_text(on_rabbitmq.settings.secret_key)
    assert "DATAPUSHER_SECRET_KEY" in the_one(on_rabbitmq, "secret key").advice


def test_a_store_that_ends_with_its_container_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"overlay / overlay rw 0 0\n/dev/sda1 {tmp_path} ext4 rw 0 0\ntmpfs {tmp_path}/data tmpfs rw 0 0\n")
    assert file_system(tmp_path / "data", mounts) == "tmpfs"
    assert file_system(tmp_path, mounts) == "ext4"
    assert file_system(Path("/elsewhere"), mounts) == "overlay"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory here")
def test_a_store_in_memory_is_wrong(healthy: Patient) -> None:
    found = the_one(replace(healthy, store_url="sqlite:////dev/shm/datapusher.db"), "data folder")
    assert (found.verdict, "tmpfs" in found.seen) == ("wrong", True)
    for left in Path("/dev/shm").glob("datapusher.db*"):
        left.unlink()


# -------------------------------------------------------------------------------------------------------------- the store


def test_a_store_that_does_not_answer_is_wrong(healthy: Patient) -> None:
    away = replace(healthy, store_url=f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/none")
    assert "DATAPUSHER_SQLALCHEMY_DATABASE_URI" in the_one(away, "store").advice


def test_jobs_that_were_sealed_with_another_key_are_told(healthy: Patient) -> None:
    sealed = Sealer(message_keys("the secret of another gateway", ())).seal("token")
    row = {"job_id": new_id(), "job_type": "t", "state": "queued", "requested_at": NOW, "metadata": {}, "api_key": sealed}
    with writing(engine := open_store(healthy.store_url)) as connection:
        connection.execute(insert(jobs).values(**row))
    engine.dispose()
    assert "same DATAPUSHER_SECRET_KEY" in the_one(healthy, "keys").advice
    same = replace(healthy, settings=replace(healthy.settings, secret_key="the secret of another gateway"))
    assert findings(same, "keys") == []


def test_jobs_that_nobody_publishes_are_counted(healthy: Patient) -> None:
    row = {"job_id": "j", "job_type": "t", "body": b"{}", "headers": {}, "created_at": NOW, "due_at": NOW}
    with writing(engine := open_store(healthy.store_url)) as connection:
        connection.execute(insert(outbox).values(**row))
    engine.dispose()
    assert the_one(healthy, "outbox").seen.startswith("1 ")


def test_a_database_that_confirms_what_is_not_on_disk_is_wrong(database_url: str, healthy: Patient) -> None:
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    name = connection.info.dbname
    on_postgresql = replace(healthy, store_url=store_url(database_url, ""))
    try:
        connection.cursor().execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        assert "synchronous_commit" in the_one(on_postgresql, "store's durability").seen
    finally:
        connection.cursor().execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')
        connection.close()
    assert findings(on_postgresql, "store's durability") == []


@pytest.mark.parametrize(("apart_s", "verdict"), [(0, "ok"), (3, "ok"), (-60, "wrong"), (3600, "wrong")])
def test_a_clock_that_is_wrong_is_told(apart_s: int, verdict: str) -> None:
    there = datetime.now(UTC) + timedelta(seconds=apart_s)
    assert clock("a clock", there).verdict == clock("a clock", there.replace(tzinfo=None).isoformat()).verdict == verdict


# ---------------------------------------------------------------------------------------------------------------- the bus


def test_a_broker_that_is_away_is_wrong(healthy: Patient, tmp_path: Path) -> None:
    away = patient(tmp_path, broker_url=f"amqp://127.0.0.1:{free_port()}")
    assert "DATAPUSHER_BROKER_URL" in the_one(away, "bus").advice


def test_a_broker_that_refuses_us_is_told_in_its_own_words(on_rabbitmq: Patient) -> None:
    url = on_rabbitmq.settings.broker_url.rpartition("/")[0] + "/nowhere"
    refused = replace(on_rabbitmq, connect=lambda: connect(url, on_rabbitmq.topology, on_rabbitmq.store_url))
    assert "vhost nowhere not found" in the_one(refused, "bus").seen


def declare(url: str, what: Callable[..., object]) -> None:
    with Connection(url) as connection:  # type: ignore[no-untyped-call]
        what(connection.default_channel)


def test_an_exchange_of_another_type_is_wrong(on_rabbitmq: Patient) -> None:
    exchange = on_rabbitmq.topology.names.events
    declare(on_rabbitmq.settings.broker_url, lambda channel: channel.exchange_declare(exchange, "fanout", durable=True))
    found = the_one(on_rabbitmq, "bus")
    assert exchange in found.seen and "delete it" in found.advice


@pytest.mark.parametrize("arguments", [{"x-queue-type": "classic"}, {"x-queue-type": "quorum", "x-message-ttl": 1000}])
def test_a_queue_with_other_arguments_is_wrong(on_rabbitmq: Patient, arguments: dict[str, object]) -> None:
    queue = on_rabbitmq.topology.names.retry(10.0)
    url = on_rabbitmq.settings.broker_url
    declare(url, lambda channel: channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments))
    assert any(queue in found.seen and found.verdict == "wrong" for found in findings(on_rabbitmq, "bus"))


def test_missing_policies_are_told(on_rabbitmq: Patient, private_broker: PrivateBroker) -> None:
    private_broker.control("clear_policy", f"{on_rabbitmq.topology.names.prefix}-work")
    assert the_one(on_rabbitmq, "policies").advice == "datapusher topology apply"


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ('{"max-length": 10}', "drops the oldest messages above a length of 10"),
        ('{"max-length-bytes": 10, "overflow": "drop-head"}', "drops the oldest"),
        ('{"message-ttl": 5000}', "older than 5000 ms"),
        ('{"expires": 60000}', "deletes"),
        ('{"delivery-limit": 3}', "drops messages after 3 deliveries"),
    ],
)
@pytest.mark.parametrize("queue", ["push_to_datastore", "recorder", "callbacks", "dead"])
def test_a_policy_that_drops_messages_is_wrong(
    on_rabbitmq: Patient, private_broker: PrivateBroker, definition: str, words: str, queue: str
) -> None:
    name = f"{on_rabbitmq.topology.names.prefix}.{queue}"
    private_broker.control("set_policy", name, f"^{name}$".replace(".", "\\."), definition, "--priority", "99")
    try:
        found = the_one(on_rabbitmq, "policies")
        assert found.verdict == "wrong" and words in found.seen and name in found.seen
    finally:
        private_broker.control("clear_policy", name)


def test_a_shorter_wait_by_policy_is_wrong(on_rabbitmq: Patient, private_broker: PrivateBroker) -> None:
    name = on_rabbitmq.topology.names.retry(10.0)
    private_broker.control("set_policy", name, f"^{name}$", '{"message-ttl": 5}')
    try:
        assert "older than 5 ms" in the_one(on_rabbitmq, "policies").seen
    finally:
        private_broker.control("clear_policy", name)


def test_an_operators_policy_counts_too(on_rabbitmq: Patient, private_broker: PrivateBroker) -> None:
    prefix = on_rabbitmq.topology.names.prefix
    private_broker.control("set_operator_policy", prefix, f"^{prefix}", '{"message-ttl": 7}', "--apply-to", "queues")
    try:
        assert {found.check for found in findings(on_rabbitmq) if "7 ms" in found.seen} == {"policies"}
    finally:
        private_broker.control("clear_operator_policy", prefix)


def test_policies_that_cannot_be_looked_at_are_told(on_rabbitmq: Patient) -> None:
    settings = replace(on_rabbitmq.settings, management_url=f"http://guest:guest@127.0.0.1:{free_port()}")
    found = the_one(replace(on_rabbitmq, settings=settings), "policies")
    assert "rabbitmqctl set_policy" in found.advice


def test_an_alarm_is_told(on_rabbitmq: Patient, private_broker: PrivateBroker) -> None:
    private_broker.control("set_disk_free_limit", "100000GB")
    try:
        eventually(lambda: findings(on_rabbitmq, "disk alarm"))  # the management API looks every five seconds
        assert the_one(on_rabbitmq, "disk alarm").verdict == "wrong"
    finally:
        private_broker.control("set_disk_free_limit", "50MB")


@pytest.mark.parametrize(
    ("node", "verdict"),
    [
        (Node("n", 100, 65_536, ()), "ok"),
        (Node("n", 700, 1024, ()), "warning"),
        (Node("n", 1000, 1024, ()), "wrong"),
        (Node("n", 5, 0, ()), "ok"),
    ],
)
def test_a_broker_that_will_run_out_of_files_is_told(node: Node, verdict: str) -> None:
    assert open_files(node, queues=13).verdict == verdict


def test_a_job_longer_than_the_broker_waits_is_told(on_rabbitmq: Patient) -> None:
    long = replace(on_rabbitmq, settings=replace(on_rabbitmq.settings, job_timeout=3600.0))
    assert "consumer_timeout = " in the_one(long, "consumer_timeout").advice


def test_dead_letters_are_counted(healthy: Patient) -> None:
    bus = healthy.connect()
    names = healthy.topology.names
    bus.publish(Message(exchange=names.dead, routing_key="job.x", body=b"{}", message_id="m")).result(10)
    bus.close()
    assert "datapusher dead list" in the_one(healthy, "dead letters").advice


# --------------------------------------------------------------------------------------------------------------- its CKAN


def test_a_database_that_is_not_ckans_is_wrong(healthy: Patient, database_url: str) -> None:
    with Sandbox() as ckan:
        settings = replace(healthy.settings, datastore_write_url=database_url)
        who = replace(healthy, settings=settings, ckan_url=ckan.url, api_key=ckan.token)
        tables = {"records": [{"name": "0a1b-a-resource", "alias_of": None}, {"name": "_table_metadata", "alias_of": None}]}
        ckan.fail("datastore_search", 200, times=9, body={"success": True, "result": tables})
        assert "another database" in the_one(who, "DataStore's database").advice
        with psycopg2.connect(database_url) as connection:
            connection.cursor().execute('CREATE TABLE "0a1b-a-resource" ()')
        assert findings(who, "DataStore's database") == []
        with psycopg2.connect(database_url) as connection:
            connection.cursor().execute('DROP TABLE "0a1b-a-resource"')


def test_a_sysadmins_token_is_good_without_any_organization(healthy: Patient) -> None:
    with Sandbox() as ckan:
        who = replace(healthy, ckan_url=ckan.url, api_key=ckan.token)
        assert [one.seen for one in examine(who) if one.check == "API token"] == ["its user is a sysadmin"]


def test_a_token_that_may_do_nothing_is_wrong(healthy: Patient) -> None:
    with Sandbox() as ckan:
        who = replace(healthy, ckan_url=ckan.url, api_key="somebody's")
        assert "ckan user token add" in the_one(who, "API token").advice
