"""Writing rows: all or nothing, ids that are used up, which row is blamed, and the stored count."""

from typing import Any

import pytest

from tests.contract.target import Target


@pytest.fixture
def numbers(ckan: Target) -> str:
    return ckan.table([("n", "numeric"), ("t", "text")])


def _ids(ckan: Target, resource_id: str) -> list[int]:
    return [row["_id"] for row in ckan.rows(resource_id)]


def test_rows_keep_their_order_in_id(ckan: Target, numbers: str) -> None:
    ckan.insert(numbers, [{"n": number} for number in (5, 3, 9)])

    assert [(row["_id"], row["n"]) for row in ckan.rows(numbers)] == [(1, 5), (2, 3), (3, 9)]


def test_columns_not_sent_are_null(ckan: Target, numbers: str) -> None:
    ckan.insert(numbers, [{"n": 1}, {"t": "x"}, {}])

    assert [(row["n"], row["t"]) for row in ckan.rows(numbers)] == [(1, None), (None, "x"), (None, None)]


def test_one_bad_value_refuses_the_call_and_the_last_row_is_blamed(ckan: Target, numbers: str) -> None:
    answer = ckan.insert(numbers, [{"n": 1}, {"n": "bad"}, {"n": 3}, {"n": 4}])

    error = {"records": ['invalid input syntax for type numeric: "bad"'], "records_row": 3}
    assert (answer.status_code, answer.json()["error"]) == (409, {**error, "__type": "Validation Error"})
    assert ckan.rows(numbers) == []


def test_the_rows_before_a_bad_one_have_used_their_ids_up(ckan: Target, numbers: str) -> None:
    ckan.insert(numbers, [{"n": 1}, {"n": 2}, {"n": "bad"}])

    ckan.insert(numbers, [{"n": 3}])

    assert _ids(ckan, numbers) == [3]


def test_an_unknown_column_is_named_with_its_row_counted_from_one(ckan: Target, numbers: str) -> None:
    answer = ckan.insert(numbers, [{"n": "bad"}, {"n": 1, "nope": 1}])

    assert answer.status_code == 409
    assert answer.json()["error"] == {"records": ['row "2" has extra keys "nope"'], "__type": "Validation Error"}


def test_an_id_cannot_be_inserted(ckan: Target, numbers: str) -> None:
    answer = ckan.insert(numbers, [{"_id": 5, "n": 1}])

    assert answer.json()["error"]["records"] == ['row "1" has extra keys "_id"']


@pytest.mark.parametrize(("records", "row"), [(["x"], 0), ([{"n": 1}, 5], 1), ("n\n1\n", 0)])
def test_a_row_that_is_no_object_is_named(ckan: Target, numbers: str, records: object, row: int) -> None:
    answer = ckan.insert(numbers, records)

    assert answer.status_code == 409
    assert answer.json()["error"]["records"] == [f'row "{row}" is not a json object']


def test_the_answer_to_an_insert_is_short(ckan: Target, numbers: str) -> None:
    result = ckan.insert(numbers, [{"n": 1}]).json()["result"]

    assert result == {"resource_id": numbers, "method": "insert", "calculate_record_count": False}


def test_no_records_is_no_error(ckan: Target, numbers: str) -> None:
    assert ckan.insert(numbers, []).status_code == 200
    assert ckan.call("datastore_upsert", resource_id=numbers, force=True, method="insert")["method"] == "insert"


def test_a_dry_run_checks_and_keeps_nothing(ckan: Target, numbers: str) -> None:
    good = ckan.insert(numbers, [{"n": 1}], dry_run=True)
    bad = ckan.insert(numbers, [{"n": "bad"}], dry_run=True)

    assert (good.status_code, bad.status_code) == (200, 409)
    assert ckan.rows(numbers) == []


def test_an_included_record_comes_back_with_its_id(ckan: Target) -> None:
    resource_id = ckan.table([("b", "int")])

    result = ckan.insert(resource_id, [{"b": "1"}], include_records=True).json()["result"]

    assert result["records"] == [{"_id": 1, "b": 1}]


def test_including_the_records_of_an_insert_of_several_breaks_ckan(ckan: Target) -> None:
    resource_id = ckan.table([("b", "int")])

    assert ckan.insert(resource_id, [{"b": 1}, {"b": 2}], include_records=True).status_code == 500
    assert ckan.rows(resource_id) == []


def test_unknown_methods_and_tables_are_refused(ckan: Target, numbers: str) -> None:
    status, error = ckan.refused("datastore_upsert", resource_id=numbers, force=True, method="zz")
    assert (status, error["method"]) == (409, ["Value must be one of ['upsert', 'insert', 'update']"])

    resource_id = ckan.resource()
    status, error = ckan.refused("datastore_upsert", resource_id=resource_id, force=True, records=[{"n": 1}])
    assert (status, error["message"]) == (404, f'Not found: Resource "{resource_id}" was not found.')
    assert ckan.refused("datastore_upsert", resource_id="nope", force=True)[1]["message"] == "Not found"


