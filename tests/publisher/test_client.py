"""Other systems send jobs with `Publisher` and `python -m publisher`."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.fernet import Fernet

from publisher.client import Publisher
from schemas.errors import BadSetting, InvalidMessage, NotPublished, Unroutable
from schemas.messages import Job
from schemas.sealing import Sealer
from tests.publisher.lab import JOB_TYPE, ROOT, Lab, eventually
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def client(rabbit: Lab) -> Iterator[Publisher]:
    with Publisher(rabbit.broker_url, prefix=rabbit.names.prefix) as client:
        yield client


@pytest.fixture
def proxy(broker_url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(broker_url)
    with TcpProxy(parts.hostname or "127.0.0.1", parts.port or 5672) as proxy:
        yield proxy


def through(proxy: TcpProxy, broker_url: str) -> str:
    parts = urlsplit(broker_url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}").geturl()


def test_pushed_resource_arrives_as_a_job(rabbit: Lab, client: Publisher) -> None:
    job_id = client.push(resource_id="r1", ckan_url="https://ckan.example", api_key="token", ignore_hash=True)
    message = rabbit.consume().take().message
    job = Job.decode(message.body)
    assert (job.job_id, job.job_type, job.api_key) == (job_id, JOB_TYPE, "token")
    assert job.metadata == {"resource_id": "r1", "ckan_url": "https://ckan.example", "ignore_hash": True}
    assert (message.message_id, message.type, message.content_type) == (job_id, "datapusher.job", "application/json")


def test_job_of_any_type_carries_its_data(rabbit: Lab, client: Publisher) -> None:
    assert client.submit(JOB_TYPE, data=[1, {"a": "ł"}], job_id="my-job", result_url="https://x.example/hook") == "my-job"
    job = Job.decode(rabbit.consume().take().message.body)
    assert (job.data, job.result_url) == ([1, {"a": "ł"}], "https://x.example/hook")


def test_unknown_job_type_is_unroutable_and_the_next_job_is_not(rabbit: Lab, client: Publisher) -> None:
    with pytest.raises(Unroutable, match="no_such_type"):
        client.submit("no_such_type")
    client.submit(JOB_TYPE)
    assert rabbit.bus.depth(rabbit.work) == 1


def test_wrong_prefix_is_unroutable(rabbit: Lab) -> None:
    with Publisher(rabbit.broker_url, prefix="elsewhere") as client, pytest.raises(Unroutable, match="prefix"):
        client.submit(JOB_TYPE)


def test_invalid_job_is_refused_before_it_is_sent(rabbit: Lab, client: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="job_type"):
        client.submit("no good type")
    with pytest.raises(InvalidMessage, match="http"):
        client.push(resource_id="r1", ckan_url="ckan.example", api_key="token")
    with pytest.raises(InvalidMessage, match="unknown keys"):
        client.send({"job_type": JOB_TYPE, "prioritaet": 1})
    assert rabbit.bus.depth(rabbit.work) == 0


@pytest.mark.parametrize("key", ["resource_id", "ckan_url", "api_key"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_push_without_what_it_needs_is_refused_by_name(client: Publisher, key: str, value: Any) -> None:
    needed: dict[str, Any] = {"resource_id": "r1", "ckan_url": "https://ckan.example", "api_key": "token"}
    with pytest.raises(InvalidMessage, match=key):
        client.push(**{**needed, key: value})


def test_what_is_not_json_is_refused_as_an_invalid_message(client: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="set"):
        client.submit(JOB_TYPE, data={1, 2})  # type: ignore[arg-type]


def test_a_push_is_sent_again_under_its_own_id(rabbit: Lab, client: Publisher) -> None:
    for _ in range(2):
        client.push(resource_id="r1", ckan_url="https://ckan.example", api_key="token", job_id="mine")
    hand = rabbit.consume()
    jobs = [Job.decode(hand.take().message.body) for _ in range(2)]
    assert [job.job_id for job in jobs] == ["mine", "mine"]
    assert "job_id" not in jobs[0].metadata


def test_urls_may_have_spaces_and_a_last_semicolon(rabbit: Lab) -> None:
    with Publisher(f" {rabbit.broker_url} ; ", prefix=rabbit.names.prefix) as client:
        client.submit(JOB_TYPE)
    assert rabbit.bus.depth(rabbit.work) == 1


@pytest.mark.parametrize("waits", [False, True])
def test_who_may_not_in_is_told_why_at_once(broker_url: str, waits: bool) -> None:
    parts = urlsplit(broker_url)
    password = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port or 5672}").geturl()
    with Publisher(password, waits=waits) as client, pytest.raises(NotPublished, match="ACCESS_REFUSED"):
        client.submit(JOB_TYPE)
    with Publisher(parts._replace(path="/no-such-vhost").geturl(), waits=waits) as client:
        with pytest.raises(Unroutable, match="no-such-vhost"):
            client.submit(JOB_TYPE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_has_connections_of_its_own(rabbit: Lab, client: Publisher) -> None:
    client.submit(JOB_TYPE, job_id="before")
    if (child := os.fork()) == 0:
        try:
            with client:
                client.submit(JOB_TYPE, job_id="child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with client._pool.acquire() as connection:
        assert connection.connected, "the child closed the connection of its parent"
    client.submit(JOB_TYPE, job_id="parent")
    hand = rabbit.consume()
    assert {hand.take().message.message_id for _ in range(3)} == {"before", "child", "parent"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_multiprocessing_leaves_the_connections_of_its_parent_alone(client: Publisher, rabbit: Lab) -> None:
    client.submit(JOB_TYPE)
    child = multiprocessing.get_context("fork").Process(target=int)
    child.start()
    child.join(20)
    with client._pool.acquire() as connection:
        connection.connection.channel().close()  # asks the broker


def test_api_key_travels_sealed_when_keys_are_given(rabbit: Lab) -> None:
    key = Fernet.generate_key().decode()
    with Publisher(rabbit.broker_url, prefix=rabbit.names.prefix, seal_keys=[key]) as client:
        client.push(resource_id="r1", ckan_url="https://ckan.example", api_key="token")
    body = rabbit.consume().take().message.body
    assert b"token" not in body
    assert Sealer([key]).open(Job.decode(body).api_key) == "token"


def test_threads_share_the_pool(rabbit: Lab, client: Publisher) -> None:
    threads = [threading.Thread(target=lambda: [client.submit(JOB_TYPE) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rabbit.bus.depth(rabbit.work) == 80


def test_next_url_is_used_when_one_does_not_answer(rabbit: Lab, proxy: TcpProxy) -> None:
    proxy.cut()
    urls = f"{through(proxy, rabbit.broker_url)};{rabbit.broker_url}"
    with Publisher(urls, prefix=rabbit.names.prefix) as client:
        client.submit(JOB_TYPE)
    assert proxy.refused > 0
    assert rabbit.bus.depth(rabbit.work) == 1


def test_cut_connection_is_made_anew(rabbit: Lab, proxy: TcpProxy) -> None:
    with Publisher(through(proxy, rabbit.broker_url), prefix=rabbit.names.prefix) as client:
        client.submit(JOB_TYPE, job_id="j1")
        proxy.cut()
        proxy.heal()
        client.submit(JOB_TYPE, job_id="j2")
    eventually(lambda: rabbit.bus.depth(rabbit.work) == 2)


def test_absent_broker_is_told_after_the_tries(rabbit: Lab, proxy: TcpProxy) -> None:
    proxy.cut()
    with Publisher(through(proxy, rabbit.broker_url), tries=2) as client, pytest.raises(NotPublished, match="my-job"):
        client.submit(JOB_TYPE, job_id="my-job")
    assert proxy.refused >= 2


def test_url_of_another_kind_is_refused() -> None:
    with pytest.raises(BadSetting, match="amqp://"):
        Publisher("embedded:")


def run(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "publisher", *arguments]
    return subprocess.run(program, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60)


def test_command_sends_the_job_of_a_file(rabbit: Lab) -> None:
    job = json.dumps({"job_type": JOB_TYPE, "metadata": {"resource_id": "r1"}})
    done = run("-", "--url", rabbit.broker_url, "--prefix", rabbit.names.prefix, stdin=job)
    assert (done.returncode, done.stderr) == (0, "")
    assert rabbit.consume().take().message.message_id == done.stdout.strip()


@pytest.mark.parametrize(
    ("stdin", "words"), [("{oops", "not JSON"), ("[]", "JSON object"), ('{"job_type": "a b"}', "job_type")]
)
def test_command_tells_what_is_wrong_with_the_file(stdin: str, words: str) -> None:
    done = run("-", "--url", "amqp://127.0.0.1:1", stdin=stdin)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def test_command_explains_itself() -> None:
    assert "push_to_datastore" in run("--help").stdout
    assert run().returncode == 2
