"""The broker or the store away: what is accepted is kept, what is not is refused in time."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from publisher.client import Publisher
from sandbox.server import Sandbox
from schemas.messages import new_id
from tests.acceptance.service import Service, free_port, wait_until
from tests.tcp_proxy import TcpProxy

CSV = b"id,name\n1,Ada\n"
#: (url) -> the proxy before it, and the url through it.
Through = Callable[[str], tuple[TcpProxy, str]]


@pytest.fixture
def through() -> Iterator[Through]:
    with ExitStack() as stack:

        def through(url: str) -> tuple[TcpProxy, str]:
            parts = urlsplit(url)
            proxy = stack.enter_context(TcpProxy(parts.hostname or "127.0.0.1", parts.port or 5432))
            account = parts.netloc.rpartition("@")[0]
            netloc = f"{account}@127.0.0.1:{proxy.port}" if account else f"127.0.0.1:{proxy.port}"
            return proxy, urlunsplit(parts._replace(netloc=netloc))

        yield through


def test_a_job_accepted_while_the_broker_is_away_runs_when_it_is_back(
    tmp_path: Path, ckan: Sandbox, on_rabbitmq: Mapping[str, str], through: Through
) -> None:
    proxy, url = through(on_rabbitmq["DATAPUSHER_BROKER_URL"])
    service = Service(tmp_path, {**on_rabbitmq, "DATAPUSHER_BROKER_URL": url})
    try:
        service.start("gateway", "worker", "recorder")
        wait_until(service.ready, "the bus is connected", on_failure=service.logs)
        resource = ckan.add_resource(upload=("a.csv", CSV))
        proxy.cut()
        answer = service.post(ckan.job_for(resource["id"]))
        wait_until(lambda: proxy.refused > 0, "the broker was tried while it was away")
        state = service.job(answer.json()["job_id"])["state"]
        proxy.heal()

        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 2
        assert state == "queued"
        assert service.ended(answer.json()["job_id"])["state"] == "complete"
    finally:
        service.stop()


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_with_the_store_away_the_answer_is_503_within_2_seconds(
    tmp_path: Path, on_rabbitmq: Mapping[str, str], through: Through, silent: bool
) -> None:
    proxy, url = through(on_rabbitmq["DATAPUSHER_SQLALCHEMY_DATABASE_URI"])
    service = Service(tmp_path, {**on_rabbitmq, "DATAPUSHER_SQLALCHEMY_DATABASE_URI": url})
    try:
        service.start("gateway")
        job = {"job_type": "push_to_datastore", "api_key": "k", "metadata": {}}
        before = service.post(job)
        proxy.cut(silent=silent)
        answer = service.post(job)
        proxy.heal()

        assert before.status_code == 200
        assert answer.status_code == 503 and isinstance(answer.json()["error"], str)
        assert answer.elapsed.total_seconds() < 2.5
        wait_until(lambda: service.post(job).status_code == 200, "jobs are accepted again once the store is back")
    finally:
        service.stop()


@pytest.mark.parametrize("role", ["gateway", "worker", "recorder"])
def test_a_role_waits_for_a_store_that_is_away_at_its_start(
    tmp_path: Path, on_rabbitmq: Mapping[str, str], through: Through, role: str
) -> None:
    proxy, url = through(on_rabbitmq["DATAPUSHER_SQLALCHEMY_DATABASE_URI"])
    service = Service(tmp_path, {**on_rabbitmq, "DATAPUSHER_SQLALCHEMY_DATABASE_URI": url})
    others = {"gateway", "worker", "recorder"} - {role}
    try:
        proxy.cut()
        [waiting] = service.spawn(role)
        wait_until(lambda: "cannot start without the store" in service.logs(), "it says so", on_failure=service.logs)
        proxy.heal()
        service.start(*others)
        wait_until(service.ready, "all is there", on_failure=service.logs)
        answer = service.post({"job_type": "push_to_datastore", "api_key": "k", "metadata": {}})

        assert service.ended(answer.json()["job_id"])["state"] == "error"  # it names no resource
        assert waiting.poll() is None
    finally:
        service.stop()


def test_a_role_that_waits_for_its_store_can_be_stopped(tmp_path: Path) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/nowhere"
    service = Service(tmp_path, {"DATAPUSHER_SQLALCHEMY_DATABASE_URI": nowhere, "DATAPUSHER_BROKER_URL": "amqp://127.0.0.1:1"})
    try:
        [waiting] = service.spawn("recorder")
        wait_until(lambda: "cannot start without the store" in service.logs(), "it says so", on_failure=service.logs)
        waiting.terminate()
        assert waiting.wait(10) == 0
    finally:
        service.stop()


def test_a_setting_that_cannot_be_used_is_said_though_the_store_is_away(tmp_path: Path) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/nowhere"
    service = Service(tmp_path, {"DATAPUSHER_SQLALCHEMY_DATABASE_URI": nowhere, "DATAPUSHER_BROKER_URL": "amqp://127.0.0.1:1"})
    with socket.create_server(("127.0.0.1", service.port)):
        try:
            [gateway] = service.spawn("gateway")
            assert gateway.wait(30) == 2
        finally:
            service.stop()
    assert "DATAPUSHER_PORT: cannot listen" in service.logs()


def test_a_store_that_takes_our_rights_away_loses_nothing(tmp_path: Path, on_rabbitmq: Mapping[str, str]) -> None:
    url, role = on_rabbitmq["DATAPUSHER_SQLALCHEMY_DATABASE_URI"], f"weak_{new_id()[:8]}"
    admin = psycopg2.connect(url)
    admin.autocommit = True
    execute = admin.cursor().execute
    execute(f"CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    weak = f"{url}{'&' if '?' in url else '?'}options=-crole%3D{role}"
    service = Service(tmp_path, {**on_rabbitmq, "DATAPUSHER_SQLALCHEMY_DATABASE_URI": weak})
    where = on_rabbitmq["DATAPUSHER_BROKER_URL"], on_rabbitmq["DATAPUSHER_VHOST_PREFIX"]
    try:
        service.start("gateway", "worker", "recorder")
        wait_until(service.ready, "all is there", on_failure=service.logs)
        wait_until(lambda: "takes jobs" in service.logs(), "the worker too", on_failure=service.logs)
        execute(f"REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM {role}")
        with Publisher(where[0], prefix=where[1]) as publisher:
            job_id = publisher.submit("push_to_datastore")
        refused = service.post({"job_type": "push_to_datastore", "api_key": "k", "metadata": {}})
        wait_until(lambda: "not recorded, trying again" in service.logs(), "it is kept", on_failure=service.logs)
        execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")

        assert refused.status_code == 503, refused.text
        assert service.ended(job_id)["state"] == "error"  # it names no resource
        assert "cannot be recorded" not in service.logs() and "Traceback" not in service.logs()
    finally:
        service.stop()
        execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        admin.close()
