"""The overview: what goes on, and what needs attention."""

from datetime import timedelta

from gateway.clock import now
from tests.acceptance.service import wait_until
from tests.ui.conftest import Many, Visitor


def test_a_quiet_service_says_so(ui: Visitor, many: Many) -> None:
    many.worker("host-1/4711")
    page = ui.page()
    assert "Nothing. Jobs are taken, run, and told to CKAN." in page.text
    assert "No worker runs a job." in page.text
    assert page.count("svg", "chart") == 2


def test_queues_show_what_waits(ui: Visitor) -> None:
    for _ in range(3):
        ui.gateway.accepted()
    wait_until(lambda: ui.gateway.depth() == 3, "the jobs are published")
    page = ui.page()
    assert "jobs: push_to_datastore 3 " in page.text
    assert "3 waiting" in page.text


def test_a_bus_that_is_away_is_told(ui: Visitor) -> None:
    ui.gateway.bus.cut = True
    ui.gateway.accepted()
    text = ui.page().text
    assert "The bus cannot be used: cut by the test. Jobs are still accepted" in text and "1 accepted job in the outbox" in text
    assert "not known" in text


def test_workers_show_what_they_run(ui: Visitor, many: Many) -> None:
    progress = {"stage": "loading", "rows": 1200, "rows_total": 5000}
    many.jobs({"job_id": "busy", "state": "running", "requested_at": now(), "progress": progress})
    many.claim("busy", lease_until=now() + timedelta(seconds=30), changed_at=now() - timedelta(seconds=75))
    page = ui.page()
    assert "host-1/4711 slot 2 busy" in page.text
    assert "loading: 1,200 of 5,000 rows 1 min 15 s" in page.text
    assert f"{ui.url}/job/busy" in page.links


def test_workers_are_there_as_long_as_they_tell_that_they_live(ui: Visitor, many: Many) -> None:
    assert "No worker has told that it lives." in ui.page().text
    many.worker("host-1/4711", slots=4, busy=3)
    many.worker("host-2/7", good_for_s=-1)
    text = ui.page().text
    assert "host-1/4711 3 of 4 3 h ago" in text and "1.2.3" in text
    assert "host-2/7" not in text and "No worker has told" not in text


def test_no_worker_needs_attention_before_a_job_waits(ui: Visitor) -> None:
    text = ui.page().text
    assert "No worker lives. A job that comes now will wait" in text and "Nothing. Jobs are taken" not in text


def test_a_worker_that_was_lost_needs_attention(ui: Visitor, many: Many) -> None:
    many.jobs({"job_id": "lost", "state": "running", "requested_at": now()})
    many.claim("lost", lease_until=now() - timedelta(minutes=3), changed_at=now() - timedelta(minutes=4))
    assert "host-1/4711 holds a job, but its lease ran out 3 min ago" in ui.page().text


def test_waiting_jobs_without_a_worker_need_attention(ui: Visitor) -> None:
    ui.gateway.accepted()
    wait_until(lambda: ui.gateway.depth() == 1, "the job is published")
    assert "No worker lives, and 1 message waiting for push_to_datastore: start one." in ui.page().text


def test_waiting_jobs_that_no_worker_takes_need_attention(ui: Visitor, many: Many) -> None:
    many.worker("host-1/4711")
    job_id = ui.gateway.accepted()["job_id"]
    wait_until(lambda: ui.gateway.depth() == 1, "the job is published")
    with ui.gateway.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET requested_at = '2026-01-01 00:00:00' WHERE job_id = '{job_id}'")
    assert "No job runs, and 1 message waiting for push_to_datastore: see the workers' logs." in ui.page().text


def test_the_dead_need_attention(ui: Visitor, many: Many) -> None:
    many.dead({"job_id": "x"})
    many.dead({"job_id": "y"}, callback=True)
    page = ui.page()
    assert "1 message with the dead" in page.text and "1 callback could not be delivered" in page.text
    assert {f"{ui.url}/dead", f"{ui.url}/dead/callbacks"} <= set(page.links)


def test_many_failures_need_attention(ui: Visitor, many: Many) -> None:
    moments = {"requested_at": now(), "finished_at": now()}
    ended = [{"job_id": f"j{n}", "state": "error" if n < 6 else "complete", **moments} for n in range(9)]
    many.jobs(*ended)
    assert "6 of the 9 jobs that ended in the last hour failed (67%)" in ui.page().text


def test_charts_show_what_ended_when(ui: Visitor, many: Many) -> None:
    minute = now().replace(second=0, microsecond=0)
    ends = [(5, "complete"), (5, "complete"), (5, "error"), (50, "cancelled"), (90, "dead")]
    many.jobs(
        *({"job_id": f"j{n}", "state": state, "requested_at": minute, "finished_at": minute - timedelta(minutes=ago)}
          for n, (ago, state) in enumerate(ends))
    )  # fmt: skip
    hour, day = ui.page(), ui.page("?range=day")
    assert "Jobs ended: 4; at most 3 in 1 min" in hour.text and "Jobs failed: 1" in hour.text
    assert ": 2 complete, 1 failed" in hour.html and "0 complete, 0 failed, 1 cancelled" in hour.html
    assert "Jobs ended: 5;" in day.text and "Jobs failed: 2" in day.text


def test_rates_are_those_of_the_last_minutes(ui: Visitor, many: Many) -> None:
    hour_ago = now() - timedelta(hours=1)
    many.jobs(*({"job_id": f"new{n}", "state": "queued", "requested_at": now()} for n in range(10)),
              *({"job_id": f"old{n}", "requested_at": hour_ago, "finished_at": now()} for n in range(5)))  # fmt: skip
    assert "jobs: push_to_datastore 0 just now 2.0 1.0" in ui.page().text.replace("1 s ago", "just now")
