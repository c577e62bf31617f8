"""CKAN's datapusher plugin: what it sends, what it makes of the answers, and when it submits again."""

import re
from typing import Any

import pytest

from tests.contract.service import Answer, Service
from tests.contract.target import Target

URL = "http://files.invalid/a.csv"


@pytest.fixture
def pending(ckan: Target, service: Service) -> str:
    """A linked CSV resource whose job the service has taken."""
    return ckan.resource(url=URL, format="CSV")


def _last_job(service: Service, resource_id: str) -> dict[str, Any]:
    return service.jobs_of(resource_id)[-1]


def test_a_new_resource_is_submitted_with_the_literal_body(ckan: Target, service: Service, pending: str) -> None:
    job = _last_job(service, pending)

    created = job["metadata"].pop("task_created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", created)
    assert job == {
        "api_key": job["api_key"],
        "job_type": "push_to_datastore",
        "result_url": f"{ckan.url}/api/3/action/datapusher_hook",
        "metadata": {
            "ignore_hash": False,
            "ckan_url": ckan.url,
            "resource_id": pending,
            "set_url_type": False,
            "original_url": URL,
        },
    }
    assert isinstance(job["api_key"], str) and job["api_key"]


def test_the_job_is_posted_without_a_token_in_the_headers(ckan: Target, service: Service, pending: str) -> None:
    seen = service.seen[-1]

    assert (seen.method, seen.path) == ("POST", "/job")
    assert seen.headers["Content-Type"] == "application/json"
    assert "Authorization" not in seen.headers


@pytest.mark.parametrize("format", ["csv", "XLS", "xlsx", "TSV", "ods"])
def test_tabular_formats_are_submitted(ckan: Target, service: Service, format: str) -> None:
    assert len(service.jobs_of(ckan.resource(url=URL, format=format))) == 1


@pytest.mark.parametrize("format", ["PDF", "JSON", "TXT"])
def test_other_formats_are_not(ckan: Target, service: Service, format: str) -> None:
    assert service.jobs_of(ckan.resource(url="http://files.invalid/a", format=format)) == []


def test_the_task_is_pending_and_holds_the_jobs_id_and_key(ckan: Target, service: Service) -> None:
    service.to_post = Answer(201, {"job_id": "the-id", "job_key": "the-key"})

    told = ckan.call("datapusher_status", resource_id=ckan.resource(url=URL, format="CSV"))

    assert (told["status"], told["job_id"], told["job_key"]) == ("pending", "the-id", "the-key")
    assert told["job_url"] == f"{service.url}job/the-id"
    assert told["error"] == {}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(409, {"error": "no thanks"}), {"details": {"error": "no thanks"}, "status_code": 409}),
        (Answer(409, {"detail": "x"}), {"details": {"detail": "x"}, "status_code": 409}),
        (Answer(503, "busy"), {"details": "busy", "status_code": 503}),
    ],
    ids=["error string", "no error key", "text"],
)
def test_a_refusal_ckan_can_read_becomes_the_tasks_error(
    ckan: Target, service: Service, answer: Answer, error: dict[str, Any]
) -> None:
    service.to_post = answer

    resource_id = ckan.resource(url=URL, format="CSV")

    told = ckan.call("datapusher_status", resource_id=resource_id)
    message = told["error"].pop("message")
    assert (told["status"], told["error"]) == ("error", error)
    assert message.startswith(f"An Error occurred while sending the job: {answer.status} ")
    assert ckan.post("datapusher_submit", {"resource_id": resource_id}).status_code == 409


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"job_id": "x"}),
        Answer(200, {"job_key": "x"}),
        Answer(200, "not JSON"),
        Answer(409, {"error": {"message": "an object"}}),
        Answer(409, ["a list"]),
    ],
    ids=["no job_key", "no job_id", "not JSON", "error is an object", "a list"],
)
def test_an_answer_ckan_cannot_read_breaks_the_save_and_blocks_the_resource(
    ckan: Target, service: Service, answer: Answer
) -> None:
    service.to_post = answer
    package = ckan.dataset()

    saved = ckan.post("resource_create", {"package_id": package, "url": URL, "format": "CSV"})

    resource_id = ckan.call("package_show", id=package)["resources"][0]["id"]
    assert saved.status_code == 500
    assert ckan.task(resource_id)["state"] == "submitting"
    service.to_post = None
    ckan.call("resource_patch", id=resource_id, url=URL + "?2")
    assert len(service.jobs_of(resource_id)) == 1
    assert ckan.call("datapusher_submit", resource_id=resource_id) is True


