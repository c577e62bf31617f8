"""The frame round every action: who may call, how, and what a refusal looks like."""

import requests

from tests.contract.target import Target


def test_a_result_comes_in_ckans_envelope(ckan: Target) -> None:
    answer = ckan.post("status_show")

    told = answer.json()
    assert answer.headers["Content-Type"].startswith("application/json")
    assert told["success"] is True
    assert told["help"].endswith("/api/3/action/help_show?name=status_show")
    assert told["result"]["ckan_version"].startswith("2.12")


def test_reading_actions_answer_get_too(ckan: Target) -> None:
    resource_id = ckan.resource()

    answer = requests.get(f"{ckan.url}/api/3/action/resource_show", params={"id": resource_id}, timeout=30)

    assert answer.json()["result"]["id"] == resource_id


def test_writing_actions_refuse_get(ckan: Target) -> None:
    answer = requests.get(f"{ckan.url}/api/3/action/datastore_create", timeout=30)

    assert answer.status_code == 400
    assert answer.json() == "Bad request: JSON Error: Invalid request. Please use POST method for your request"


def test_an_unknown_action_is_a_400_with_a_string(ckan: Target) -> None:
    answer = ckan.post("no_such_action")

    assert answer.status_code == 400
    assert answer.json() == "Bad request: Action name not known: no_such_action"


def test_a_body_that_is_not_json_is_a_400(ckan: Target) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{ckan.url}/api/3/action/resource_show", data="{oops", headers=headers, timeout=30)

    assert answer.status_code == 400
    assert answer.json().startswith("Bad request: JSON Error: Error decoding JSON data.")


def test_a_body_that_is_no_object_is_a_400(ckan: Target) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{ckan.url}/api/3/action/resource_show", data="[1]", headers=headers, timeout=30)

    assert answer.status_code == 400
    assert answer.json() == "Bad request: JSON Error: Request data JSON decoded to [1] but it needs to be a dictionary."


def test_a_missing_parameter_is_a_validation_error(ckan: Target) -> None:
    assert ckan.refused("resource_show") == (409, {"id": ["Missing value"], "__type": "Validation Error"})


def test_an_unknown_resource_is_not_found(ckan: Target) -> None:
    error = {"__type": "Not Found Error", "message": "Not found"}

    assert ckan.refused("resource_show", id="no-such-resource") == (404, error)


def test_the_token_tells_who_calls(ckan: Target) -> None:
    assert ckan.post("user_show").json()["result"]["state"] == "active"
    assert ckan.post("user_show", token="").status_code == 404


def test_nobody_may_write(ckan: Target) -> None:
    resource_id = ckan.resource()

    answer = ckan.post("datastore_upsert", {"resource_id": resource_id, "force": True}, token="")

    right = f"perform resource_update on resource {resource_id}"
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "__type": "Authorization Error",
        "message": f"Access denied: User  not authorized to {right}",
    }


def test_a_bearer_prefix_makes_the_token_nobodys(ckan: Target) -> None:
    resource_id = ckan.resource()

    answer = ckan.post("resource_patch", {"id": resource_id, "description": "x"}, token=f"Bearer {ckan.token}")

    assert answer.status_code == 403
