"""Alerts and the Grafana dashboard speak of figures that exist, in queries that Prometheus takes; each alert is explained."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.metrics import METRICS
from tests.deploy.tools import tool

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RUNBOOK = ROOT / "docs/runbook.md"
#: Of which histograms are made in the text format.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
KNOWN = {metric.name + suffix for metric in METRICS for suffix in SUFFIXES.get(metric.type, ("",))}
LABELS = {metric.name + suffix: set(metric.labels) for metric in METRICS for suffix in SUFFIXES.get(metric.type, ("",))}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def queries() -> list[str]:
    """Those of the dashboard."""
    dashboard = json.loads((ROOT / "deploy/grafana/datapusher.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def other_queries() -> Iterator[str]:
    """Those of autoscalers and whoever else deploy/ shows."""
    for path in (ROOT / "deploy").rglob("*.yaml"):
        yield from re.findall(r"query: (.+)", path.read_text())


@pytest.fixture
def promtool(request: pytest.FixtureRequest) -> str:
    return tool(request, "promtool")


def test_every_figure_that_is_asked_for_exists() -> None:
    asked = [rule["expr"] for rule in rules()] + queries() + list(other_queries())
    named = {name for query in asked for name in re.findall(r"\bdatapusher_\w+", query)}
    assert len(named) > 20 and named - KNOWN == set()


def test_every_label_that_is_asked_for_exists() -> None:
    for query in [rule["expr"] for rule in rules()] + queries():
        for name, matchers in re.findall(r"\b(datapusher_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)(?:=|!|~)", re.sub(r'"[^"]*"', '""', matchers))) <= LABELS[name], query


def test_every_figure_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = "\n".join([rule["expr"] for rule in rules()] + queries())
    assert [metric.name for metric in METRICS if not re.search(rf"\b{metric.name}(_bucket)?\b", asked)] == []


def test_every_alert_has_its_section_in_the_runbook() -> None:
    sections = re.findall(r"^### (DataPusher\w+)", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]


def test_every_section_of_an_alert_says_what_it_means_and_what_to_do() -> None:
    for section in RUNBOOK.read_text().split("\n### DataPusher")[1:]:
        assert "**Means**" in section and "**Do**" in section, section[:100]


def test_prometheus_takes_the_rules_and_they_fire_when_they_should(promtool: str) -> None:
    for command in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")):
        done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_dashboards_queries(promtool: str, tmp_path: Path) -> None:
    records = [{"record": f"query{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    done = subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"{len(records)} rules found" in done.stdout, done.stdout + done.stderr


def test_every_alert_is_tried_out() -> None:
    tried = (PROMETHEUS / "alerts_test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tried] == []
