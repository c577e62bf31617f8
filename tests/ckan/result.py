"""What the last run saw, as docs/ckan-tests.md: from pytest's reports, nothing is written by hand."""

import os
import platform
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from tests.ckan.packages import CKAN_VERSION, SERVER

PAGE = Path(__file__).parents[2] / "docs" / "ckan-tests.md"
OUTCOMES = {"failure": "**failed**", "error": "**failed**", "skipped": "not run"}
HEAD = """# Against a real CKAN

`make test-ckan` installs CKAN from PyPI with its DataStore and datapusher plugins, serves it with uWSGI on a PostgreSQL and a
Redis of this machine and a stand-in for Solr (`tests/ckan/solr.py`), lets it post its jobs to our gateway, and looks at what
becomes of them through CKAN's own API and pages; with each loader, and COPY on both buses. The sandbox's contract suite runs
against the same CKAN. `python -m tests.ckan --keep` leaves such a CKAN running.

This page is the result of the latest run; `make test-ckan` writes it.
"""


def write_result(reports: Mapping[str, Path], datastore_url: str, ready_s: float) -> None:
    """*reports*: pytest's XML by suite. *ready_s*: how long the CKAN took to come up."""
    suites = {name: _Suite(ElementTree.parse(path).getroot()) for name, path in reports.items() if path.exists()}
    lines = [HEAD, "| suite | tests | failed | not run | seconds |", "|---|---|---|---|---|"]
    lines += [f"| `{name}` | {suite.summary()} |" for name, suite in suites.items()]
    lines += ["", *_surroundings(datastore_url, suites, ready_s), ""]
    lines += [line for suite in suites.values() for line in suite.figures_and_tests()]
    PAGE.write_text("\n".join(lines) + "\n")


def _surroundings(datastore_url: str, suites: Mapping[str, "_Suite"], ready_s: float) -> Iterator[str]:
    connection = psycopg2.connect(datastore_url)
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (server,) = cursor.fetchone() or ("?",)
    connection.close()
    versions = [f"CKAN {CKAN_VERSION} ({SERVER})", f"Python {platform.python_version()}", f"PostgreSQL {server.split()[0]}"]
    versions += [f"{name} {value}" for suite in suites.values() for name, value in suite.versions()]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {', '.join(versions)}; {os.cpu_count()} processors, load {load}."
    yield f"CKAN was up after {ready_s:.0f} seconds."


class _Suite:
    """One report of pytest, asked."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._suite = root if root.tag == "testsuite" else root[0]
        self._cases = list(self._suite.iter("testcase"))

    def summary(self) -> str:
        count = {key: int(self._suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
        seconds = float(self._suite.get("time", "0"))
        return f"{count['tests']} | {count['failures'] + count['errors']} | {count['skipped']} | {seconds:.0f}"

    def versions(self) -> Iterator[tuple[str, str]]:
        for one in self._suite.findall("properties/property"):
            yield one.get("name", ""), one.get("value", "")

    def figures_and_tests(self) -> Iterator[str]:
        """Tables by loader; nothing for a suite without loaders, whose tests are told by their number."""
        outcomes, figures = defaultdict[str, dict[str, str]](dict), defaultdict[str, dict[str, str]](dict)
        for case in self._cases:
            sentence, loader = _parsed(case.get("name", ""))
            worst = next((OUTCOMES[one.tag] for one in case if one.tag in OUTCOMES), "yes")
            outcomes[sentence][loader] = max(
                worst, outcomes[sentence].get(loader, ""), key=["", "yes", *OUTCOMES.values()].index
            )
            for figure in case.iter("property"):
                figures[figure.get("name", "")][loader] = figure.get("value", "")
        loaders = list(dict.fromkeys(loader for told in outcomes.values() for loader in told))
        if "api" in loaders:
            yield from _table("figure (the machine may have been busy)", loaders, figures)
            yield from _table("what holds", loaders, outcomes)


def _parsed(name: str) -> tuple[str, str]:
    """`test_a_thing_holds[api-linked]` -> ("a thing holds", "api")."""
    sentence, _, parameters = name.partition("[")
    loader = next((one for one in parameters.rstrip("]").split("-") if one.startswith(("api", "copy"))), "")
    return sentence.removeprefix("test_").replace("_", " "), loader


def _table(title: str, columns: list[str], rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield f"| {title} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells.get(column, '') for column in columns)} |"
    yield ""
