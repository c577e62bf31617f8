"""What the docs say is what the code does."""

import json
import re
from pathlib import Path

import pytest

import datapusher
from consumer.push.fetch import ONLY_THESE_SCHEMES
from consumer.push.options import Options
from docs.generator.pages import DOCS, MEASURED, PAGES
from gateway.legacy import UNDELIVERED
from schemas.messages import Kind
from schemas.settings import rows_of_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    """Every setting, command, option, route and event has its place in one of them."""
    assert (DOCS / name).read_text() == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("name", MEASURED)
def test_a_page_of_measurements_says_what_the_code_says_but_for_the_figures(name: str) -> None:
    written, now = ((text.partition("## Measured")[0], text) for text in ((DOCS / name).read_text(), MEASURED[name]()))
    assert written[0] == now[0], "run `make docs`"
    assert re.search(r"\| \d", written[1]) and "processors" in written[1]


def test_every_variable_in_the_docs_is_a_setting() -> None:
    known = {row.variable for row in rows_of_table()} | {"DATAPUSHER_CONFIG", "DATAPUSHER_URL"}
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        named = set(re.findall(r"\bDATAPUSHER_[A-Z_]+[A-Z]\b", page.read_text()))
        assert {name for name in named - known if not name.startswith("DATAPUSHER_TEST_")} == set(), page


def test_every_job_option_is_in_the_page_of_tables() -> None:
    page = (ROOT / "docs/tables.md").read_text()
    missing = [name for name in Options.__dataclass_fields__ if f"`{name}`" not in page]
    assert missing == []


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_every_command_is_in_the_docs() -> None:
    pages = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    assert [name for name in datapusher.main.commands if f"datapusher {name}" not in pages] == []


def test_every_route_is_in_the_docs() -> None:
    paths = json.loads((ROOT / "schemas/openapi.json").read_text())["paths"]
    page = (ROOT / "docs/http.md").read_text()
    assert [path for path in paths if f"{path}`" not in page and f"{path} " not in page] == []


def test_every_kind_of_event_is_in_the_page_of_messages() -> None:
    page = (DOCS / "messages.md").read_text()
    assert [kind.value for kind in Kind if f"`{kind.value}`" not in page] == []


def test_old_messages_that_people_search_for_are_in_the_page_of_troubles() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    for words in (
        UNDELIVERED,
        ONLY_THESE_SCHEMES.rstrip("."),
        "Job delayed too long, service full",
        "cannot connect to datapusher",
    ):
        assert words in page


def test_every_test_that_the_page_of_faults_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/faults.md").read_text()))
    there = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(named) > 50 and named - there == set()
