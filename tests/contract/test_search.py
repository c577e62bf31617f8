"""Reading tables with datastore_search."""

from typing import Any

import pytest

from tests.contract.target import Target

ROWS: list[dict[str, object]] = [
    {"a": 3, "t": "x", "n": "10"},
    {"a": 1, "t": "y", "n": "9.5"},
    {"a": None, "t": None, "n": "NaN"},
    {"a": 2, "t": "z", "n": None},
]


@pytest.fixture(scope="module")
def table(ckan: Target) -> str:
    return ckan.table([("a", "int"), ("t", "text"), ("n", "numeric")], ROWS)


def test_limit_zero_tells_fields_and_total(ckan: Target, table: str) -> None:
    told = ckan.call("datastore_search", resource_id=table, limit=0)

    assert (told["records"], told["total"], told["limit"]) == ([], 4, 0)
    assert [field["id"] for field in told["fields"]] == ["_id", "a", "t", "n"]


def test_total_can_be_left_out(ckan: Target, table: str) -> None:
    assert "total" not in ckan.call("datastore_search", resource_id=table, include_total=False)


def test_pages_follow_each_other_by_id(ckan: Target, table: str) -> None:
    pages = [ckan.rows(table, limit=3, offset=offset) for offset in (0, 3, 6)]

    assert [[row["_id"] for row in page] for page in pages] == [[1, 2, 3], [4], []]


def test_a_page_has_100_rows_unless_asked_and_32000_at_most(ckan: Target, table: str) -> None:
    assert ckan.call("datastore_search", resource_id=table)["limit"] == 100
    assert ckan.call("datastore_search", resource_id=table, limit=99999)["limit"] == 32000


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("a", [1, 2, 3, None]),
        ("a desc", [None, 3, 2, 1]),
        ("a desc nulls last", [3, 2, 1, None]),
        (["t desc", "a"], [None, 2, 1, 3]),
        ("n", [1, 3, None, 2]),
        ("n desc, a", [2, None, 3, 1]),
    ],
)
def test_rows_are_sorted_with_null_as_the_largest(ckan: Target, table: str, sort: Any, order: list[Any]) -> None:
    assert [row["a"] for row in ckan.rows(table, sort=sort)] == order


def test_only_the_asked_fields_come_in_the_asked_order(ckan: Target, table: str) -> None:
    told = ckan.call("datastore_search", resource_id=table, fields="t,a", limit=1)

    assert [field["id"] for field in told["fields"]] == ["t", "a"]
    assert told["records"] == [{"t": "x", "a": 3}]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"a": 1}, [1]),
        ({"a": [1, 2]}, [1, 2]),
        ({"t": "x", "a": 3}, [3]),
        ({"n": 10.0}, [3]),
        ({"a": {"gt": 1}}, [3, 2]),
        ({"a": {"gte": 1, "lt": 3}}, [1, 2]),
    ],
)
def test_filters_pick_rows(ckan: Target, table: str, filters: dict[str, Any], found: list[int]) -> None:
    told = ckan.call("datastore_search", resource_id=table, filters=filters)

    assert [row["a"] for row in told["records"]] == found
    assert told["total"] == len(found)


def test_records_come_as_lists_and_as_csv(ckan: Target, table: str) -> None:
    asked = {"resource_id": table, "fields": "a,t", "limit": 2}

    assert ckan.call("datastore_search", records_format="lists", **asked)["records"] == [[3, "x"], [1, "y"]]
    assert ckan.call("datastore_search", records_format="csv", **asked)["records"] == "3,x\n1,y\n"


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"fields": "zz"}, {"fields": ['invalid value "zz"']}),
        ({"sort": "zz"}, {"sort": ['invalid value "zz"']}),
        ({"limit": "x"}, {"limit": ["Invalid integer", "Please enter an integer value"]}),
        ({"junk": 1}, {"__extras": ['invalid value "junk"']}),
        ({"filters": {"zz": 1}}, {"filters": ["Unknown field: zz"]}),
    ],
)
def test_what_is_not_there_cannot_be_asked_for(ckan: Target, table: str, asked: dict[str, Any], error: dict[str, Any]) -> None:
    told = ckan.refused("datastore_search", resource_id=table, **asked)

    assert told == (409, {**error, "__type": "Validation Error"})
