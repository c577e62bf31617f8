"""Takes the pictures of the dashboard that the docs show: docs/images/*.png.

    python docs/screenshots.py [--chromium /usr/bin/chromium] [--only NAME]

Needs Chromium and `pip install -e '.[docs]'`. Starts the service, embedded, with the sandbox as CKAN and a day of made-up
history; loads real files while it looks.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import insert

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from publisher.bus import Message  # noqa: E402
from publisher.embedded import EmbeddedBus  # noqa: E402
from sandbox.server import Sandbox  # noqa: E402
from schemas.messages import JOB_TYPE  # noqa: E402
from schemas.store import open_store  # noqa: E402
from schemas.tables import jobs  # noqa: E402
from schemas.topology import topology  # noqa: E402
from tests.acceptance.service import Service, wait_until  # noqa: E402
from tests.ui.chromium import chromium  # noqa: E402

IMAGES = HERE / "images"
WILDLIFE = (ROOT / "sandbox" / "data" / "wildlife-strikes.csv").read_bytes()
SETTINGS = {
    "DATAPUSHER_CHUNK_INSERT_ROWS": "100", "DATAPUSHER_CALLBACK_DELAYS": "0.2", "DATAPUSHER_SLOTS": "2",
    "DATAPUSHER_MAX_REJECTS": "20%",
}  # fmt: skip
CKANS = ("https://data.city.example", "https://opendata.region.example", "https://ckan.ministry.example")
ERRORS = (
    "The file is a PDF document, not a table. Publish the table in it as CSV or XLSX; if the link was meant for a table, it "
    "leads elsewhere.",
    "https://files.city.example/budget.csv answered 404 Not Found. Correct the link in the resource.",
    "CKAN answered 403 to datastore_create: the token may not write to this resource.",
    "1,204 of 9,310 rows do not fit the table, more than max_rejects (5%) allows. The first is row 812: it has 7 cells where "
    "the header has 6.",
)  # fmt: skip
REPORTED = [("station", "text"), ("measured_at", "timestamp"), ("no2", "numeric"), ("pm10", "numeric")]


@dataclass(frozen=True)
class Scene:
    service: Service
    ckan: Sandbox
    #: A job that runs, one that failed with rejects, one that is complete, and a resource with many loads.
    running: str
    failed: str
    complete: str
    resource: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with _scene() as scene, sync_playwright() as playwright:
        browser = chromium(playwright, arguments.chromium)
        for name, take in PICTURES.items():
            if arguments.only in name:
                take(browser, scene, IMAGES / f"{name}.png")
                _reduce(IMAGES / f"{name}.png")
                print(f"docs/images/{name}.png: {(IMAGES / f'{name}.png').stat().st_size:,} bytes")


# ------------------------------------------------------------------------------------------------------------ pictures


def _picture(
    place: str, width: int = 1200, height: int = 800, *, dark: bool = False, whole: bool = False, opened: str = ""
) -> "Take":
    """A picture of a page, *place* with the scene's ids in braces; the first fold that says *opened* is open."""

    def take(browser: Browser, scene: Scene, path: Path) -> None:
        page = _page(browser, scene, width, height, dark)
        page.goto(scene.service.url + "ui/" + place.format_map(vars(scene)))
        page.wait_for_timeout(1500)  # until the page has heard of the job's progress
        if opened:
            page.click(f"summary:has-text('{opened}') >> nth=0")
        page.screenshot(path=path, full_page=whole)
        page.context.close()

    return take


def _reduce(path: Path) -> None:
    """To a palette: less than half the size, and nobody sees it."""
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _page(browser: Browser, scene: Scene, width: int, height: int, dark: bool) -> Page:
    """Logged in."""
    scheme = "dark" if dark else "light"
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.goto(scene.service.url + "ui/login")
    page.fill("#username", "admin")
    page.fill("#password", "sesame")
    page.click("text=Log in >> nth=-1")
    page.wait_for_url("**/ui/")
    return page


Take = Callable[[Browser, Scene, Path], None]
PICTURES: dict[str, Take] = {
    "overview": _picture("?range=hour", height=1230),
    "overview-dark": _picture("?range=day", height=1230, dark=True),
    "overview-phone": _picture("", 390, 844),
    "jobs": _picture("jobs?state=failed", height=900),
    "job-running": _picture("job/{running}", height=1000),
    "job-running-phone": _picture("job/{running}", 390, 844, dark=True),
    "job-failed": _picture("job/{failed}", height=1250),
    "job-complete": _picture("job/{complete}", whole=True),
    "dead-letters": _picture("dead", height=1000, opened="Message body"),
    "resource": _picture("resource?id={resource}", height=900),
}


# --------------------------------------------------------------------------------------------------------------- scene


@contextmanager
def _scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as folder, Sandbox() as ckan:
        service = Service(Path(folder), SETTINGS)
        store = Path(folder) / "data" / "datapusher.db"
        resource = str(uuid.uuid4())
        _write_history(store, resource)
        service.start("up")
        try:
            ckan.datapusher_url = service.url
            yield _filled(service, ckan, store, resource)
        finally:
            service.stop()


