"""A CKAN whose certificate is of an authority of its own."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from sandbox.server import Sandbox
from tests.acceptance.service import ROOT, Service, wait_until

CSV = b"id,name\n1,Ada\n"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ckan(authority: trustme.CA) -> Iterator[Sandbox]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Sandbox(tls=context) as ckan:
        yield ckan


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(path := tmp_path / "authority.pem")
    return path


def test_its_file_is_fetched_loaded_and_called_back_with_the_authority_named(
    ckan: Sandbox, bundle: Path, tmp_path: Path
) -> None:
    service = Service(tmp_path, {"DATAPUSHER_CA_BUNDLE": str(bundle)})
    try:
        service.start("up")
        ckan.datapusher_url = service.url
        resource = ckan.add_resource(upload=("people.csv", CSV))
        assert ckan.wait_for(resource["id"])["state"] == "complete", service.logs()
        assert len(ckan.table(resource["id"]).rows) == 1
    finally:
        service.stop()


def test_without_it_the_job_and_its_callback_say_what_to_set(ckan: Sandbox, tmp_path: Path) -> None:
    service = Service(tmp_path, {"DATAPUSHER_CALLBACK_DELAYS": "0.1"})
    try:
        service.start("up")
        job_id = service.post(ckan.job_for(ckan.add_resource(upload=("people.csv", CSV))["id"])).json()["job_id"]
        job = service.ended(job_id)
        assert job["state"] == "error" and "DATAPUSHER_CA_BUNDLE" in str(job["error"])
        wait_until(lambda: "DATAPUSHER_CA_BUNDLE" in str(service.job(job_id)["callback"]), "so does the callback's last error")
    finally:
        service.stop()


@pytest.mark.parametrize("named", [True, False])
def test_doctor_sees_ckan_as_the_worker_does(ckan: Sandbox, bundle: Path, tmp_path: Path, named: bool) -> None:
    service = Service(tmp_path, {"DATAPUSHER_CA_BUNDLE": str(bundle) if named else "", "REQUESTS_CA_BUNDLE": str(bundle)})
    command = [sys.executable, str(ROOT / "datapusher.py"), "doctor", "--ckan", ckan.url, "--api-key", ckan.token]
    told = subprocess.run(command, env=service.environment, capture_output=True, text=True, timeout=60).stdout
    assert (f"CKAN: {ckan.url} answers" in told) is named
    assert ("DATAPUSHER_CA_BUNDLE" in told) is not named


def test_a_bundle_that_is_none_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    service = Service(tmp_path, {"DATAPUSHER_CA_BUNDLE": str(tmp_path / "empty.pem")})
    [gateway] = service.spawn("gateway")
    assert gateway.wait(30) == 2
    assert "DATAPUSHER_CA_BUNDLE: " in service.logs()
