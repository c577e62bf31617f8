"""Loads by CKAN's API that are killed where most is at stake, in a real child process; the next attempt puts it right."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from consumer.memory import Kept, Memory
from consumer.scratch import Scratch
from consumer.slots import Slot
from sandbox.server import Sandbox
from schemas.errors import Stopped
from schemas.messages import Job, Json, Kind
from schemas.settings import Settings

OLD = [
    {"id": "n", "type": "text", "info": {"label": "Number", "notes": "of the house", "type_override": "text"}},
    {"id": "name", "type": "text", "info": {"notes": "as written"}},
]
CSV = b"n,name\n007,Bond\n008,Bill\n"
#: Longer than the test takes to see that it is time to kill.
HANGS_S = 3.0


@pytest.fixture
def ckan() -> Iterator[Sandbox]:
    with Sandbox() as ckan:
        yield ckan


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    scratch = Scratch(tmp_path)
    slot = Slot(Settings(chunk_insert_rows=2), scratch)
    yield slot
    slot.discard()
    scratch.close()


def run(
    slot: Slot, ckan: Sandbox, resource_id: str, noted: list[Kept], *, kill_after: str = "", calls: int = 1, **options: Any
) -> Mapping[str, Any]:
    """One attempt, which knows what was noted last; killed once CKAN was asked *calls* times for *kill_after*."""
    body = ckan.job_for(resource_id)
    metadata = {**body["metadata"], **options}
    job = Job(job_id="job-1", job_type=body["job_type"], api_key=body["api_key"], metadata=metadata)
    ckan.forget_requests()

    def check() -> None:
        if kill_after and len(ckan.calls(kill_after)) >= calls:
            raise Stopped("died")

    def tell(kind: Kind, data: Mapping[str, Json]) -> None: ...

    memory = Memory(noted[-1] if noted else None, noted.append)
    return slot.run(job, tell, check, memory=memory)


def infos(ckan: Sandbox, resource_id: str) -> dict[str, Any]:
    return {one["id"]: one.get("info") for one in ckan.table(resource_id).fields if one["id"] != "_id"}


def test_the_dictionary_outlives_a_kill_when_the_old_table_is_gone_and_the_new_one_not_there(slot: Slot, ckan: Sandbox) -> None:
    resource_id = str(ckan.add_resource(upload=("file.csv", CSV))["id"])
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=OLD, aliases=["agents"], indexes=["name"])
    ckan.fail("datastore_create", 503, delay_s=HANGS_S)
    noted: list[Kept] = []

    with pytest.raises(Stopped):
        run(slot, ckan, resource_id, noted, kill_after="datastore_create")
    assert ckan.call("resource_show", id=resource_id)["datastore_active"] is False
    run(slot, ckan, resource_id, noted)

    assert infos(ckan, resource_id) == {one["id"]: one["info"] for one in OLD}
    assert ckan.table(resource_id).column("n") == ["007", "008"]
    info = ckan.call("datastore_info", id=resource_id)
    assert info["meta"]["aliases"] == ["agents"]
    assert [one["schema"]["is_index"] for one in info["fields"]] == [False, True]
    assert noted[-1] is None


@pytest.mark.parametrize("arrived", [1, 2])
def test_an_append_goes_on_after_the_rows_that_arrived(slot: Slot, ckan: Sandbox, arrived: int) -> None:
    rows = b"n\n" + b"".join(b"%d\n" % number for number in range(1, 8))
    resource_id = str(ckan.add_resource(upload=("file.csv", rows))["id"])
    field = {"id": "n", "type": "numeric"}
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=[field], records=[{"n": 0}])
    ckan.fail("datastore_upsert", 503, delay_s=HANGS_S, skip=arrived)
    noted: list[Kept] = []

    with pytest.raises(Stopped):
        run(slot, ckan, resource_id, noted, kill_after="datastore_upsert", calls=arrived + 1, mode="append")
    assert len(ckan.table(resource_id).rows) == 1 + 2 * arrived
    result = run(slot, ckan, resource_id, noted, mode="append")

    assert ckan.table(resource_id).column("n") == list(range(8))
    assert result["data"]["table_rows"] == 8
    assert noted[-1] is None


def test_an_append_of_another_job_begins_with_its_first_row(slot: Slot, ckan: Sandbox) -> None:
    resource_id = str(ckan.add_resource(upload=("file.csv", CSV))["id"])
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=OLD)
    left: Kept = {"append": {"job_id": "another", "md5": "of its file", "rows_before": 0}}

    run(slot, ckan, resource_id, [left], mode="append")

    assert ckan.table(resource_id).column("name") == ["Bond", "Bill"]
