"""Making, changing, describing and dropping tables."""

from typing import Any

import pytest

from tests.contract.target import Target

READ_ONLY = (
    "Cannot edit read-only resource because changes made may be lost. Use a resource created for editing e.g. with"
    ' datastore_create or use "force=True" to ignore this warning.'
)


def test_without_a_table_there_is_nothing_to_search(ckan: Target) -> None:
    resource_id = ckan.resource()

    message = f'Not found: Resource "{resource_id}" was not found.'
    error = {"__type": "Not Found Error", "message": message}
    for action in ("datastore_search", "datastore_delete"):
        assert ckan.refused(action, resource_id=resource_id, **({"force": True} if "delete" in action else {})) == (
            404,
            error,
        )
    assert ckan.refused("datastore_info", resource_id=resource_id)[1]["message"].startswith("Not found: Resource/Alias")


@pytest.mark.parametrize("action", ["datastore_create", "datastore_upsert", "datastore_delete"])
def test_a_resource_of_a_file_is_written_with_force_only(ckan: Target, action: str) -> None:
    resource_id = ckan.table([("a", "text")])

    assert ckan.refused(action, resource_id=resource_id) == (
        409,
        {"read-only": [READ_ONLY], "__type": "Validation Error"},
    )


def test_a_resource_made_for_the_datastore_needs_no_force(ckan: Target) -> None:
    resource_id = ckan.resource(url_type="datastore")

    ckan.call("datastore_create", resource_id=resource_id, fields=[{"id": "a", "type": "text"}])

    assert ckan.columns(resource_id) == [("_id", "int"), ("a", "text")]


def test_create_answers_with_the_fields_and_no_records(ckan: Target) -> None:
    result = ckan.create(ckan.resource(), [("a", "int")], records=[{"a": 1}], calculate_record_count=True)

    assert result["fields"] == [{"id": "a", "type": "int"}]
    assert (result["method"], result["calculate_record_count"]) == ("insert", True)
    assert "records" not in result


def test_the_first_create_marks_the_resource_active_and_a_drop_unmarks_it(ckan: Target) -> None:
    resource_id = ckan.table([("a", "text")])
    assert ckan.call("resource_show", id=resource_id)["datastore_active"] is True

    ckan.call("datastore_delete", resource_id=resource_id, force=True)

    assert ckan.call("resource_show", id=resource_id)["datastore_active"] is False


def test_types_are_told_by_postgresqls_short_names(ckan: Target) -> None:
    asked = ["text", "int", "bigint", "numeric", "numeric(12,2)", "float", "bool", "date", "time", "timestamp"]
    asked += ["timestamptz", "json", "text[]", "smallint", "double precision", "integer"]
    resource_id = ckan.table([(f"c{number}", kind) for number, kind in enumerate(asked)])

    told = [kind for _name, kind in ckan.columns(resource_id)[1:]]

    assert told == [
        "text", "int4", "int8", "numeric", "numeric", "float8", "bool", "date", "time", "timestamp",
        "timestamptz", "json", "_text", "int2", "float8", "int4",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["_a", 'a"b', " a", "a ", "a\tb", "a\u200bb", "a\nb"])
def test_a_field_name_ckan_cannot_use_is_refused(ckan: Target, name: str) -> None:
    fields = [{"id": "fine", "type": "text"}, {"id": name, "type": "text"}]

    status, error = ckan.refused("datastore_create", resource_id=ckan.resource(), force=True, fields=fields)

    assert status == 409
    assert error["fields"][-1] == {"id": [f'"{name}" is not a valid field name']}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([{"id": "a", "type": "text"}] * 2, {"field": ["Duplicate column names are not supported"]}),
        (
            [{"id": "x" * 64, "type": "text"}],
            {"fields": [f'Column heading "{"x" * 64}" exceeds limit of 63 characters.']},
        ),
        ([{"id": "a", "type": "nope"}], {"fields": ['"nope" is not a valid field type']}),
        ([{"id": "a"}], {"fields": ['"a" type not guessable']}),
    ],
)
def test_fields_that_make_no_table_are_refused(ckan: Target, fields: list[Any], error: dict[str, Any]) -> None:
    told = ckan.refused("datastore_create", resource_id=ckan.resource(), force=True, fields=fields)

    assert told == (409, {**error, "__type": "Validation Error"})


def test_an_empty_field_name_counts_as_missing(ckan: Target) -> None:
    fields = [{"id": "", "type": "text"}]

    status, error = ckan.refused("datastore_create", resource_id=ckan.resource(), force=True, fields=fields)

    assert (status, error["fields"]) == (409, [{"id": ["Missing value"]}])


def test_a_name_over_63_bytes_is_cut_without_a_word(ckan: Target) -> None:
    resource_id = ckan.table([("я" * 40, "text")])

    assert ckan.columns(resource_id)[1] == ("я" * 31, "text")
    assert ckan.insert(resource_id, [{"я" * 40: "x"}]).status_code == 409


def test_names_differ_by_case(ckan: Target) -> None:
    resource_id = ckan.table([("a", "text"), ("A", "text")], [{"a": "1", "A": "2"}])

    assert ckan.rows(resource_id) == [{"_id": 1, "a": "1", "A": "2"}]


def test_create_on_a_table_appends_columns_and_keeps_old_types(ckan: Target) -> None:
    resource_id = ckan.table([("a", "text")], [{"a": "1"}])

    ckan.create(resource_id, [("a", "numeric"), ("b", "int")], records=[{"a": "x", "b": 2}])

    assert ckan.columns(resource_id)[1:] == [("a", "text"), ("b", "int4")]
    assert ckan.rows(resource_id) == [{"_id": 1, "a": "1", "b": None}, {"_id": 2, "a": "x", "b": 2}]


