"""The search for jobs against a search in Python, on both stores."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from gateway.ui import job_search, queries
from gateway.ui.job_search import Found, Page, Place, Wanted, find
from schemas.store import reading
from schemas.tables import jobs

START = datetime(2026, 3, 1)
CKANS = ("https://a.example", "https://b.example/" + "x" * 300, None)
ERRORS = (None, None, "The file is a PDF", "100% of_rows\\rejected", "ÄRGER")
#: Combinations that lead by each of the indexes.
WANTED = (
    Wanted(), Wanted(state="failed"), Wanted(state="complete"), Wanted(resource_id="r1"), Wanted(ckan_url=CKANS[0] or ""),
    Wanted(error="pdf"), Wanted(error="% of_"), Wanted(error="\\"), Wanted(state="unfinished", ckan_url=CKANS[1] or ""),
    Wanted(state="complete", ckan_url=CKANS[0] or ""), Wanted(resource_id="r2", state="error", error="pdf"),
    Wanted(since=START + timedelta(hours=1), until=START + timedelta(hours=2)),
    Wanted(state="failed", error="pdf", since=START + timedelta(minutes=30)),
)  # fmt: skip


@pytest.fixture
def stored(engine: Engine) -> list[Found]:
    """Some 400 jobs, newest first; many of the same moment."""
    chance = random.Random(4)
    rows: list[dict[str, Any]] = [
        {"job_id": f"j{number:03}", "job_type": "push_to_datastore", "metadata": {}, "attempt": 1,
         "state": chance.choice(("queued", "running", "complete", "complete", "error", "dead")),
         "requested_at": START + timedelta(minutes=chance.randrange(150)), "started_at": None, "finished_at": None,
         "resource_id": chance.choice(("r1", "r2", None)), "ckan_url": chance.choice(CKANS),
         "error_text": chance.choice(ERRORS), "progress": None}
        for number in range(400)
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(jobs), rows)
    names = Found.__dataclass_fields__
    found = [Found(**{name: value for name, value in row.items() if name in names}) for row in rows]
    return sorted(found, key=lambda row: (row.requested_at, row.job_id), reverse=True)


def fits(row: Found, wanted: Wanted) -> bool:
    return (
        (not wanted.state or row.state in wanted.states)
        and wanted.resource_id in ("", row.resource_id)
        and wanted.ckan_url in ("", row.ckan_url)
        and wanted.error.lower() in (row.error_text or ("" if not wanted.error else "\0")).lower()
        and (wanted.since is None or row.requested_at >= wanted.since)
        and (wanted.until is None or row.requested_at < wanted.until)
    )


def pages(engine: Engine, wanted: Wanted) -> Iterator[Page]:
    """From the newest to the oldest, as somebody who clicks `Older` and `Search on`."""
    while True:
        with reading(engine) as connection:
            page = find(connection, wanted)
        yield page
        following = page.stopped_at or page.older
        if following is None:
            return
        wanted = replace(wanted, before=following, after=None)


@pytest.mark.parametrize("wanted", WANTED, ids=str)
@pytest.mark.parametrize("window", [1000, 7])
def test_all_that_fit_are_found_once_and_in_order(
    engine: Engine, stored: list[Found], wanted: Wanted, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "WINDOW", window)
    found = [row.job_id for page in pages(engine, wanted) for row in page.jobs]
    assert found == [row.job_id for row in stored if fits(row, wanted)]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_no_job_is_shown_twice_however_slow_the_search(
    engine: Engine, stored: list[Found], wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "WINDOW", 7)
    monkeypatch.setattr(job_search, "BUDGET_S", 0.0)
    found = [row.job_id for page in pages(engine, wanted) for row in page.jobs]
    assert found == [row.job_id for row in stored if fits(row, wanted)]


def test_a_search_that_takes_too_long_stops_and_goes_on(
    engine: Engine, stored: list[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "WINDOW", 20)
    monkeypatch.setattr(job_search, "BUDGET_S", 0.0)
    wanted = Wanted(state="complete", ckan_url=CKANS[0] or "")
    walked = list(pages(engine, wanted))
    assert len(walked) > 3 and walked[0].stopped_at and not walked[-1].stopped_at
    assert [row.job_id for page in walked for row in page.jobs] == [row.job_id for row in stored if fits(row, wanted)]


def test_going_back_shows_the_page_before(engine: Engine, stored: list[Found]) -> None:
    for wanted in (Wanted(), Wanted(ckan_url=CKANS[0] or "", since=START), Wanted(state="failed"), Wanted(error="e")):
        first, second = list(pages(engine, wanted))[:2]
        assert second.newer is not None
        with reading(engine) as connection:
            back = find(connection, replace(wanted, after=second.newer))
        assert back.jobs == first.jobs and back.newer is None and back.older == first.older


def test_a_place_is_what_it_is_written_as() -> None:
    place = Place(START + timedelta(microseconds=7), "a_b:~.-")
    assert Place.parse(str(place)) == place


def test_the_known_ckans_are_found_step_by_step(engine: Engine, stored: list[Found]) -> None:
    with reading(engine) as connection:
        assert queries.known_ckans(connection) == ["https://a.example", (CKANS[1] or "")[:200]]
