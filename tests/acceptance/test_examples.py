"""examples/ does what docs/publishing.md says of it; as it is written, each in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import requests

from sandbox.server import Sandbox
from tests.acceptance.service import ROOT, Service, wait_until

EXAMPLES = ROOT / "examples"
MANAGEMENT_PORT = 15672


@pytest.fixture
def service(tmp_path: Path, on_rabbitmq: Mapping[str, str]) -> Iterator[Service]:
    service = Service(tmp_path, on_rabbitmq)
    service.start("up")
    wait_until(service.ready, "the topology is there", on_failure=service.logs)
    yield service
    service.stop()


def environment(ckan: Sandbox, service: Service, **more: str) -> dict[str, str]:
    return {**service.environment, "CKAN_API_TOKEN": ckan.token, **more}


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def resource(ckan: Sandbox) -> list[str]:
    """What every example is called with."""
    return [ckan.url, str(ckan.add_resource(upload=("a.csv", b"id,name\n1,Ada\n2,Grace\n"))["id"])]


def job_id_in(output: str) -> str:
    found = re.match(r"[0-9a-f-]{36}", output)
    assert found, output
    return found[0]


def test_each_way_to_publish_loads_a_table_and_who_reacts_hears_of_it(
    service: Service, ckan: Sandbox, broker_url: str, tmp_path: Path
) -> None:
    variables = environment(ckan, service)
    with Reactor(variables) as reactor:
        with_client = run([sys.executable, str(EXAMPLES / "publish_with_client.py"), *resource(ckan)], variables)
        assert with_client.rstrip().endswith(": 2 rows")
        with_pika = run([sys.executable, str(EXAMPLES / "publish_with_pika.py"), *resource(ckan)], variables)
        jobs = [job_id_in(with_client), job_id_in(with_pika)]
        if program := rabbitmqadmin(broker_url, tmp_path):
            there = [str(EXAMPLES / "publish_with_rabbitmqadmin.sh"), *resource(ckan)]
            jobs.append(job_id_in(run(there, {**variables, **program})))
        if node := with_amqplib():
            jobs.append(job_id_in(run([*node, *resource(ckan)], variables)))
        heard = [reactor.line() for _ in jobs]
    assert {job_id_in(line) for line in heard} == set(jobs)
    assert all(re.search(rf": 2 rows in \S+ of {re.escape(ckan.url)}$", line) for line in heard)


def test_a_file_that_has_not_changed_stops_no_example(service: Service, ckan: Sandbox) -> None:
    variables, unchanged, other = environment(ckan, service), resource(ckan), resource(ckan)
    with_client = [sys.executable, str(EXAMPLES / "publish_with_client.py")]
    with Reactor(variables) as reactor:
        run([*with_client, *unchanged], variables)
        assert run([*with_client, *unchanged], variables).rstrip().endswith(": nothing loaded, unchanged")
        if node := with_amqplib():
            assert '"skipped":"unchanged"' in run([*node, *unchanged], variables)
        last = job_id_in(run([*with_client, *other], variables))
        assert unchanged[1] in reactor.line()
        assert job_id_in(reactor.line()) == last


class Reactor:
    """examples/react.py, listening."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [sys.executable, str(EXAMPLES / "react.py")]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Reactor":
        assert self.line() == "listening"
        return self

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def rabbitmqadmin(broker_url: str, folder: Path) -> dict[str, str] | None:
    """The program that the broker's management plugin serves, and its options; None where that is not there."""
    parts = urlsplit(broker_url)
    try:
        answer = requests.get(f"http://{parts.hostname}:{MANAGEMENT_PORT}/cli/rabbitmqadmin", timeout=5)
    except requests.RequestException:
        return None
    if not answer.ok:
        return None
    program = folder / "rabbitmqadmin"
    program.write_bytes(answer.content)
    options = (
        f"--host {parts.hostname} --username {parts.username} --password {parts.password} --vhost {unquote(parts.path[1:])}"
    )
    return {"RABBITMQADMIN": f"{sys.executable} {program}", "RABBITMQADMIN_OPTIONS": options}


def with_amqplib() -> list[str] | None:
    """Node and the example, once `npm install` was run beside it."""
    node = shutil.which("node")
    return [node, str(EXAMPLES / "node/publish.js")] if node and (EXAMPLES / "node/node_modules/amqplib").is_dir() else None


def test_every_example_is_in_the_page_of_publishing() -> None:
    page = (ROOT / "docs/publishing.md").read_text()
    files = [path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".sh", ".js") and "node_modules" not in path.parts]
    assert [path.name for path in files if path.name != "__init__.py" and path.name not in page] == []
    assert os.access(EXAMPLES / "publish_with_rabbitmqadmin.sh", os.X_OK)
