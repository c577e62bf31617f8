"""Strangers' words never become markup; pages load nothing from elsewhere; links hold under any prefix."""

import re
from collections.abc import Iterator

import pytest

from gateway.clock import now
from tests.gateway.recording import Recording
from tests.ui.conftest import Many, Visitor
from tests.ui.html import Page

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def places(ui: Visitor, recording: Recording, many: Many) -> list[str]:
    """Every page, with strangers' words wherever they can be."""
    profile = {"min": EVIL, "max": EVIL, "frequent": [[EVIL, 1]]}
    column = {"name": EVIL, "ckan": EVIL, "label": EVIL, "why_text": EVIL, "notes": [EVIL], "profile": profile}
    report = {"rows": 1, "columns": [column], "format": EVIL}
    base = {"requested_at": now(), "resource_id": EVIL, "ckan_url": "https://" + EVIL, "result_url": "https://" + EVIL,
            "metadata": {EVIL: EVIL, "original_url": EVIL}, "sent_data": {EVIL: EVIL}, "worker": EVIL}  # fmt: skip
    error = {"message": EVIL, EVIL: EVIL, "more": [EVIL]}
    callback = {"state": "dead", "attempts": 1, "last_error": EVIL}
    many.jobs({**base, "job_id": "bad", "state": "error", "error": error, "error_text": EVIL, "callback": callback},
              {**base, "job_id": "good", "state": "complete", "data": report, "callback": {"state": EVIL}},
              {**base, "job_id": "busy", "state": "running", "progress": {"stage": EVIL, "rows": 1}})  # fmt: skip
    many.claim("busy", owner=EVIL, changed_at=now())
    recording.log("bad", EVIL)
    recording.reject("bad", (1, EVIL, EVIL))
    many.dead({"job_id": EVIL, "job_type": EVIL}, reason=EVIL, message_id=EVIL)
    return ["", "/jobs", "/jobs?state=failed&error=script", "/job/bad", "/job/good", "/job/busy", "/dead", "/dead/callbacks",
            "/login", "/nowhere", f"/jobs?resource={EVIL}&ckan={EVIL}", f"/resource?id={EVIL}",
            f"/login?next={EVIL}"]  # fmt: skip


def test_strangers_words_stay_words(ui: Visitor, places: list[str]) -> None:
    shown = 0
    for place in places:
        html = ui.get(place).text
        shown += html.count("&lt;script&gt;")
        assert "<script>alert" not in html and "<img" not in html and "{{" not in re.sub(r"\{\{7\*7\}\}", "", html)
        assert ">49" not in html
    assert shown > 20


def test_pages_have_no_inline_scripts_styles_or_strangers_files(ui: Visitor, places: list[str]) -> None:
    for place in places:
        page = ui.page(place, ui.get(place).status_code)
        for name, attributes in page.elements:
            assert name != "style" and "style" not in attributes, place
            assert not [key for key in attributes if key.startswith("on")], place
            assert name != "script" or attributes["src"].startswith(("./", "../", "ui/")), place
            assert "://" not in attributes.get("src", "") and "://" not in attributes.get("action", ""), place


def test_every_answer_forbids_what_the_pages_do_not_need(ui: Visitor, places: list[str]) -> None:
    for place in (*places, "/static/style.css", "/static/dashboard.js", "/static/icon.svg", "/static/other.css"):
        headers = ui.get(place).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def linked(ui: Visitor, start: str) -> Iterator[tuple[str, int]]:
    """Every page that can be reached by links, and its status."""
    waiting, seen = [start], set[str]()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = ui.http.get(url, timeout=20)
        yield url, answer.status_code
        if "/ui" in url and "<h1>" in answer.text and len(seen) < 60:
            waiting += [link.partition("#")[0] for link in Page(answer.text, answer.url).links]


@pytest.mark.parametrize("mount", ["/ui", "/dp/ui", "/ui/"])
def test_links_hold_at_the_root_and_under_the_prefix(ui: Visitor, recording: Recording, mount: str) -> None:
    for state in ("complete", "error", "dead"):
        recording.end(ui.gateway.accepted()["job_id"], state)
    found = dict(linked(ui, ui.gateway.url + mount))
    assert len(found) > 10 and set(found.values()) == {200}
    assert all(url.startswith(ui.gateway.url + mount.rstrip("/").removesuffix("/ui")) for url in found)


def test_pages_work_behind_a_proxy_that_takes_the_prefix_away(ui: Visitor) -> None:
    """Every address in a page is relative, so the prefix that a browser sees stays."""
    job_id = ui.gateway.accepted()["job_id"]
    for place in ("", "/", "/jobs", f"/job/{job_id}", "/dead/callbacks", "/a/b/c"):
        for _, attributes in ui.page(place, ui.get(place).status_code).elements:
            for address in (attributes.get("href", "./"), attributes.get("src", "./"), attributes.get("action", "./")):
                assert address.startswith(("./", "../", "ui/", "#")), (place, address)


def test_static_files_are_kept_by_browsers(ui: Visitor) -> None:
    page = ui.page()
    sheet = next(attributes["href"] for name, attributes in page.elements if attributes.get("rel") == "stylesheet")
    assert re.search(r"\?[0-9a-f]{12}$", sheet)
    answer = ui.get("/static/style.css")
    assert answer.headers["Content-Type"].startswith("text/css") and "immutable" in answer.headers["Cache-Control"]
    assert ui.get("/static/..%2fpages.py").status_code == 404
