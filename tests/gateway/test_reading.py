"""What can be asked about jobs."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.tables import cancellations, logs
from tests.gateway.conftest import Start
from tests.gateway.gateway_thread import JOB, GatewayThread
from tests.gateway.recording import Recording

KEYS = ["job_id", "job_type", "status", "data", "error", "requested_timestamp", "finished_timestamp", "sent_data",
        "aps_job_id", "result_url", "metadata", "logs", "state", "attempt", "progress", "callback"]  # fmt: skip
LINE = {"timestamp": "2026-03-01T12:00:00.000000", "message": "Fetching", "level": "INFO", "module": "jobs",
        "funcName": "push", "lineno": 7}  # fmt: skip


def shown(gateway: GatewayThread, job_id: str, query: str = "") -> dict[str, Any]:
    answer = gateway.get(f"/job/{job_id}{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_job_is_shown_with_the_old_keys_first(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.end(job["job_id"], data={"rows": 2}, attempt=1, progress={"stage": "load"}, callback={"state": "delivered"})
    recording.log(job["job_id"], "Fetching")
    told = shown(gateway, job["job_id"])

    assert list(told) == KEYS
    assert (told["status"], told["state"], told["data"], told["error"]) == ("complete", "complete", {"rows": 2}, None)
    assert told["finished_timestamp"] == "2026-03-01T12:00:00.000000"
    assert told["logs"] == [LINE] and list(told["logs"][0]) == list(LINE)
    assert (told["attempt"], told["progress"], told["callback"]) == (1, {"stage": "load"}, {"state": "delivered"})


@pytest.mark.parametrize(
    ("state", "status"),
    [("queued", "pending"), ("running", "pending"), ("retrying", "pending"), ("complete", "complete"), ("error", "error"),
     ("cancelled", "error"), ("dead", "error")],
)  # fmt: skip
def test_the_old_status_has_three_words_only(gateway: GatewayThread, recording: Recording, state: str, status: str) -> None:
    job = gateway.accepted()
    recording.change(job["job_id"], state=state)
    told = shown(gateway, job["job_id"])
    assert (told["status"], told["state"]) == (status, state)
    assert (told["error"] is None) == (status != "error")


def test_an_error_is_always_an_object_with_a_message(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.end(job["job_id"], "error", error={"message": "Row 7 is bad", "Row": 7})
    assert shown(gateway, job["job_id"])["error"] == {"message": "Row 7 is bad", "Row": 7}
    recording.end(job["job_id"], "dead", error=None, error_text="started 5 times")
    assert shown(gateway, job["job_id"])["error"] == {"message": "started 5 times"}


def test_an_undelivered_callback_is_the_error_of_a_job_that_has_none_itself(
    gateway: GatewayThread, recording: Recording
) -> None:
    job = gateway.accepted()
    recording.end(job["job_id"], data="x", callback={"state": "dead"})
    told = shown(gateway, job["job_id"])
    assert told["error"] == {"message": "Process completed but unable to post to result_url"}
    assert told["status"] == "complete" and gateway.get(f"/job/{job['job_id']}/data").text == "x"
    recording.end(job["job_id"], "error", error={"message": "own"}, callback={"state": "dead"})
    assert shown(gateway, job["job_id"])["error"] == {"message": "own"}


def test_logs_are_oldest_first_and_a_limit_takes_the_newest(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.log(job["job_id"], *"abcde")

    def messages(query: str) -> str:
        return "".join(line["message"] for line in shown(gateway, job["job_id"], query)["logs"])

    assert messages("") == messages("?limit=junk") == messages("?limit=-1") == messages("?limit=99999999999") == "abcde"
    assert (messages("?limit=2"), messages("?limit=0"), messages("?limit=9")) == ("de", "", "abcde")


def test_a_long_log_is_cut_and_says_so(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.log(job["job_id"], *(f"line {n}" for n in range(1234)))
    lines = shown(gateway, job["job_id"])["logs"]
    assert len(lines) == 1001
    assert lines[0]["message"] == "234 lines omitted" and list(lines[0]) == list(LINE)
    assert (lines[1]["message"], lines[-1]["message"]) == ("line 234", "line 1233")


@pytest.mark.parametrize(
    ("data", "metadata", "text", "content_type"),
    [("a,b\n", {"mimetype": "text/csv"}, "a,b\n", "text/csv; charset=utf-8"),
     ("<b>", {}, "<b>", "text/html; charset=utf-8"),
     ("<b>", {"mimetype": "a/b\r\nX: y"}, "<b>", "text/html; charset=utf-8"),
     ("[1]", {"mimetype": "application/json"}, "[1]", "application/json"),
     ({"a": 1}, {}, '{"a": 1}', "application/json"),
     (None, {}, "null", "application/json")],
)  # fmt: skip
def test_data_is_the_bare_result(
    gateway: GatewayThread, recording: Recording, data: Any, metadata: Any, text: str, content_type: str
) -> None:
    job = gateway.accepted({**JOB, "metadata": metadata})
    recording.end(job["job_id"], data=data)
    answer = gateway.get(f"/job/{job['job_id']}/data")
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (200, text, content_type)
    assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_data_of_a_failed_job_is_its_error(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.end(job["job_id"], "error", error={"message": "no"})
    answer = gateway.get(f"/job/{job['job_id']}/data")
    assert (answer.status_code, answer.json()) == (409, {"error": {"message": "no"}})


def test_rejected_rows_are_those_of_the_last_attempt(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.reject(job["job_id"], (2, "too short", None), (9, "too long", None))
    recording.reject(job["job_id"], (2, "too short", None), sequence=2_000_050)
    assert gateway.get(f"/job/{job['job_id']}/rejects.csv").text.count("too") == 1


def test_rejected_rows_come_as_csv(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.reject(job["job_id"], (2, "too short", 'a,"b'), (9, "too long", None))
    answer = gateway.get(f"/job/{job['job_id']}/rejects.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["row", "reason", "text"],
        ["2", "too short", 'a,"b'],
        ["9", "too long", ""],
    ]


def listed(gateway: GatewayThread, query: str = "", path: str = "/job") -> list[str]:
    answer = gateway.get(path + query, key=None)
    assert answer.status_code == 200, answer.text
    return [line.rpartition("/")[2] for line in answer.json()["list"]]


def test_jobs_are_listed_newest_first_by_path(gateway: GatewayThread) -> None:
    for job_id in ("one", "two", "three"):
        gateway.post(JOB, f"/job/{job_id}")
    answer = gateway.get("/job", key=None)
    assert answer.text == '{"list":["/job/three","/job/two","/job/one"]}\n'
    assert gateway.get("/dp/job/", key=None).json()["list"][0] == "/dp/job/three"


def test_a_listing_comes_in_pages(gateway: GatewayThread) -> None:
    for job_id in ("one", "two", "three"):
        gateway.post(JOB, f"/job/{job_id}")
    first = gateway.get("/job?_limit=2", key=None)
    assert (first.headers["X-Total-Count"], len(first.json()["list"])) == ("3", 2)
    following = first.links["next"]["url"]
    assert gateway.get(following, key=None).json() == {"list": ["/job/one"]}
    assert "Link" not in gateway.get(following, key=None).headers
    assert gateway.get("/job?_limit=0", key=None).json() == {"list": []}


def test_a_listing_is_filtered_by_status(gateway: GatewayThread, recording: Recording) -> None:
    for state in ("queued", "running", "complete", "error", "cancelled"):
        gateway.post(JOB, f"/job/{state}")
        recording.change(state, state=state)
    assert listed(gateway, "?_status=pending") == ["running", "queued"]
    assert listed(gateway, "?_status=error") == ["cancelled", "error"]
    assert listed(gateway, "?_status=complete") == ["complete"]
    assert (listed(gateway, "?_status=running"), listed(gateway, "?_status=junk")) == (["running"], [])


@pytest.mark.parametrize(
    ("query", "found"),
    [("?n=42", ["a"]), ("?n=42&s=x", ["a"]), ("?n=42&s=y", []), ("?b=true", ["a"]), ("?b=1", []), ("?s=y", ["b"]),
     ('?od%22d%5D.k=v', ["b"]), ("?resource_id=r7", ["b"]), ("?none=", []), ("?s='%20or%201=1", []), ("?e=%C3%A9", ["b"])],
)  # fmt: skip
def test_a_listing_is_filtered_by_metadata(gateway: GatewayThread, query: str, found: list[str]) -> None:
    gateway.post({**JOB, "metadata": {"n": 42, "s": "x", "b": True}}, "/job/a")
    gateway.post({**JOB, "metadata": {"s": "y", 'od"d].k': "v", "resource_id": "r7", "e": "é"}}, "/job/b")
    assert listed(gateway, query) == found


def test_a_listing_may_be_for_the_administrator_only(start: Start) -> None:
    gateway = start(list_requires_auth=True)
    assert gateway.get("/job", key=None).status_code == 403
    assert gateway.get("/job").status_code == 200


def test_old_jobs_are_deleted_with_all_they_left(gateway: GatewayThread, recording: Recording) -> None:
    for job_id, age in (("old", 20), ("young", 2), ("waiting", None)):
        gateway.post(JOB, f"/job/{job_id}")
        if age is not None:
            recording.end(job_id, finished_at=datetime.now() - timedelta(days=age))
    recording.log("old", "line")
    assert gateway.delete("/job").json() == {"success": True}
    assert listed(gateway) == ["waiting", "young"] and recording.rows(logs, "old") == []
    assert gateway.delete("/job?days=1").status_code == 200 and listed(gateway) == ["waiting"]


def test_marks_of_deleted_jobs_are_forgotten_in_the_end(gateway: GatewayThread, recording: Recording) -> None:
    for job_id in ("young", "old"):
        gateway.post(JOB, f"/job/{job_id}")
        gateway.delete(f"/job/{job_id}")
    with gateway.engine.begin() as connection:
        long_ago = datetime.now() - timedelta(days=100)
        connection.execute(cancellations.update().where(cancellations.c.job_id == "old").values(requested_at=long_ago))
    gateway.delete("/job")
    assert (len(recording.rows(cancellations, "young")), len(recording.rows(cancellations, "old"))) == (1, 0)


def test_old_jobs_are_deleted_by_the_administrator_only(gateway: GatewayThread) -> None:
    answer = gateway.delete("/job?days=0", key=gateway.accepted()["job_key"])
    assert (answer.status_code, answer.json()) == (403, {"error": "not authorized"})


def test_status_counts_jobs_in_the_old_words(gateway: GatewayThread, recording: Recording) -> None:
    for state in ("queued", "running", "complete", "error", "dead"):
        gateway.post(JOB, f"/job/{state}")
        recording.change(state, state=state)
    assert gateway.get("/status", key=None).text == (
        '{"job_types":["count","push_to_datastore"],"name":"datapusher","stats":{"complete":1,"error":2,"pending":2},"version":0.1}\n'
    )


def test_the_root_says_where_help_is(gateway: GatewayThread) -> None:
    told = '{"help":"\\n        Get help at:\\n        http://ckan-service-provider.readthedocs.org/."}\n'
    assert gateway.get("/", key=None).text == gateway.get("/dp", key=None).text == gateway.get("/dp/", key=None).text == told
