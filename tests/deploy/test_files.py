"""The examples for service managers say what the service understands."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import datapusher
from schemas.settings import Settings, rows_of_table
from tests.deploy.tools import tool

DEPLOY = Path(__file__).parents[2] / "deploy"
#: Kubernetes' own schemas of these versions; KEDA's objects are none of its own.
KUBERNETES = ("1.25", "1.37")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ROLES = ("gateway", "worker", "recorder")
Object = dict[str, Any]


def objects() -> list[Object]:
    """All of the Kubernetes example."""
    texts = [path.read_text() for path in sorted((DEPLOY / "kubernetes").glob("*.yaml*"))]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def kubernetes(kind: str) -> list[Object]:
    """Objects of this kind in the example."""
    return [each for each in objects() if each["kind"] == kind]


def containers() -> Iterator[Object]:
    for each in (*kubernetes("Deployment"), *kubernetes("Job")):
        yield from each["spec"]["template"]["spec"]["containers"]


def compose() -> Object:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def unit(role: str) -> dict[str, str]:
    """Key -> value, of the last line with that key."""
    (path,) = [path for path in UNITS if f"-{role}" in path.name]
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))


def test_every_variable_is_a_setting() -> None:
    known = {row.variable for row in rows_of_table()} | {"DATAPUSHER_CONFIG"}
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        assert set(re.findall(r"\bDATAPUSHER_[A-Z_]+[A-Z]\b", path.read_text())) <= known, path


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field_of_its_example(version: str) -> None:
    own = [each for each in objects() if not each["apiVersion"].startswith("keda.sh/")]
    for each in own:
        kubernetes_validate.validate(each, version, strict=True)
    assert len(own) > 5


def test_settings_of_the_examples_can_be_read() -> None:
    (config,), (secret,) = kubernetes("ConfigMap"), kubernetes("Secret")
    Settings.read({**config["data"], **secret["stringData"]})
    lines = (DEPLOY / "systemd/datapusher.env").read_text().splitlines()
    Settings.read(dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?DATAPUSHER", line)))


def test_every_command_exists() -> None:
    commands = {arguments[0] for arguments in (each["args"] for each in containers())}
    commands |= {service["command"].split()[0] for service in compose()["services"].values() if "command" in service}
    commands |= {unit(role)["ExecStart"].split()[1] for role in ROLES}
    assert commands - set(datapusher.main.commands) == set() and set(ROLES) <= commands


def test_workers_have_longer_to_stop_than_jobs_have_to_end() -> None:
    limit = Settings().drain_timeout
    assert float(unit("worker")["TimeoutStopSec"]) > limit
    assert float(compose()["services"]["worker"]["stop_grace_period"].rstrip("s")) > limit
    (worker,) = [each for each in kubernetes("Deployment") if each["metadata"]["name"] == "worker"]
    drain = float(kubernetes("ConfigMap")[0]["data"]["DATAPUSHER_DRAIN_TIMEOUT"])
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain


def test_a_worker_pod_has_the_memory_that_its_jobs_may_use() -> None:
    data = kubernetes("ConfigMap")[0]["data"]
    (worker,) = [each for each in containers() if each["name"] == "worker"]
    limit = int(worker["resources"]["limits"]["memory"].removesuffix("Mi")) * 1024**2
    assert limit >= int(data["DATAPUSHER_SLOTS"]) * int(data["DATAPUSHER_JOB_MEMORY"]) + 512 * 1024**2


def test_pods_are_selected_probed_and_locked() -> None:
    for each in kubernetes("Deployment"):
        template = each["spec"]["template"]
        assert each["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        for container in template["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[probe]["httpGet"]
                assert asked["path"] in ("/health/live", "/health/ready") and asked["port"] in ports
            assert container["securityContext"]["readOnlyRootFilesystem"]
    (service,), (gateway,) = (kubernetes("Service"), [each for each in containers() if each["name"] == "gateway"])
    assert service["spec"]["ports"][0]["targetPort"] == gateway["ports"][0]["name"]
    assert gateway["ports"][0]["containerPort"] == Settings().port


def test_the_scaler_looks_at_a_queue_that_is_there() -> None:
    names = datapusher.Installation(Settings()).topology.names
    (scaler,) = kubernetes("ScaledObject")
    assert scaler["spec"]["triggers"][0]["metadata"]["queueName"] == names.work("push_to_datastore")
    workers = {each["metadata"]["name"] for each in kubernetes("Deployment")}
    assert {each["spec"]["scaleTargetRef"]["name"] for each in (scaler, *kubernetes("HorizontalPodAutoscaler"))} <= workers


def test_units_give_the_processes_nothing_they_do_not_need(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    analyze = tool(request, "systemd-analyze")
    for path in UNITS:
        text = path.read_text().replace("/opt/datapusher/.venv/bin/datapusher", "/bin/true")
        (tmp_path / path.name).write_text(text)
        done = subprocess.run([analyze, "verify", tmp_path / path.name], capture_output=True, text=True, timeout=60)
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if "datapusher" in line]
        assert (done.returncode, complaints) == (0, []), path
        told = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=20", tmp_path / path.name],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert told.returncode == 0, told.stdout


def test_the_image_has_a_user_of_its_own_and_all_packages() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER datapusher$", text, re.MULTILINE)
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    assert copied == {"schemas", "publisher", "consumer", "gateway", "sandbox"}
    user = next(each["spec"]["template"]["spec"]["securityContext"]["runAsUser"] for each in kubernetes("Deployment"))
    assert f"--uid {user}" in text
