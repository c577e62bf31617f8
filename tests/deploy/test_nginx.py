"""The example for nginx: all of the service under a path, streams as they come."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.service import free_port, wait_until
from tests.deploy.tools import tool
from tests.gateway.conftest import Start, engine, start
from tests.gateway.gateway_thread import JOB, PASSWORD, SECRET, GatewayThread
from tests.services import listens

__all__ = ["engine", "start"]
EXAMPLE = Path(__file__).parents[2] / "deploy/nginx/datapusher.conf"
MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
master_process off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/datapusher.conf;
}}
"""


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def gateway(start: Start) -> GatewayThread:
    return start(url_prefix="/datapusher")


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, gateway: GatewayThread) -> Iterator[str]:
    """The URL of the gateway behind nginx, without a slash at its end."""
    program = tool(request, "nginx")
    port = free_port()
    example = EXAMPLE.read_text().replace("listen 80;", f"listen 127.0.0.1:{port};").replace(":8800;", f":{gateway.port};")
    assert example.count(str(port)) == 1 and str(gateway.port) in example
    (tmp_path / "datapusher.conf").write_text(example)
    (tmp_path / "nginx.conf").write_text(MAIN.format(folder=tmp_path))
    arguments = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "nginx listens", 20, on_failure=(tmp_path / "error.log").read_text)
        yield f"http://127.0.0.1:{port}/datapusher"
    finally:
        process.kill()
        process.wait()


def test_ckan_submits_and_asks_under_the_path(site: str) -> None:
    answer = requests.post(f"{site}/job", json=JOB, timeout=10)
    assert answer.status_code == 200
    job_id, key = answer.json()["job_id"], answer.json()["job_key"]
    found = requests.get(f"{site}/job/{job_id}", headers={"Authorization": key}, timeout=10)
    assert found.json()["status"] == "pending"
    assert requests.post(f"{site}/job", json={**JOB, "metadata": {"x": "y" * 2_000_000}}, timeout=10).status_code == 413


def test_a_stream_comes_as_it_happens(site: str, gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    stream = requests.get(f"{site}/job/{job_id}/events", headers={"Authorization": SECRET}, stream=True, timeout=10)
    with contextlib.closing(stream):
        lines = stream.iter_lines(chunk_size=1)
        assert next(line for line in lines if line.startswith(b"event:")) == b"event: queued"
        requests.delete(f"{gateway.url}/job/{job_id}", headers={"Authorization": SECRET}, timeout=10)


def test_the_dashboard_stays_under_the_path(site: str) -> None:
    with requests.Session() as browser:
        page = browser.get(f"{site}/ui", timeout=10)
        assert page.url.startswith(f"{site}/ui/login")
        token = page.text.split('name="token" value="')[1].split('"')[0]
        entered = browser.post(page.url, data={"token": token, "username": "admin", "password": PASSWORD}, timeout=10)
        assert entered.url.rstrip("/") == f"{site}/ui" and "Needs attention" in entered.text
        style = entered.text.split('rel="stylesheet" href="')[1].split('"')[0]
        assert browser.get(requests.compat.urljoin(entered.url, style), timeout=10).headers["Content-Type"] == "text/css"


def test_figures_are_not_for_everybody(site: str) -> None:
    assert requests.get(f"{site}/metrics", timeout=10).status_code == 404