def _filled(service: Service, ckan: Sandbox, store: Path, resource: str) -> Scene:
    """Traffic of every kind, while it goes on."""
    ckan.fail("datapusher_hook", 500, times=2)
    failed = _load(ckan, "trees.csv", _ragged(400, every=3))
    wait_until(lambda: (service.job(failed)["callback"] or {}).get("state") == "dead", "its callback is given up")
    complete = _load(ckan, "trees.csv", _ragged(4000, every=500))
    service.ended(complete)
    _bury(store)
    ckan.fail("datastore_upsert", None, times=100_000, delay_s=3.0)
    running = _load(ckan, "wildlife-strikes.csv", WILDLIFE)
    for number in range(40):
        _load(ckan, f"traffic-{number}.csv", WILDLIFE)
    wait_until(lambda: service.job(running)["progress"] is not None, "the job runs")
    time.sleep(15)
    return Scene(service, ckan, running, failed, complete, resource)


def _load(ckan: Sandbox, name: str, content: bytes) -> str:
    resource = ckan.add_resource(upload=(name, content), format="CSV")
    return str(ckan.status(resource["id"])["job_id"])


def _ragged(rows: int, every: int) -> bytes:
    """A register of trees, in which every so manieth row has a cell too many."""
    lines = ["number,species,planted,height,street"]
    for number in range(rows):
        species = random.choice(("Tilia cordata", "Acer platanoides", "Quercus robur", "Platanus × hispanica"))
        extra = ",moved" if number % every == every - 1 else ""
        planted, height = f"19{number % 90 + 10}-04-{number % 28 + 1:02}", number % 25 + 3.5
        lines.append(f"{number + 1},{species},{planted},{height},Main Street {number % 70}{extra}")
    return "\n".join(lines).encode()


def _bury(store: Path) -> None:
    """Messages of strangers that are no jobs."""
    names = topology("datapusher", ["push_to_datastore"], [1.0])
    bus = EmbeddedBus(store, names)
    job = {"job_type": "push_to_datastore", "api_key": "a-secret"}
    wrong = [{**job, "metdata": {"resource_id": str(uuid.uuid4())}} for _ in range(2)]
    for body in (*(json.dumps(each).encode() for each in wrong), b"resource_id=17&api_key=a-secret"):
        message = Message(
            exchange=names.names.jobs, routing_key="push_to_datastore", body=body, message_id=str(uuid.uuid4()), type=JOB_TYPE
        )
        bus.publish(message).result(10)
    bus.close()
    time.sleep(2)


# ------------------------------------------------------------------------------------------------------------- history


def _write_history(store: Path, resource: str) -> None:
    """A day of jobs: more by day than by night, with a bad hour of one CKAN; and one resource that is loaded every hour."""
    random.seed(7)
    now = datetime.now(UTC).replace(tzinfo=None)
    engine = open_store(f"sqlite:///{store}")
    rows = [_past(now - timedelta(minutes=random.uniform(0, 1440))) for _ in range(2600)]
    rows = [row for row in rows if random.random() < 0.35 + 0.65 * math.sin(math.pi * row["requested_at"].hour / 24) ** 2]
    rows += [_past(now - timedelta(minutes=random.uniform(3, 58))) for _ in range(220)]
    rows += [_past(now - timedelta(minutes=random.uniform(22, 29)), failed=True) for _ in range(30)]
    rows += [_hourly(now - timedelta(hours=hour, minutes=7), resource, hour) for hour in range(1, 15)]
    with engine.begin() as connection:
        connection.execute(insert(jobs), rows)
    engine.dispose()


def _past(moment: datetime, *, failed: bool | None = None, **columns: Any) -> dict[str, Any]:
    failed = random.random() < 0.06 if failed is None else failed
    took = random.lognormvariate(1.5, 0.8)
    error = random.choice(ERRORS) if failed else None
    return {
        "job_id": str(uuid.uuid4()), "job_type": "push_to_datastore", "state": "error" if failed else "complete", "attempt": 1,
        "requested_at": moment, "started_at": moment + timedelta(seconds=0.4), "finished_at": moment + timedelta(seconds=took),
        "resource_id": str(uuid.uuid4()), "ckan_url": random.choice(CKANS), "metadata": {}, "sequence": 1_900_000,
        "error_text": error, "error": {"message": error} if error else None, "data": {} if not failed else None, **columns,
    }  # fmt: skip


def _hourly(moment: datetime, resource: str, hour: int) -> dict[str, Any]:
    """Its columns change twice."""
    columns = dict(REPORTED)
    if hour > 9:
        del columns["pm10"]
    if hour > 4:
        columns["no2"] = "text"
    data = {
        "rows": 90_000 - hour * 3_700 + (hour % 3) * 900, "rejected": hour % 4,
        "file": {"size_bytes": 4_100_000 - hour * 160_000},
        "columns": [{"name": name, "ckan": kind} for name, kind in columns.items()],
    }  # fmt: skip
    failed = hour == 7
    return _past(moment, failed=failed, resource_id=resource, ckan_url=CKANS[0], data=None if failed else data)


if __name__ == "__main__":
    main()