def test_delete_fields_drops_the_columns_not_named(ckan: Target) -> None:
    resource_id = ckan.table([("a", "text"), ("b", "text")])

    ckan.create(resource_id, [("b", "text")], delete_fields=True)

    assert ckan.columns(resource_id)[1:] == [("b", "text")]


def test_types_are_guessed_from_the_first_record(ckan: Target) -> None:
    record = {"x": 1, "y": "2020-01-01", "z": "t", "w": "1.5", "v": 1.5, "u": [1]}
    resource_id = ckan.resource()

    ckan.call("datastore_create", resource_id=resource_id, force=True, records=[record])

    kinds = ["int4", "timestamp", "text", "numeric", "float8", "json"]
    assert ckan.columns(resource_id)[1:] == list(zip("xyzwvu", kinds, strict=True))


def test_records_as_csv_are_refused(ckan: Target) -> None:
    fields = [{"id": "a", "type": "text"}]

    status, error = ckan.refused("datastore_create", resource_id=ckan.resource(), force=True, fields=fields, records="a\n1\n")

    assert (status, error["records"]) == (409, ["The first row is not a json object"])


def test_the_data_dictionary_is_kept_per_field(ckan: Target) -> None:
    resource_id = ckan.resource()
    info = {"label": "Größe", "notes": "in cm", "type_override": "numeric"}
    ckan.call("datastore_create", resource_id=resource_id, force=True, fields=[{"id": "a", "type": "int", "info": info}])

    fields = ckan.call("datastore_info", resource_id=resource_id)["fields"]

    assert fields[0]["info"] == info
    assert ckan.call("datastore_search", resource_id=resource_id)["fields"][1]["info"] == info


def test_a_later_create_replaces_the_dictionary_it_names(ckan: Target) -> None:
    resource_id = ckan.table([("a", "int"), ("b", "int")])
    for label in ("old", "new"):
        fields = [{"id": "a", "type": "int", "info": {"label": label}}]
        ckan.call("datastore_create", resource_id=resource_id, force=True, fields=fields)

    told = ckan.call("datastore_info", id=resource_id, include_meta=False, include_fields_schema=False)

    assert told == {"fields": [{"id": "a", "type": "int4", "info": {"label": "new"}}, {"id": "b", "type": "int4"}]}


def test_info_describes_the_table_its_indexes_and_its_aliases(ckan: Target) -> None:
    resource_id = ckan.resource()
    alias = f"alias-{resource_id}"
    fields = [("a", "int"), ("b", "text"), ("c", "json")]
    ckan.create(resource_id, fields, primary_key=["a"], indexes=["b"], aliases=[alias], records=[{"a": 1}])

    told = ckan.call("datastore_info", id=alias)

    meta = {name: told["meta"][name] for name in ("id", "count", "table_type", "aliases")}
    assert meta == {"id": resource_id, "count": 1, "table_type": "BASE TABLE", "aliases": [alias]}
    assert [field["schema"]["is_index"] for field in told["fields"]] == [True, True, False]
    assert [field["type"] for field in told["fields"]] == ["int4", "text", "nested"]
    assert [field["schema"]["native_type"] for field in told["fields"]] == ["integer", "text", "nested"]


def test_an_alias_reads_the_table(ckan: Target) -> None:
    resource_id = ckan.resource()
    ckan.create(resource_id, [("a", "int")], aliases=f"x-{resource_id}", records=[{"a": 1}])

    assert ckan.rows(f"x-{resource_id}") == [{"_id": 1, "a": 1}]


@pytest.mark.parametrize("alias", ["_x", "a%b"])
def test_an_alias_that_is_no_table_name_is_refused(ckan: Target, alias: str) -> None:
    status, error = ckan.refused("datastore_create", resource_id=ckan.resource(), force=True, aliases=[alias])

    assert (status, error["alias"]) == (409, [f'"{alias}" is not a valid alias name'])


@pytest.mark.parametrize(
    ("how", "told"), [({"primary_key": ["zz"]}, "['zz']"), ({"indexes": ["zz"]}, "zz")], ids=["key", "index"]
)
def test_a_key_or_index_over_no_column_is_refused(ckan: Target, how: dict[str, Any], told: str) -> None:
    resource_id = ckan.table([("a", "int")])

    status, error = ckan.refused("datastore_create", resource_id=resource_id, force=True, **how)

    assert (status, error["index"]) == (409, [f'The field "{told}" is not a valid column name.'])


def test_create_wants_to_know_the_resource(ckan: Target) -> None:
    fields = [{"id": "a", "type": "text"}]

    assert ckan.refused("datastore_create", fields=fields)[1]["resource_id"] == ["resource_id or resource required"]
    assert ckan.refused("datastore_create", resource_id="nope", force=True)[1]["resource_id"] == ["Resource not found: nope"]


def test_a_private_table_is_read_with_the_token_only(ckan: Target) -> None:
    resource = ckan.upload("a.txt", b"x", private=True)
    ckan.create(resource["id"], [("a", "int")])

    answer = ckan.post("datastore_search", {"resource_id": resource["id"]}, token="")

    right = f"perform resource_show on resource {resource['id']}"
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == f"Access denied: User  not authorized to {right}"
    assert ckan.rows(resource["id"]) == []


def test_a_new_resource_can_be_made_along_with_its_table(ckan: Target) -> None:
    fields = [{"id": "a", "type": "text"}]
    result = ckan.call("datastore_create", resource={"package_id": ckan.dataset()}, fields=fields, records=[{"a": "1"}])

    assert ckan.call("resource_show", id=result["resource_id"])["url_type"] == "datastore"
    assert ckan.rows(result["resource_id"]) == [{"_id": 1, "a": "1"}]
