"""The page of one job, and its buttons."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from gateway.clock import now
from schemas.tables import cancellations
from tests.acceptance.service import wait_until
from tests.gateway.gateway_thread import JOB
from tests.gateway.recording import MOMENT, Recording
from tests.ui.conftest import Many, Visitor

REPORT = {
    "rows": 3500, "rejected": 2, "format": "CSV", "delimiter": "\t", "durations_s": {"fetching": 0.5, "loading": 2.0},
    "file": {"size_bytes": 429336},
    "columns": [{"name": "Größe", "ckan": "numeric", "rich": "decimal", "nulls": 4, "why_text": None, "notes": ["a note"],
                 "profile": {"distinct": 12, "distinct_exact": False, "min": "0", "max": "9.5", "frequent": [["1", 700]]}}],
}  # fmt: skip


def test_a_job_that_nobody_knows_is_not_found(ui: Visitor) -> None:
    assert "There is no such job" in ui.page("/job/nobody", 404).text
    assert ui.get("/job/" + "x" * 200).status_code == 404


def test_a_waiting_job_can_be_cancelled(ui: Visitor) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    page = ui.page(f"/job/{job_id}")
    assert page.count("span", "queued") == 1 and not page.has_button("Resubmit")
    answer = ui.press(page, "Cancel this job")
    assert "is being cancelled" in answer.text and answer.url.startswith(f"{ui.url}/job/{job_id}")
    with ui.gateway.engine.connect() as connection:
        assert connection.execute(select(cancellations.c.job_id)).scalars().all() == [job_id]


def test_a_job_that_ended_meanwhile_cannot_be_cancelled(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    page = ui.page(f"/job/{job_id}")
    recording.end(job_id)
    answer = ui.press(page, "Cancel this job")
    assert answer.status_code == 409 and "has ended already" in answer.text


def test_an_ended_job_can_be_resubmitted(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    recording.end(job_id, "error", error={"message": "broken"}, error_text="broken")
    answer = ui.press(ui.page(f"/job/{job_id}"), "Resubmit")
    assert "the same job again, as a new one" in answer.text and job_id not in answer.url
    wait_until(lambda: ui.gateway.depth() == 2, "both are published")


def test_a_job_whose_token_is_not_known_asks_for_one(ui: Visitor, many: Many) -> None:
    many.jobs({"job_id": "direct", "requested_at": now(), "state": "error", "metadata": JOB["metadata"]})
    page = ui.page("/job/direct")
    assert ui.press(page, "Resubmit").status_code == 409
    assert "as a new one" in ui.press(page, "Resubmit", api_key="a-fresh-token").text


def test_a_job_of_a_type_that_is_gone_cannot_be_resubmitted(ui: Visitor, many: Many) -> None:
    many.jobs({"job_id": "old", "job_type": "gone", "requested_at": now()})
    assert "does not run jobs of type gone" in ui.press(ui.page("/job/old"), "Resubmit", api_key="k").text


def test_a_dead_job_can_be_replayed(ui: Visitor, many: Many) -> None:
    many.jobs({"job_id": "dead-1", "state": "dead", "requested_at": now(), "finished_at": now(), "error_text": "poison"})
    many.dead({"job_id": "dead-1", "job_type": "push_to_datastore"})
    page = ui.page("/job/dead-1")
    assert "back in its queue" in ui.press(page, "Replay").text
    assert ui.gateway.depth() == 1
    assert "have no message of this job any more" in ui.press(page, "Replay").text


def test_the_timeline_tells_where_the_time_went(ui: Visitor, many: Many) -> None:
    start = now() - timedelta(hours=1)
    many.jobs({"job_id": "done", "requested_at": start, "started_at": start + timedelta(seconds=3),
               "finished_at": start + timedelta(seconds=6), "data": REPORT})  # fmt: skip
    text = ui.page("/job/done").text
    assert "waiting for a worker 3.0 s fetching 500 ms loading 2.0 s finishing 500 ms in all 6.0 s" in text


def test_the_timeline_of_a_job_that_has_no_report_is_that_of_its_progress(ui: Visitor, many: Many) -> None:
    start = now() - timedelta(hours=1)
    row = {"requested_at": start, "started_at": start, "finished_at": start + timedelta(seconds=5), "state": "error",
           "progress": {"stage": "loading", "durations_s": {"fetching": 4.0}}}  # fmt: skip
    many.jobs({"job_id": "failed", **row}, {"job_id": "again", **row, "attempt": 2})
    assert "fetching 4.0 s loading: ended here 1.0 s in all 5.0 s" in ui.page("/job/failed").text
    assert "loading: ended here (attempt 2) 1.0 s" in ui.page("/job/again").text


def test_earlier_attempts_are_part_of_the_timeline(ui: Visitor, many: Many) -> None:
    start = now() - timedelta(hours=1)
    many.jobs({"job_id": "done", "requested_at": start, "started_at": start, "finished_at": start + timedelta(seconds=22.5),
               "data": REPORT, "attempt": 3})  # fmt: skip
    assert "2 earlier attempts and waits 20 s fetching 500 ms" in ui.page("/job/done").text


def test_a_failed_job_tells_why_and_where(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    error = {"message": "133 rows do not fit.", "Row": 4, "Hint": "Correct them.", "api_token": "hidden-token"}
    recording.end(
        job_id, "error", error=error, error_text="133 rows do not fit.", started_at=MOMENT, progress={"stage": "reading"}
    )
    recording.reject(job_id, (4, "it has 6 cells", "a,b,c"))
    page = ui.page(f"/job/{job_id}")
    assert "Error 133 rows do not fit. Row 4 Hint Correct them." in page.text
    assert "reading: ended here" in page.text
    assert "1 row that does not fit the table." in page.text and "4 it has 6 cells a,b,c" in page.text
    assert "hidden-token" not in page.html
    csv = next(link for link in page.links if link.endswith("rejects.csv"))
    assert ui.http.get(csv, timeout=20).text.startswith("row,reason,text")


def test_the_report_is_a_table_of_columns(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    recording.end(job_id, data=REPORT)
    text = ui.page(f"/job/{job_id}").text
    assert "Rows loaded 3,500" in text and "429 kB" in text
    assert "Größe numeric decimal 4 ~ 12 0 9.5 1 ×700 a note" in text


@pytest.mark.parametrize(
    "data", ["text", 7, [1, 2], {"columns": "none"}, {"columns": [1, {"profile": 3}]}, {"file": 3}, {"rows": "x"}]
)
def test_any_result_of_any_job_has_a_page(ui: Visitor, recording: Recording, data: object) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    recording.end(job_id, data=data, progress=data, callback=data, error=data)
    ui.page(f"/job/{job_id}")
    ui.page("/jobs")
    ui.page("/resource?id=r1")


def test_the_callbacks_state_is_told(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted({**JOB, "result_url": "https://user:pass@ckan.example/hook"})["job_id"]
    recording.end(job_id, callback={"state": "dead", "attempts": 7, "last_error": "answered 500"})
    page = ui.page(f"/job/{job_id}")
    assert "dead after 7 attempts: answered 500" in page.text
    assert "pass@" not in page.html


def test_the_log_is_shown_with_its_newest_lines(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    recording.log(job_id, *(f"line {number}" for number in range(510)))
    text = ui.page(f"/job/{job_id}").text
    assert "10 older lines are left out" in text and "line 509" in text and "line 9 " not in text


def test_secrets_in_metadata_are_masked(ui: Visitor) -> None:
    metadata = {"resource_id": "r1", "original_url": "https://u:p4ss@host/f.csv?token=t0p&x=1", "nested": {"api_key": "k3y"}}
    job_id = ui.gateway.accepted({**JOB, "metadata": metadata, "data": {"password": "pw1"}})["job_id"]
    page = ui.page(f"/job/{job_id}")
    assert "f.csv" in page.text
    for secret in ("p4ss", "t0p", "k3y", "pw1", "a-token"):
        assert secret not in page.html


def test_a_table_that_ckan_does_not_know_of_says_why_and_what_to_do(ui: Visitor, recording: Recording) -> None:
    job_id = ui.gateway.accepted()["job_id"]
    recording.end(job_id)
    callback = {"state": "dead", "attempts": 7, "last_error": "http://ckan/hook answered 403", "status": 403}
    recording.change(job_id, error={"message": "Process completed but unable to post to result_url"}, callback=callback)
    page = ui.page(f"/job/{job_id}")
    assert "The table is loaded. The last try to tell CKAN: http://ckan/hook answered 403." in page.text
    assert "does not know that it is complete" in page.text and "Tell it again" in page.text
