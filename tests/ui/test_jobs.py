"""The list of jobs: filters, paging, and what a line tells."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from gateway.clock import now
from gateway.ui.job_search import PAGE
from tests.ui.conftest import Many, Visitor

DAY = timedelta(days=1)


@pytest.fixture
def mixed(many: Many) -> None:
    many.jobs(
        {"job_id": "one", "state": "queued", "requested_at": now()},
        {"job_id": "two", "state": "error", "requested_at": now() - DAY, "error_text": "The file is a PDF. 100% wrong",
         "resource_id": "r/ä?", "ckan_url": "https://a.example"},
        {"job_id": "three", "state": "complete", "requested_at": now() - 2 * DAY, "resource_id": "r2",
         "ckan_url": "https://b.example"},
        {"job_id": "four", "state": "dead", "requested_at": now() - 3 * DAY, "error_text": "poison",
         "ckan_url": "https://a.example"},
    )  # fmt: skip


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"one", "two", "three", "four"}), ("state=error", {"two"}), ("state=failed", {"two", "four"}),
        ("state=unfinished", {"one"}), ("resource=r2", {"three"}), ("resource=r%2F%C3%A4%3F", {"two"}),
        ("ckan=https://a.example", {"two", "four"}), ("ckan=https://a.example&state=dead", {"four"}), ("error=pdf", {"two"}),
        ("error=100%25", {"two"}), ("error=%25", {"two"}), ("error=_", set()), ("error=PDF&ckan=https://b.example", set()),
        ("ckan=https://b.example&state=complete", {"three"}), ("state=cancelled", set()), ("resource=r2%00", {"three"}),
    ],
)  # fmt: skip
def test_filters_find_what_fits_all_of_them(ui: Visitor, query: str, expected: set[str]) -> None:
    page = ui.page(f"/jobs?{query}")
    assert {urlsplit(link).path.rpartition("/")[2] for link in page.links if "/ui/job/" in link} == expected
    assert ("No job fits" in page.text) is (not expected)


@pytest.mark.usefixtures("mixed")
def test_a_time_is_a_filter(ui: Visitor) -> None:
    since, until = (now() - 2.5 * DAY).strftime("%Y-%m-%dT%H:%M"), (now() - 0.5 * DAY).strftime("%Y-%m-%dT%H:%M")
    links = ui.page(f"/jobs?since={since}&until={until}").links
    assert [link.rpartition("/")[2] for link in links if "/ui/job/" in link] == ["two", "three"]


@pytest.mark.parametrize("query", ["state=asleep", "since=yesterday", "until=1"])
def test_a_filter_that_makes_no_sense_is_refused(ui: Visitor, query: str) -> None:
    assert "<h1>Not possible</h1>" in ui.page(f"/jobs?{query}", 400).html


@pytest.mark.parametrize("place", ["x", "2026-01-01T00:00:00_", "_a", "2026-01-01T00:00:00+00:00_a", "9999999_a"])
def test_a_place_that_no_page_linked_to_is_the_first(ui: Visitor, place: str) -> None:
    ui.gateway.accepted()
    page = ui.page(f"/jobs?before={place.replace('+', '%2B')}")
    assert page.count("span", "queued") == 1


def test_paging_shows_each_job_once_in_both_directions(ui: Visitor, many: Many) -> None:
    moments = [now() - timedelta(minutes=number // 3) for number in range(3 * PAGE - 7)]
    many.jobs(*({"job_id": f"j{n:03}", "requested_at": moment} for n, moment in enumerate(moments)))
    seen, pages, page = list[str](), 0, ui.page("/jobs")
    while True:
        pages += 1
        seen += [link.rpartition("/")[2] for link in page.links if "/ui/job/" in link]
        older = [link for link in page.links if "before=" in link]
        if not older:
            break
        page = ui.page("/jobs?" + urlsplit(older[0]).query)
    assert pages == 3 and len(seen) == len(set(seen)) == len(moments)
    while newer := [link for link in page.links if "after=" in link]:
        page = ui.page("/jobs?" + urlsplit(newer[0]).query)
    assert [link.rpartition("/")[2] for link in page.links if "/ui/job/" in link] == seen[:PAGE]


def test_an_empty_service_says_what_to_do(ui: Visitor) -> None:
    assert "ckan.datapusher.url" in ui.page("/jobs").text


def test_known_ckans_are_offered(ui: Visitor, many: Many) -> None:
    urls = ["https://b.example", "https://a.example", "https://b.example", None, "https://c.example/" + "x" * 3000]
    many.jobs(*({"job_id": f"j{n}", "requested_at": now(), "ckan_url": url} for n, url in enumerate(urls)))
    page = ui.page("/jobs")
    offered = [
        attributes["value"]
        for name, attributes in page.elements
        if name == "option" and "example" in attributes.get("value", "")
    ]
    assert offered[:2] == ["https://a.example", "https://b.example"] and len(offered) == 3
    assert ui.page(f"/jobs?ckan={urls[-1]}").count("span", "complete") == 1