def test_ckan_waits_five_seconds_for_the_job_to_be_taken(ckan: Target, service: Service) -> None:
    service.to_post = Answer(200, {"job_id": "x", "job_key": "y"}, delay_s=5.6)

    saved = ckan.post("resource_create", {"package_id": ckan.dataset(), "url": URL, "format": "CSV"})

    assert saved.status_code == 500


def test_no_second_job_while_one_is_pending(ckan: Target, service: Service, pending: str) -> None:
    ckan.call("resource_patch", id=pending, description="x")

    assert ckan.call("datapusher_submit", resource_id=pending) is False
    assert len(service.jobs_of(pending)) == 1


def test_submitting_what_is_not_there_is_false(ckan: Target, service: Service) -> None:
    assert ckan.call("datapusher_submit", resource_id="no-such-resource") is False


@pytest.mark.parametrize("change", [{"description": "x"}, {"hash": "abc"}, {"url": URL + "?2"}], ids=str)
def test_any_patch_after_completion_submits_again(ckan: Target, service: Service, pending: str, change: dict[str, str]) -> None:
    ckan.hook(pending, "complete")

    ckan.call("resource_patch", id=pending, **change)

    assert len(service.jobs_of(pending)) == 2


def test_a_patch_of_the_dataset_does_not_submit(ckan: Target, service: Service, pending: str) -> None:
    ckan.hook(pending, "complete")

    ckan.call("package_patch", id=ckan.call("resource_show", id=pending)["package_id"], notes="x")

    assert len(service.jobs_of(pending)) == 1


@pytest.mark.parametrize(("state", "jobs"), [("pending", 1), ("running", 2), ("complete", 2)])
def test_the_first_create_submits_again_unless_the_task_is_pending(
    ckan: Target, service: Service, pending: str, state: str, jobs: int
) -> None:
    ckan.hook(pending, state)

    ckan.create(pending, [("a", "text")], records=[{"a": "1"}])

    assert len(service.jobs_of(pending)) == jobs


def test_dropping_the_table_after_completion_submits_again(ckan: Target, service: Service, pending: str) -> None:
    ckan.create(pending, [("a", "text")])
    ckan.hook(pending, "complete")

    ckan.call("datastore_delete", resource_id=pending, force=True)

    assert len(service.jobs_of(pending)) == 2


@pytest.mark.parametrize("status", ["complete", "error", "running", "weird"])
def test_the_hook_keeps_any_status_and_no_error(ckan: Target, service: Service, pending: str, status: str) -> None:
    params = {"status": status, "metadata": {"resource_id": pending}, "error": {"message": "boom"}}

    answer = ckan.post("datapusher_hook", params)

    assert (answer.status_code, answer.json()["result"]) == (200, None)
    task = ckan.task(pending)
    assert (task["state"], task["error"]) == (status, "{}")


def test_the_hook_needs_status_metadata_and_resource(ckan: Target, service: Service, pending: str) -> None:
    metadata = {"resource_id": pending}

    assert ckan.refused("datapusher_hook", metadata=metadata)[1]["status"] == ["Missing value"]
    assert ckan.refused("datapusher_hook", status="complete")[1]["metadata"] == ["Missing value"]
    told = ckan.refused("datapusher_hook", status="complete", metadata={"x": 1})
    assert told == (409, {"resource_id": ["Missing value"], "__type": "Validation Error"})


def test_the_hook_of_an_unknown_resource_is_not_found(ckan: Target, service: Service) -> None:
    assert ckan.hook("no-such-resource", "complete").status_code == 404


@pytest.mark.parametrize("prefix", [None, "Bearer "], ids=["no token", "Bearer"])
def test_the_hook_needs_the_bare_token(ckan: Target, service: Service, pending: str, prefix: str | None) -> None:
    token = "" if prefix is None else prefix + ckan.token
    params = {"status": "complete", "metadata": {"resource_id": pending}}

    answer = ckan.post("datapusher_hook", params, token=token)

    right = f"perform resource_update on resource {pending}"
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == f"Access denied: User  not authorized to {right}"
    assert ckan.task(pending)["state"] == "pending"


@pytest.mark.parametrize(("original", "state", "jobs"), [(URL, "complete", 1), ("http://files.invalid/old.csv", "pending", 2)])
def test_a_link_that_moved_meanwhile_is_submitted_again(
    ckan: Target, service: Service, pending: str, original: str, state: str, jobs: int
) -> None:
    created = _last_job(service, pending)["metadata"]["task_created"]

    ckan.hook(pending, "complete", task_created=created, original_url=original)

    assert (ckan.task(pending)["state"], len(service.jobs_of(pending))) == (state, jobs)