@pytest.fixture
def keyed(ckan: Target) -> str:
    """Rows 1 and 2 under the key k."""
    return ckan.table([("k", "int"), ("v", "text")], [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}], primary_key=["k"])


def _upsert(ckan: Target, resource_id: str, method: str, record: dict[str, Any]) -> tuple[int, Any]:
    params = {"resource_id": resource_id, "force": True, "method": method, "records": [record]}
    answer = ckan.post("datastore_upsert", params)
    return answer.status_code, answer.json().get("error")


def test_a_key_that_is_there_cannot_be_inserted_again(ckan: Target, keyed: str) -> None:
    answer = ckan.insert(keyed, [{"k": 3}, {"k": 1}, {"k": 4}])

    error = answer.json()["error"]
    assert (answer.status_code, error["records_row"]) == (409, 2)
    assert error["records"][0].startswith("duplicate key value violates unique constraint")
    assert len(ckan.rows(keyed)) == 2
    ckan.insert(keyed, [{"k": 5}])
    assert _ids(ckan, keyed) == [1, 2, 5]  # 3 and the refused 4 are gone


def test_upsert_changes_what_is_there_and_adds_the_rest(ckan: Target, keyed: str) -> None:
    assert _upsert(ckan, keyed, "upsert", {"k": 1, "v": "new"})[0] == 200
    assert _upsert(ckan, keyed, "upsert", {"k": 9, "v": "added"})[0] == 200

    assert {row["k"]: row["v"] for row in ckan.rows(keyed)} == {1: "new", 2: "b", 9: "added"}


def test_update_needs_the_row(ckan: Target, keyed: str) -> None:
    assert _upsert(ckan, keyed, "update", {"k": 2, "v": "new"})[0] == 200

    status, error = _upsert(ckan, keyed, "update", {"k": 7, "v": "x"})

    assert status == 409 and "not found" in error["key"][0]
    assert {row["k"]: row["v"] for row in ckan.rows(keyed)} == {1: "a", 2: "new"}


def test_rows_are_upserted_by_id_too(ckan: Target, keyed: str) -> None:
    assert _upsert(ckan, keyed, "upsert", {"_id": 1, "k": 8, "v": "z"})[0] == 200

    assert [row["k"] for row in ckan.rows(keyed)] == [8, 2]


def test_upsert_without_a_key_is_refused(ckan: Target, numbers: str, keyed: str) -> None:
    assert _upsert(ckan, numbers, "upsert", {"n": 1})[1]["table"] == ["unique key must be passed for update/upsert"]
    assert _upsert(ckan, keyed, "upsert", {"v": "x"})[1]["key"][0].startswith('fields "k" are missing')
    assert _upsert(ckan, keyed, "upsert", {"k": 1, "q": 1})[1]["fields"] == ['fields "q" do not exist']


def test_rows_are_deleted_by_filter_and_the_table_stays(ckan: Target, keyed: str) -> None:
    ckan.call("datastore_delete", resource_id=keyed, force=True, filters={"k": 1})
    assert [row["k"] for row in ckan.rows(keyed)] == [2]

    ckan.call("datastore_delete", resource_id=keyed, force=True, filters={})
    assert ckan.rows(keyed) == []

    status, error = ckan.refused("datastore_delete", resource_id=keyed, force=True, filters={"zz": 1})
    assert (status, error["filters"]) == (409, ["Unknown field: zz"])


def test_ids_go_on_after_all_rows_are_deleted_and_start_anew_after_a_drop(ckan: Target, numbers: str) -> None:
    ckan.insert(numbers, [{"n": 1}, {"n": 2}])
    ckan.call("datastore_delete", resource_id=numbers, force=True, filters={})
    ckan.insert(numbers, [{"n": 3}])
    assert _ids(ckan, numbers) == [3]

    ckan.call("datastore_delete", resource_id=numbers, force=True)
    ckan.create(numbers, [("n", "int")], records=[{"n": 1}])
    assert _ids(ckan, numbers) == [1]


def _total(ckan: Target, resource_id: str) -> int:
    return int(ckan.call("datastore_search", resource_id=resource_id, limit=0)["total"])


def test_a_search_counts_and_the_count_is_stored(ckan: Target, numbers: str) -> None:
    ckan.insert(numbers, [{"n": 1}])
    assert _total(ckan, numbers) == 1

    ckan.insert(numbers, [{"n": 2}])  # calculate_record_count false: the stored count is dropped

    assert _total(ckan, numbers) == 2


def test_counting_at_the_end_trusts_a_count_that_a_reader_stored_meanwhile(ckan: Target, numbers: str) -> None:
    """Why a loader ends with `false`, or checks: `true` does not count again when a count is stored."""
    ckan.insert(numbers, [{"n": 1}])
    assert _total(ckan, numbers) == 1

    ckan.insert(numbers, [{"n": 2}], calculate_record_count=True)

    assert _total(ckan, numbers) == 1
    assert len(ckan.rows(numbers)) == 2
