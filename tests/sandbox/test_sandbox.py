"""The Python side of the sandbox: what tests and the demo put in and look at."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests

from sandbox import Sandbox
from sandbox.refusals import NotFound, ValidationError


def _post(ckan: Sandbox, action: str, **params: object) -> requests.Response:
    headers = {"Authorization": ckan.token}
    return requests.post(f"{ckan.url}/api/3/action/{action}", json=params, headers=headers, timeout=30)


def test_an_upload_can_be_fetched_from_its_url(ckan: Sandbox) -> None:
    resource = ckan.add_resource(upload=("a.csv", b"x\n1\n"))

    assert requests.get(resource["url"], timeout=30).content == b"x\n1\n"


def test_a_link_may_lead_to_a_file_of_the_sandbox_by_way_of_a_redirect(ckan: Sandbox) -> None:
    moved = ckan.redirect("old.csv", to=ckan.put_file("new.csv", b"x\n1\n", {"Content-Type": "text/plain"}))
    resource = ckan.add_resource(moved)

    answer = requests.get(resource["url"], timeout=30)

    assert (answer.content, answer.headers["Content-Type"], len(answer.history)) == (b"x\n1\n", "text/plain", 1)


def test_a_file_that_was_never_put_is_not_there(ckan: Sandbox) -> None:
    assert requests.get(f"{ckan.url}/files/none.csv", timeout=30).status_code == 404


def test_without_a_service_the_task_is_pending_and_the_job_is_kept(ckan: Sandbox) -> None:
    resource = ckan.add_resource(upload=("a.csv", b"x\n1\n"))

    job = ckan.job_for(resource["id"])

    task = ckan.task(resource["id"])
    assert task is not None and task["state"] == "pending"
    assert (job["api_key"], job["metadata"]["original_url"]) == (ckan.token, resource["url"])
    assert ckan.submissions == [job]


def test_a_job_can_be_made_up_for_a_resource_that_was_not_submitted(ckan: Sandbox) -> None:
    resource = ckan.add_resource("http://files.invalid/a", format="PDF")

    assert ckan.job_for(resource["id"])["metadata"]["resource_id"] == resource["id"]
    assert ckan.task(resource["id"]) is None


def test_a_new_upload_is_submitted_again_after_completion(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b"x\n1\n"))["id"]
    _post(ckan, "datapusher_hook", status="complete", metadata={"resource_id": resource_id})

    ckan.replace_upload(resource_id, "b.csv", b"x\n2\n")

    assert len(ckan.submissions) == 2
    assert ckan.job_for(resource_id)["metadata"]["original_url"].endswith("/b.csv")


def test_the_table_is_seen_with_types_and_rows(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]
    fields = [{"id": "n", "type": "numeric", "info": {"label": "N"}}, {"id": "t", "type": "timestamp"}]
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=fields, records=[{"n": "0.1"}])

    view = ckan.table(resource_id)

    assert view.types == {"n": "numeric", "t": "timestamp"}
    assert view.fields[1] == {"id": "n", "type": "numeric", "info": {"label": "N"}}
    assert view.rows == [{"_id": 1, "n": 0.1, "t": None}]
    assert ckan.table(resource_id, exact=True).column("n") == [Decimal("0.1")]


def test_looking_at_a_table_stores_no_count(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=[{"id": "n", "type": "int"}])
    ckan.table(resource_id)

    params = {"resource_id": resource_id, "force": True, "method": "insert", "calculate_record_count": True}
    ckan.call("datastore_upsert", **params, records=[{"n": 1}])

    assert ckan.call("datastore_search", resource_id=resource_id)["total"] == 1


def test_a_table_that_is_not_there_is_a_lookup_error(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]

    assert not ckan.has_table(resource_id)
    with pytest.raises(LookupError, match="has no table"):
        ckan.table(resource_id)


def test_calls_from_inside_raise_the_refusal(ckan: Sandbox) -> None:
    with pytest.raises(NotFound):
        ckan.call("resource_show", id="nope")
    with pytest.raises(ValidationError):
        ckan.call("resource_show")


def test_waiting_ends_with_the_callback(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]
    hook: dict[str, Any] = {"status": "complete", "metadata": {"resource_id": resource_id}}
    later = threading.Timer(0.1, lambda: ckan.call("datapusher_hook", **hook))
    later.start()

    task = ckan.wait_for(resource_id, timeout_s=5)

    later.join()
    assert task["state"] == "complete"
    assert ckan.hooks == [hook]


def test_waiting_in_vain_says_what_was_waited_for(ckan: Sandbox) -> None:
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]

    with pytest.raises(TimeoutError, match="is not complete or error after"):
        ckan.wait_for(resource_id, timeout_s=0.05)


def test_requests_are_written_down(ckan: Sandbox) -> None:
    _post(ckan, "status_show", x=1)
    requests.get(f"{ckan.url}/files/none.csv", headers={"X-Mine": "1"}, timeout=30)

    first, second = ckan.requests

    assert (first.method, first.action, first.json, first.size_bytes) == ("POST", "status_show", {"x": 1}, 8)
    assert (second.action, second.path, second.headers["X-Mine"]) == ("files", "/files/none.csv", "1")
    assert ckan.calls("files") == [second]
    ckan.forget_requests()
    assert ckan.requests == []


def test_many_callers_write_many_tables_at_once(ckan: Sandbox) -> None:
    ids = [ckan.add_resource(upload=("a.csv", b""))["id"] for _ in range(8)]
    fields, records = [{"id": "n", "type": "int"}], [{"n": number} for number in range(200)]

    def fill(resource_id: str) -> int:
        _post(ckan, "datastore_create", resource_id=resource_id, force=True, fields=fields, records=records)
        insert = {"force": True, "method": "insert", "records": records}
        return _post(ckan, "datastore_upsert", resource_id=resource_id, **insert).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fill, ids)) == [200] * 8

    assert [ckan.table(resource_id).column("_id") for resource_id in ids] == [list(range(1, 401))] * 8


def test_inserting_is_not_the_bottleneck_of_a_loader(ckan: Sandbox) -> None:
    """A generous bound, against accidents: 20,000 rows of 10 columns take about 0.3 s."""
    kinds = ["text", "numeric", "timestamp", "int", "bool"] * 2
    fields = [{"id": f"c{number}", "type": kind} for number, kind in enumerate(kinds)]
    values = ["some text", "12.50", "2021-04-03T12:54:40", "7", "t"] * 2
    record = {field["id"]: value for field, value in zip(fields, values, strict=True)}
    resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=fields)
    before = time.process_time()

    insert = {"force": True, "method": "insert", "records": [record] * 20_000}
    ckan.call("datastore_upsert", resource_id=resource_id, **insert)

    assert time.process_time() - before < 5


def test_stopping_leaves_no_thread_and_no_open_port() -> None:
    before = set(threading.enumerate())
    with Sandbox() as ckan:
        _post(ckan, "status_show")
        url = ckan.url

    assert set(threading.enumerate()) == before
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)


def test_a_sandbox_that_was_never_started_can_be_stopped() -> None:
    Sandbox().stop()


def test_two_sandboxes_know_nothing_of_each_other(ckan: Sandbox) -> None:
    with Sandbox() as other:
        resource_id = ckan.add_resource(upload=("a.csv", b""))["id"]

        assert _post(other, "resource_show", id=resource_id).status_code == 404
        assert (ckan.url, ckan.token) != (other.url, other.token)
