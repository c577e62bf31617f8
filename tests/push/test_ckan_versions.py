"""What older CKANs answer, by the shapes of their sources; 2.12 is the one that `make test-ckan` runs."""

from collections.abc import Iterator
from typing import Any

import pytest

from consumer.push.ckan import Ckan
from consumer.push.ckan_answers import Refused
from consumer.push.load import Existing, Field
from sandbox.server import Sandbox

RESOURCE = "00000000-0000-4000-8000-000000000001"
PLAIN = {"native_type": "text", "notnull": False, "index_name": None, "is_index": False, "uniquekey": False}
META = {"id": RESOURCE, "count": 2, "table_type": "BASE TABLE", "size": 8192, "db_size": 1, "idx_size": 1, "aliases": ["a"]}
#: Version: (datastore_info, the fields that datastore_search tells, the field that is understood).
SHAPES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], Field]] = {
    # Of 2.9 datastore_info tells the schema apart, and nothing of the dictionary.
    "2.9": (
        {"schema": {"name": "text"}, "meta": {"count": 2}},
        [{"id": "_id", "type": "int"}, {"id": "name", "type": "text", "info": {"label": "Name"}}],
        Field("name", "text", {"label": "Name"}),
    ),
    "2.10": (
        {"meta": META, "fields": [{"id": "name", "type": "text", "info": {"label": "Name"}, "schema": PLAIN}]},
        [],
        Field("name", "text", {"label": "Name"}),
    ),
    # From 2.11 on plugins keep keys of theirs beside `info`.
    "2.11": (
        {"meta": META, "fields": [{"id": "name", "type": "text", "info": {}, "schema": PLAIN, "strip_extra_white": ""}]},
        [],
        Field("name", "text", {}, {"strip_extra_white": ""}),
    ),
    "2.12": ({"meta": META, "fields": [{"id": "name", "type": "text", "schema": PLAIN}]}, [], Field("name", "text")),
}  # fmt: skip


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def answer(sandbox: Sandbox, action: str, result: object) -> None:
    sandbox.fail(action, 200, body={"success": True, "result": result})


@pytest.mark.parametrize("version", SHAPES)
def test_a_table_is_understood_as_each_version_tells_of_it(sandbox: Sandbox, version: str) -> None:
    info, shown, field = SHAPES[version]
    answer(sandbox, "datastore_info", info)
    answer(sandbox, "datastore_search", {"fields": shown, "total": 2})

    table = Ckan(sandbox.url, sandbox.token).table(RESOURCE)

    aliases = () if version == "2.9" else ("a",)
    assert table == Existing((field,), aliases=aliases)


@pytest.mark.parametrize(("said", "understood"), [(True, True), (False, False), ("True", True), ("False", False), (None, None)])
def test_whether_a_resource_has_a_table_is_understood_in_each_spelling(
    sandbox: Sandbox, said: object, understood: bool | None
) -> None:
    resource = {"id": RESOURCE, "package_id": "p", "url": "http://x/a.csv", "datastore_active": said}
    answer(sandbox, "resource_show", resource if said is not None else {**resource, "datastore_active": None})

    assert Ckan(sandbox.url, sandbox.token).resource(RESOURCE).datastore_active is understood


@pytest.mark.parametrize(
    "error",
    [
        {"__type": "Validation Error", "data": "invalid input syntax", "info": {"orig": ["invalid input syntax"]}},
        {"__type": "Validation Error", "records": ["invalid input syntax"]},
        {"__type": "Validation Error", "records": ["invalid input syntax"], "records_row": 3},
    ],
    ids=["2.9", "2.10", "2.11"],
)
def test_a_refusal_is_told_in_ckans_words_whichever_its_shape(sandbox: Sandbox, error: dict[str, Any]) -> None:
    sandbox.fail("datastore_upsert", 409, body={"success": False, "error": error})

    with pytest.raises(Refused, match="invalid input syntax") as caught:
        Ckan(sandbox.url, sandbox.token).call("datastore_upsert", {"resource_id": RESOURCE, "records": [{}]})
    assert "records_row" not in caught.value.message
