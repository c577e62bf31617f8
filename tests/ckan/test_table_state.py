"""A pushed table is the one that CKAN would have made itself, inside and out; and readers are never shown less."""

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from tests.ckan.client import RealCkan
from tests.ckan.conftest import PushService
from tests.ckan.datastore import Datastore
from tests.push.file_server import Answer, FileServer

pytestmark = pytest.mark.ckan

FIELDS = [("n", "numeric"), ("Name of the place", "text"), ("when", "timestamp"), ("größe %", "numeric")]
RECORDS = [
    {"n": 1, "Name of the place": "Running over the hills", "when": "2024-02-29T12:30:00.250", "größe %": 1.5},
    {"n": -20, "Name of the place": "", "when": None, "größe %": None},
    {"n": 300000000000, "Name of the place": 'it\'s "quoted", \\ and\nbroken', "when": "1066-10-14", "größe %": 0.1},
]
CSV = (
    "n,Name of the place,when,größe %\n"
    "1,Running over the hills,2024-02-29T12:30:00.250,1.5\n"
    "-20,,,\n"
    '300000000000,"it\'s ""quoted"", \\ and\nbroken",1066-10-14T00:00:00.000,0.1\n'
).encode()
ROWS, MORE_ROWS = 30_000, 40_000


def _info(ckan: RealCkan, resource_id: str) -> dict[str, Any]:
    """datastore_info without what differs from table to table: names and sizes."""
    info = ckan.call("datastore_info", resource_id=resource_id)
    return {"meta": {key: info["meta"][key] for key in ("aliases", "count", "table_type")}, "fields": info["fields"]}


def _found(ckan: RealCkan, resource_id: str, **how: Any) -> dict[str, Any]:
    result = ckan.search(resource_id, **how).json()["result"]
    return {key: result[key] for key in ("fields", "records", "total")}


@pytest.fixture
def tables(ckan: RealCkan, service: PushService, files: FileServer) -> tuple[str, str]:
    """CKAN's own, and ours of the same rows. CKAN keeps an empty text; a file cannot tell it from none."""
    files.answers["/state.csv"] = Answer(CSV)
    ours = ckan.link(files.url("/state.csv"))
    ckan.pushed(ours)
    return ckan.table(FIELDS, [{key: value or None for key, value in one.items()} for one in RECORDS]), ours


def test_ckan_tells_the_same_of_a_pushed_table_as_of_its_own(ckan: RealCkan, tables: tuple[str, str]) -> None:
    own, ours = tables

    assert _info(ckan, ours) == _info(ckan, own)
    for how in ({}, {"q": "hill"}, {"q": {"Name of the place": "hill"}}, {"filters": {"n": -20}}, {"sort": "n desc"}):
        assert _found(ckan, ours, **how) == _found(ckan, own, **how), how


def test_postgresql_tells_the_same_of_a_pushed_table_as_of_ckans_own(tables: tuple[str, str], datastore: Datastore) -> None:
    own, ours = (datastore.facts(resource_id) for resource_id in tables)

    for what, rows in own.about.items():
        assert ours.about[what] == rows, what
    assert ours.full_text == own.full_text
    assert datastore.leftovers() == []


def test_ckan_can_add_rows_and_columns_to_a_pushed_table(ckan: RealCkan, tables: tuple[str, str]) -> None:
    _own, ours = tables

    assert ckan.insert(ours, [{"n": 4, "Name of the place": "late"}]).status_code == 200
    ckan.create(ours, [*FIELDS, ("more", "text")], primary_key=["n"])

    assert [row[:2] for row in ckan.values(ours)][-1] == [4, 4]
    assert ckan.total(ours, q="late") == 1
    assert ckan.total(ours) == 4


def _rows(count: int) -> bytes:
    lines = (f"{number},place {number % 97},2024-01-01,{number / 8},{number % 7},some more text\n" for number in range(count))
    return ("id,place,day,size,kind,note\n" + "".join(lines)).encode()


@pytest.mark.timeout(300)
def test_readers_during_a_load_do_no_harm_and_with_copy_see_no_half_table(
    ckan: RealCkan, service: PushService, files: FileServer, loader: str, record_property: Callable[[str, object], None]
) -> None:
    files.answers["/large.csv"] = Answer(_rows(ROWS))
    resource_id = ckan.link(files.url("/large.csv"))
    ckan.pushed(resource_id)
    files.answers["/large.csv"] = Answer(_rows(MORE_ROWS))
    seen, waits, stop = list[tuple[int, int]](), list[float](), threading.Event()
    reader = threading.Thread(target=_read, args=(ckan, resource_id, seen, waits, stop))
    reader.start()

    ckan.call("datapusher_submit", resource_id=resource_id)
    status = ckan.pushed(resource_id, limit_s=240)
    stop.set()
    reader.join()

    data = status["task_info"]["data"]
    record_property(f"{MORE_ROWS} rows x 6 columns: rows/s of the stage loading, with a reader",
                    f"{MORE_ROWS / data['durations_s']['loading']:,.0f}")  # fmt: skip
    record_property("a reader meanwhile: answers, median and longest wait (s)",
                    f"{len(seen)}, {median(waits):.3f}, {max(waits):.3f}")  # fmt: skip
    assert ckan.total(resource_id) == data["table_rows"] == MORE_ROWS
    assert len(seen) > 3
    if loader != "api":
        assert set(seen) <= {(200, ROWS), (200, MORE_ROWS)}


def _read(ckan: RealCkan, resource_id: str, seen: list[tuple[int, int]], waits: list[float], stop: threading.Event) -> None:
    while not stop.is_set():
        asked = time.monotonic()
        answer = ckan.search(resource_id, limit=1)
        waits.append(time.monotonic() - asked)
        seen.append((answer.status_code, answer.json()["result"]["total"] if answer.ok else 0))
        time.sleep(0.05)
