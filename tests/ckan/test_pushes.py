"""What a publisher does in CKAN, and what becomes of it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.ckan.client import RealCkan
from tests.ckan.conftest import PushService
from tests.push.file_server import Answer, FileServer

pytestmark = pytest.mark.ckan

PEOPLE = (
    "id,name,born,height in m\n1,Ada Lovelace,1815-12-10,1.65\n2,Grace Hopper,1906-12-09,\n3,Søren,1813-05-05,1.70\n"
).encode()
COLUMNS = [("_id", "int"), ("id", "numeric"), ("name", "text"), ("born", "timestamp"), ("height in m", "numeric")]
ROWS = [
    [1, 1, "Ada Lovelace", "1815-12-10T00:00:00.000", 1.65],
    [2, 2, "Grace Hopper", "1906-12-09T00:00:00.000", None],
    [3, 3, "Søren", "1813-05-05T00:00:00.000", 1.7],
]
OTHER_PEOPLE = b"id,name,city\n7,Mary,London\n8,Emmy,G\xc3\xb6ttingen\n"
#: A burst, and how many at a time.
BURST, AT_ONCE = 100, 4


@pytest.fixture(params=["linked", "uploaded"])
def pushed(request: pytest.FixtureRequest, ckan: RealCkan, service: PushService, files: FileServer) -> str:
    """A resource whose file PEOPLE has become its table."""
    if request.param == "uploaded":
        resource_id = ckan.put("people.csv", PEOPLE)
    else:
        files.answers["/people.csv"] = Answer(PEOPLE)
        resource_id = ckan.link(files.url("/people.csv"))
    ckan.pushed(resource_id)
    return resource_id


def test_a_file_becomes_a_table_that_everybody_can_read(ckan: RealCkan, service: PushService, pushed: str) -> None:
    assert ckan.columns(pushed) == COLUMNS
    assert ckan.values(pushed) == ROWS
    assert ckan.total(pushed) == 3
    assert ckan.total(pushed, q="lovelace") == 1
    resource = ckan.call("resource_show", id=pushed)
    assert resource["datastore_active"] is True
    assert resource["datastore_contains_all_records_of_source_file"] is True
    assert service.quiet(pushed) == 1


def test_ckans_pages_show_the_log_and_the_table(ckan: RealCkan, pushed: str) -> None:
    log = ckan.log_page(pushed)

    assert "Status Complete" in log and "End of log" in log
    assert f'Successfully pushed 3 entries to "{pushed}"' in log
    assert ckan.views(pushed) == ["datatables_view"]
    dataset = ckan.call("resource_show", id=pushed)["package_id"]
    assert "Data Dictionary" in ckan.page(f"/dataset/{dataset}/resource/{pushed}")
    assert "height in m" in ckan.page(f"/dataset/{dataset}/dictionary/{pushed}")


def test_the_logs_times_are_those_of_now(ckan: RealCkan, pushed: str) -> None:
    logs = ckan.call("datapusher_status", resource_id=pushed)["task_info"]["logs"]

    times = [datetime.fromisoformat(entry["timestamp"]).replace(tzinfo=UTC) for entry in logs]
    assert times == sorted(times)
    assert abs((times[-1] - datetime.now(UTC)).total_seconds()) < 60


def test_another_file_in_its_place_replaces_the_table(ckan: RealCkan, service: PushService) -> None:
    resource_id = ckan.put("people.csv", PEOPLE)
    ckan.pushed(resource_id)

    ckan.put_again(resource_id, "people.csv", OTHER_PEOPLE)
    ckan.pushed(resource_id)

    assert ckan.columns(resource_id) == [("_id", "int"), ("id", "numeric"), ("name", "text"), ("city", "text")]
    assert ckan.values(resource_id) == [[1, 7, "Mary", "London"], [2, 8, "Emmy", "Göttingen"]]
    assert ckan.total(resource_id) == 2
    assert ckan.views(resource_id) == ["datatables_view"]
    assert service.quiet(resource_id) == 2


def test_a_file_put_in_place_while_its_predecessor_is_loaded_wins(ckan: RealCkan, service: PushService) -> None:
    """CKAN submits again where the file is newer than the job that has just ended."""
    resource_id = ckan.put("people.csv", PEOPLE)
    ckan.put_again(resource_id, "people.csv", OTHER_PEOPLE)

    assert service.quiet(resource_id) == 2
    ckan.pushed(resource_id)
    assert [row[2] for row in ckan.values(resource_id)] == ["Mary", "Emmy"]


def test_a_linked_file_that_has_changed_is_loaded_anew_and_one_that_has_not_is_skipped(
    ckan: RealCkan, service: PushService, files: FileServer
) -> None:
    files.answers["/changing.csv"] = Answer(PEOPLE)
    resource_id = ckan.link(files.url("/changing.csv"))
    ckan.pushed(resource_id)

    ckan.call("datapusher_submit", resource_id=resource_id)
    again = ckan.pushed(resource_id)["task_info"]
    files.answers["/changing.csv"] = Answer(OTHER_PEOPLE)
    ckan.call("datapusher_submit", resource_id=resource_id)
    ckan.pushed(resource_id)

    assert again["data"]["skipped"] == "unchanged"
    assert "the one that was loaded last" in again["logs"][-1]["message"]
    assert [row[2] for row in ckan.values(resource_id)] == ["Mary", "Emmy"]
    assert service.quiet(resource_id) == 3


def test_a_private_datasets_table_is_for_its_readers_only(ckan: RealCkan, service: PushService) -> None:
    resource_id = ckan.put("people.csv", PEOPLE, private=True)

    ckan.pushed(resource_id)

    assert ckan.search(resource_id).status_code == 403
    assert ckan.search(resource_id, token=ckan.token).json()["result"]["total"] == 3
    assert "Successfully pushed 3 entries" in ckan.log_page(resource_id)


def test_a_deleted_table_comes_back(ckan: RealCkan, service: PushService) -> None:
    """CKAN itself submits again where a table is deleted."""
    resource_id = ckan.put("people.csv", PEOPLE)
    ckan.pushed(resource_id)

    ckan.call("datastore_delete", resource_id=resource_id, force=True)
    ckan.pushed(resource_id)

    assert ckan.values(resource_id) == ROWS
    assert ckan.call("resource_show", id=resource_id)["datastore_active"] is True
    assert service.quiet(resource_id) == 2


FAILURES = {
    "gone": (None, ["Error: The server did not give the file: HTTP 404", "HTTP status code : 404", "Requested URL :"]),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", ["PDF", "not a table"]),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_told_on_ckans_page(ckan: RealCkan, service: PushService, files: FileServer, case: str) -> None:
    body, told = FAILURES[case]
    files.answers[f"/{case}.csv"] = Answer(b"gone", 404) if body is None else Answer(body)

    resource_id = ckan.link(files.url(f"/{case}.csv"))
    ckan.pushed(resource_id, "error")

    page = ckan.log_page(resource_id)
    assert "Status Error" in page
    assert [one for one in told if one not in page] == [], page
    assert service.quiet(resource_id) == 1


def test_rows_that_do_not_fit_are_told_by_row_and_column_and_the_old_table_stays(ckan: RealCkan, service: PushService) -> None:
    resource_id = ckan.put("people.csv", PEOPLE)
    ckan.pushed(resource_id)
    ckan.describe(resource_id, {"height in m": {"type_override": "numeric"}})

    ckan.put_again(resource_id, "people.csv", PEOPLE.replace(b"1.70", b"tall"))
    ckan.pushed(resource_id, "error")

    page = ckan.log_page(resource_id)
    for told in ("Row : 4", "Reason : 'tall' in the column height in m is no numeric", "Hint : Correct these rows"):
        assert told in page
    assert ckan.values(resource_id) == ROWS


@pytest.mark.timeout(900)
def test_a_hundred_resources_at_once(
    ckan: RealCkan, service: PushService, record_property: Callable[[str, object], None]
) -> None:
    started = time.monotonic()

    def make(_number: int) -> list[str]:
        dataset = ckan.dataset()
        new = [ckan.post("resource_create", {"package_id": dataset, "format": "CSV"}, files={"upload": ("a.csv", PEOPLE)})
               for _ in range(BURST // AT_ONCE)]  # fmt: skip
        return [str(answer.json()["result"]["id"]) for answer in new]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        resources = [resource_id for made in pool.map(make, range(AT_ONCE)) for resource_id in made]
    made_s = time.monotonic() - started
    for resource_id in resources:
        ckan.pushed(resource_id, limit_s=600)

    record_property(f"{BURST} resources: made, all loaded (s)", f"{made_s:.1f}, {time.monotonic() - started:.1f}")
    assert [resource_id for resource_id in resources if ckan.total(resource_id) != 3] == []
    shown = [ckan.call("resource_show", id=resource_id) for resource_id in resources]
    assert {resource["datastore_active"] for resource in shown} == {True}
    assert {len(service.jobs_of(resource_id)) for resource_id in resources} == {1}
