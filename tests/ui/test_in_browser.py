"""What only a browser can tell: live pages, keyboards, narrow screens, and what axe-core finds."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from gateway.clock import now
from schemas.messages import Kind
from tests.gateway.gateway_thread import PASSWORD, GatewayThread
from tests.gateway.recording import Recording
from tests.ui.conftest import Many
from tests.ui.test_job import REPORT

PAGES = (
    "",
    "jobs",
    "jobs?state=failed",
    "job/failed",
    "job/done",
    "job/busy",
    "resource?id=res",
    "dead",
    "dead/callbacks",
    "x",
)
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture
def store_url(tmp_path: Any) -> str:
    """What a browser sees is the same on both stores."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def filled(recording: Recording, many: Many) -> None:
    """Something on every page."""
    base = {"requested_at": now(), "started_at": now(), "resource_id": "res", "ckan_url": "https://ckan.example"}
    long = "https://host.example/" + "a-very-long-path/" * 12
    error = {"message": f"{long} answered 404", "Hint": "x" * 150}
    failure = {"finished_at": now(), "error": error, "error_text": error["message"], "metadata": {"original_url": long}}
    many.jobs({**base, "job_id": "failed", "state": "dead", **failure},
              {**base, "job_id": "done", "finished_at": now(), "data": REPORT, "api_key": "sealed"},
              {**base, "job_id": "done2", "finished_at": now(), "data": REPORT},
              {**base, "job_id": "busy", "state": "running",
               "progress": {"stage": "loading", "rows": 5, "rows_total": 9}})  # fmt: skip
    many.claim("busy", changed_at=now(), lease_until=now())
    many.worker("a-host-with-a-rather-long-name.example.org/4711", busy=1)
    recording.log("failed", long, "a line")
    recording.reject("failed", (1, "reason", "text," * 60))
    many.dead({"job_id": "failed", "job_type": "push_to_datastore", "metadata": {"url": long}}, reason=f"{long} cannot be run")
    many.dead({"job_id": "done", "job_type": "push_to_datastore"}, callback=True, message_id="c1")


@pytest.fixture
def open_page(browser: Any, gateway: GatewayThread) -> Iterator[Any]:
    """(place, **options of the context) -> the page, logged in; fails when a page complains in its console."""
    contexts, complaints = list[Any](), list[str]()

    def open_page(place: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{gateway.url}/ui/login?next=jobs")
        page.fill("#username", "admin")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url("**/ui/jobs")
        page.goto(f"{gateway.url}/ui/{place}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in complaints if "404" not in each] == []


def violations(page: Any) -> list[str]:
    """What axe-core finds serious or critical."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0]['failureSummary'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing_serious(open_page: Any, scheme: str, size: dict[str, int]) -> None:
    page = open_page("", color_scheme=scheme, viewport=size)
    for place in PAGES:
        page.goto(page.url.partition("/ui")[0] + "/ui/" + place)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert violations(page) == [], place


def test_axe_finds_what_is_wrong(browser: Any) -> None:
    page = browser.new_page()
    page.set_content("<html><body><img src=x><p style='color: #ccc'>faint</p><input></body></html>")
    assert {each.partition(":")[0] for each in violations(page)} >= {"image-alt", "color-contrast", "label", "html-has-lang"}
    page.close()


@pytest.mark.usefixtures("filled")
def test_the_login_page_is_for_everybody(browser: Any, gateway: GatewayThread) -> None:
    page = browser.new_page()
    page.goto(f"{gateway.url}/ui/login")
    assert violations(page) == []
    page.keyboard.type("admin")  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert violations(page) == []
    page.close()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_is_wider_than_the_screen(open_page: Any, width: int) -> None:
    page = open_page("", viewport={"width": width, "height": 800})
    for place in PAGES:
        page.goto(page.url.partition("/ui")[0] + "/ui/" + place)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


@pytest.mark.usefixtures("filled")
def test_pages_are_read_without_javascript(open_page: Any) -> None:
    page = open_page("job/busy", java_script_enabled=False)
    assert "loading: 5 of 9 rows" in page.inner_text("#progress")
    assert "Reload the page" in page.inner_text("#live-words")
    page.goto(page.url.replace("job/busy", ""))
    assert page.is_visible("text=Running now") and not page.is_visible("text=renews itself")


def test_a_jobs_page_follows_the_job(open_page: Any, gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    page = open_page(f"job/{job_id}")
    page.wait_for_selector("text=This page follows the job.")
    recording.tell(job_id, Kind.STARTED, 1_000_001, attempt=1)
    recording.tell(job_id, Kind.LOG, 1_000_002, level="WARNING", message="<b>first</b> line")
    recording.tell(job_id, Kind.PROGRESS, 1_000_003, stage="loading", rows=1500, rows_total=3000)
    page.wait_for_selector("#log tr.warning >> text=<b>first</b> line")
    page.wait_for_selector("text=loading: 1,500 of 3,000 rows")
    assert page.inner_text("#state").strip().endswith("running")
    assert page.eval_on_selector("#progress progress", "each => each.value") == 50
    recording.tell_end(job_id, data=REPORT)
    page.wait_for_selector("text=Rows loaded")
    assert page.is_visible("button:has-text('Resubmit')")


def test_the_overview_renews_itself_until_it_is_paused(open_page: Any, gateway: GatewayThread, many: Many) -> None:
    page = open_page("")
    many.jobs({"job_id": "fresh", "state": "retrying", "requested_at": now()})
    page.wait_for_selector(".figures li:nth-child(3) b:has-text('1')", timeout=15_000)
    page.click("text=Pause")
    assert page.get_attribute("[data-pause]", "aria-pressed") == "true"


def test_a_keyboard_is_enough(open_page: Any, gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    page = open_page(f"job/{job_id}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    while "Cancel" not in page.evaluate("document.activeElement.textContent"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status] >> text=is being cancelled")


def test_dropping_a_dead_letter_takes_two_deliberate_clicks(open_page: Any, many: Many) -> None:
    many.dead({"job_id": "j1", "job_type": "push_to_datastore"})
    page = open_page("dead")
    assert not page.is_visible("text=Drop for ever")
    page.click("article summary:has-text('Drop')")
    page.click("article >> text=Drop for ever")
    page.wait_for_selector("[role=status] >> text=1 message dropped")
    assert page.is_visible("text=No job is dead")
