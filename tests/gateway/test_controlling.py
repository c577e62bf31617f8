"""Cancelling, deleting and running again."""

import pytest

from gateway import client
from schemas.messages import Job
from schemas.sealing import Sealer, message_keys
from schemas.tables import cancellations, jobs, logs, outbox, rejects
from tests.gateway.gateway_thread import JOB, SECRET, GatewayThread
from tests.gateway.recording import Recording
from tests.gateway.test_accepting import AS_CKAN_SENDS, KEYS, taken


def test_a_job_that_waits_can_be_cancelled(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    answers = [gateway.post(None, f"/job/{job['job_id']}/cancel", headers={"Authorization": job["job_key"]}) for _ in "12"]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"success": True})] * 2
    assert [row.deleted for row in recording.rows(cancellations, job["job_id"])] == [False]
    assert gateway.get(f"/job/{job['job_id']}").status_code == 200


def test_a_job_that_has_ended_cannot_be_cancelled(gateway: GatewayThread, recording: Recording) -> None:
    job = gateway.accepted()
    recording.end(job["job_id"])
    answer = gateway.post(None, f"/job/{job['job_id']}/cancel", headers={"Authorization": SECRET})
    assert (answer.status_code, answer.json()) == (409, {"error": f"job_id {job['job_id']} has ended already"})


def test_a_deleted_job_leaves_no_trace_and_is_cancelled(gateway: GatewayThread, recording: Recording) -> None:
    gateway.bus.cut = True
    job_id = gateway.accepted()["job_id"]
    recording.log(job_id, "line")
    recording.reject(job_id, (1, "bad", None))
    answer = gateway.delete(f"/job/{job_id}")

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [row.deleted for row in recording.rows(cancellations, job_id)] == [True]
    assert not any(recording.rows(table, job_id) for table in (jobs, logs, rejects, outbox))
    assert gateway.get(f"/job/{job_id}").json() == {"error": "job_id not found"}


def test_a_job_stays_deleted_after_it_was_cancelled(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    gateway.post(None, f"/job/{job_id}/cancel", headers={"Authorization": SECRET})
    gateway.delete(f"/job/{job_id}")
    assert [row.deleted for row in recording.rows(cancellations, job_id)] == [True]


def test_the_id_of_a_deleted_job_is_taken_until_its_worker_is_done(gateway: GatewayThread, recording: Recording) -> None:
    gateway.post(JOB, "/job/mine")
    recording.log("mine", "an old line")
    gateway.delete("/job/mine")
    early = gateway.post(JOB, "/job/mine")
    recording.claim("mine", outcome={"kind": "cancelled"})
    late = gateway.post(JOB, "/job/mine")

    assert (early.status_code, early.json()) == (409, {"error": "job_id mine already exists"})
    assert late.status_code == 200 and gateway.get("/job/mine").json()["logs"] == []
    assert not recording.rows(cancellations, "mine")


def test_controlling_needs_a_key(gateway: GatewayThread) -> None:
    job_id = gateway.accepted()["job_id"]
    for ask in (gateway.post(None, f"/job/{job_id}/cancel"), gateway.post(None, f"/job/{job_id}/resubmit"),
                gateway.delete(f"/job/{job_id}", key="wrong")):  # fmt: skip
        assert (ask.status_code, ask.json()) == (403, {"error": "not authorized"})
    assert gateway.post(None, "/job/unknown/cancel").json() == {"error": "job_id not found"}


def test_a_job_can_be_run_again_as_a_new_one(gateway: GatewayThread) -> None:
    old = gateway.accepted({**AS_CKAN_SENDS, "data": {"a": 1}})
    answer = gateway.http.post(f"{gateway.url}/job/{old['job_id']}/resubmit", headers={"Authorization": SECRET})
    new = answer.json()
    first, second = (Job.decode(delivery.message.body) for delivery in taken(gateway, 2))

    assert answer.status_code == 200 and list(new) == KEYS
    assert new["job_id"] != old["job_id"] and new["job_key"] != old["job_key"]
    assert (second.metadata, second.result_url, second.data) == (first.metadata, first.result_url, first.data)
    assert Sealer(message_keys(SECRET, ())).open(second.api_key) == AS_CKAN_SENDS["api_key"]


def test_a_job_can_be_run_again_with_a_new_api_key(gateway: GatewayThread, recording: Recording) -> None:
    job_id = gateway.accepted()["job_id"]
    recording.change(job_id, api_key=None)
    path, headers = f"/job/{job_id}/resubmit", {"Authorization": SECRET}
    assert gateway.post(None, path, headers=headers).json() == {"error": "Please provide your API key."}
    assert gateway.post({"api_key": "fresh"}, path, headers=headers).status_code == 200
    keys = [Job.decode(delivery.message.body).api_key for delivery in taken(gateway, 2)]
    assert Sealer(message_keys(SECRET, ())).open(keys[1]) == "fresh"


def test_one_job_that_is_refused_does_not_keep_others_from_running_again(
    gateway: GatewayThread, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    keyless, sealed = (gateway.accepted()["job_id"] for _ in range(2))
    recording.change(keyless, api_key=None)
    speaker = client.GatewayClient(gateway.url, SECRET)
    assert client.resubmit(speaker, [keyless, sealed], "", as_json=False) == 1
    shown = capsys.readouterr()
    assert f"{keyless} does not run again: Please provide your API key." in shown.err
    assert shown.out.startswith(f"{sealed} runs again as ")
    assert client.resubmit(speaker, [keyless], "fresh", as_json=False) == 0


def test_all_jobs_of_a_state_are_found_page_by_page(gateway: GatewayThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    accepted = [gateway.accepted()["job_id"] for _ in range(5)]
    assert sorted(client.GatewayClient(gateway.url, SECRET).jobs("pending")) == sorted(accepted)