@pytest.mark.parametrize(("created", "state", "jobs"), [(None, "complete", 1), ("2020-01-01 00:00:00.000001", "pending", 2)])
def test_an_upload_that_changed_meanwhile_is_submitted_again(
    ckan: Target, service: Service, created: str | None, state: str, jobs: int
) -> None:
    resource = ckan.upload("a.csv", b"x\n1\n", format="CSV")
    sent = _last_job(service, resource["id"])["metadata"]

    ckan.hook(resource["id"], "complete", **{**sent, "task_created": created or sent["task_created"]})

    assert (ckan.task(resource["id"])["state"], len(service.jobs_of(resource["id"]))) == (state, jobs)


def test_an_offset_in_task_created_breaks_the_hook(ckan: Target, service: Service) -> None:
    resource = ckan.upload("a.csv", b"x\n1\n", format="CSV")

    answer = ckan.hook(resource["id"], "complete", task_created="2026-11-22T02:00:00.000000+00:00")

    assert answer.status_code == 500
    assert ckan.task(resource["id"])["state"] == "pending"


def test_the_status_is_asked_with_the_jobs_key(ckan: Target, service: Service) -> None:
    service.to_post = Answer(200, {"job_id": "the-id", "job_key": "the-key"})
    resource_id = ckan.resource(url=URL, format="CSV")

    ckan.call("datapusher_status", resource_id=resource_id)

    seen = service.seen[-1]
    assert (seen.method, seen.path, seen.headers["Authorization"]) == ("GET", "/job/the-id", "the-key")


def _log(**changes: object) -> Answer:
    entry = {"timestamp": "2026-11-22T02:17:48.123456", "message": "m", "level": "INFO"} | changes
    return Answer(body={"status": "complete", "error": None, "logs": [entry]})


@pytest.mark.parametrize(
    "answer",
    [
        _log(),
        _log(timestamp="2026-11-22T02:17:48.123"),
        Answer(body={"logs": []}),
        Answer(body={"status": "error", "error": {"message": "boom", "row": 7}, "logs": [], "state": "dead"}),
    ],
    ids=["six digits", "three digits", "no more than logs", "extra keys"],
)
def test_ckan_passes_the_job_on(ckan: Target, service: Service, pending: str, answer: Answer) -> None:
    service.to_get = answer

    told = ckan.call("datapusher_status", resource_id=pending)["task_info"]

    assert isinstance(answer.body, dict)
    assert told.keys() == answer.body.keys()
    assert [log["timestamp"] for log in told["logs"]] == ["2026-11-22T02:17:48"] * len(told["logs"])


@pytest.mark.parametrize(
    "answer",
    [
        _log(timestamp="2026-11-22T02:17:48"),
        _log(timestamp="2026-11-22T02:17:48.123456Z"),
        _log(timestamp="2026-11-22T02:17:48.123456+00:00"),
        _log(timestamp="2026-11-22 02:17:48.123456"),
        _log(timestamp=None),
        Answer(body={"logs": None}),
        Answer(body={"status": "complete"}),
        Answer(200, "not JSON"),
    ],
    ids=["no fraction", "Z", "offset", "space", "null", "logs null", "no logs", "not JSON"],
)
def test_a_job_ckan_cannot_read_breaks_the_status(ckan: Target, service: Service, pending: str, answer: Answer) -> None:
    service.to_get = answer

    assert ckan.post("datapusher_status", {"resource_id": pending}).status_code == 500


@pytest.mark.parametrize("answer", [Answer(404, {"error": "x"}), Answer(403, "x"), Answer(500, "x")])
def test_any_refusal_is_told_as_no_connection(ckan: Target, service: Service, pending: str, answer: Answer) -> None:
    service.to_get = answer

    told = ckan.call("datapusher_status", resource_id=pending)

    assert told["task_info"] == {"error": "cannot connect to datapusher"}


def test_the_status_of_what_was_never_submitted_is_not_found(ckan: Target, service: Service) -> None:
    assert ckan.refused("datapusher_status", resource_id=ckan.resource())[0] == 404


def test_a_task_can_be_set_from_outside(ckan: Target, service: Service, pending: str) -> None:
    row = {**ckan.task(pending), "state": "error", "last_updated": "2020-01-01 10:00:00"}

    ckan.call("task_status_update", **row)

    task = ckan.task(pending)
    assert (task["id"], task["state"], task["last_updated"]) == (row["id"], "error", "2020-01-01T10:00:00")
    assert ckan.refused("task_status_show")[1]["entity_id"] == ["Missing value"]


def test_a_pending_task_over_an_hour_old_may_be_submitted_by_hand(ckan: Target, service: Service, pending: str) -> None:
    ckan.call("task_status_update", **{**ckan.task(pending), "last_updated": "2020-01-01 10:00:00.000001"})

    assert ckan.call("datapusher_submit", resource_id=pending, ignore_hash=True) is True

    assert _last_job(service, pending)["metadata"]["ignore_hash"] is True
