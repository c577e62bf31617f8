"""Jobs that other systems post for a resource of CKAN: append and upsert; and what a reload keeps."""

from typing import Any

import pytest

from tests.ckan.client import RealCkan
from tests.ckan.conftest import PushService
from tests.push.file_server import Answer, FileServer

pytestmark = pytest.mark.ckan

FIRST = b"id,name\n1,Ada\n2,Grace\n"
SECOND = b"id,name\n2,Grace Hopper\n3,Mary\n"


@pytest.fixture
def resource_id(ckan: RealCkan, service: PushService, files: FileServer) -> str:
    """A linked file, loaded; the next load will meet SECOND."""
    files.answers["/modes.csv"] = Answer(FIRST)
    resource_id = ckan.link(files.url("/modes.csv"))
    ckan.pushed(resource_id)
    files.answers["/modes.csv"] = Answer(SECOND)
    return resource_id


def _push(ckan: RealCkan, service: PushService, resource_id: str, **options: object) -> dict[str, Any]:
    metadata = {"ckan_url": ckan.url, "resource_id": resource_id, **options}
    body = {"job_type": "push_to_datastore", "api_key": ckan.token, "metadata": metadata}
    job = service.ended(service.post(body).json()["job_id"])
    assert job["state"] == "complete", job
    # The mark that the job leaves in the resource makes CKAN submit once more: that must change nothing.
    assert service.quiet(resource_id) <= 3
    return job


def test_append_adds_the_rows_to_the_table(ckan: RealCkan, service: PushService, resource_id: str) -> None:
    job = _push(ckan, service, resource_id, mode="append")

    assert [row[1:] for row in ckan.values(resource_id)] == [[1, "Ada"], [2, "Grace"], [2, "Grace Hopper"], [3, "Mary"]]
    assert ckan.total(resource_id) == job["data"]["table_rows"] == 4
    assert ckan.total(resource_id, q="mary") == 1


def test_upsert_changes_rows_by_their_key(ckan: RealCkan, service: PushService, resource_id: str, loader: str) -> None:
    _push(ckan, service, resource_id, mode="upsert", primary_key="id")

    assert sorted(row[1:] for row in ckan.values(resource_id)) == [[1, "Ada"], [2, "Grace Hopper"], [3, "Mary"]]
    assert ckan.total(resource_id) == 3
    if loader != "api":  # CKAN's own upsert does not renew the full text of a row that it changes (2.12)
        assert ckan.total(resource_id, q="hopper") == 1
    answer = ckan.post("datastore_upsert", {"resource_id": resource_id, "force": True, "records": [{"id": 1, "name": "A."}]})
    assert answer.status_code == 200, answer.text
    assert ckan.total(resource_id) == 3


def test_the_data_dictionary_and_aliases_outlive_a_reload(ckan: RealCkan, service: PushService, resource_id: str) -> None:
    alias = f"people-{resource_id}"
    ckan.call("datastore_create", resource_id=resource_id, force=True, aliases=[alias], indexes=["name"])
    ckan.describe(resource_id, {"id": {"label": "Number", "notes": "unique", "type_override": "text"}})

    ckan.call("datapusher_submit", resource_id=resource_id)
    ckan.pushed(resource_id)

    assert ckan.infos(resource_id) == {"id": {"label": "Number", "notes": "unique", "type_override": "text"}}
    assert ckan.columns(resource_id) == [("_id", "int"), ("id", "text"), ("name", "text")]
    assert ckan.values(alias) == ckan.values(resource_id) == [[1, "2", "Grace Hopper"], [2, "3", "Mary"]]
    info = ckan.call("datastore_info", resource_id=resource_id)
    assert info["meta"]["aliases"] == [alias]
    assert [field["schema"]["is_index"] for field in info["fields"]] == [False, True]
