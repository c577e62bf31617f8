"""What a column of each type takes, keeps and refuses; the words are PostgreSQL's."""

from typing import Any

import pytest

from tests.contract.target import Target

TYPES = [
    ("int", "int"), ("big", "bigint"), ("num", "numeric"), ("money", "numeric(12,2)"), ("flt", "float"), ("ok", "bool"),
    ("txt", "text"), ("ts", "timestamp"), ("tz", "timestamptz"), ("day", "date"), ("tm", "time"), ("js", "json"),
    ("arr", "text[]"),
]  # fmt: skip


@pytest.fixture(scope="module")
def table(ckan: Target) -> str:
    """A table with a column of each type; tests add rows and look at their own."""
    return ckan.table(TYPES)


KEPT = [
    ("int", "12", 12), ("int", " 7 ", 7), ("int", 1.5, 2), ("int", "", None),
    ("big", 9007199254740993, 9007199254740993), ("big", "-9223372036854775808", -9223372036854775808),
    ("num", "1.50", 1.5), ("num", "1e3", 1000), ("num", " 12 ", 12), ("num", ".5", 0.5), ("num", "5.", 5),
    ("num", "+3", 3), ("num", "-0", 0), ("num", "nan", "NaN"), ("num", "Infinity", "Infinity"), ("num", 0.1, 0.1),
    ("num", "", None), ("num", "007", 7), ("num", 12345678901234567890123, 12345678901234567890123),
    ("money", "1.005", 1.01), ("money", "-2", -2),
    ("flt", "1.5", 1.5), ("flt", "1e10", 1e10), ("flt", "NaN", "NaN"),
    ("ok", True, True), ("ok", "t", True), ("ok", "No", False), ("ok", "0", False), ("ok", "", None),
    ("txt", "", ""), ("txt", 5, "5"), ("txt", True, "true"), ("txt", 1.5, "1.5"), ("txt", [1, 2], "{1,2}"),
    ("txt", "é\t\r\n\"',\\", "é\t\r\n\"',\\"),
    ("ts", "2021-04-03", "2021-04-03T00:00:00.000"), ("ts", "2021-04-03T12:54:40", "2021-04-03T12:54:40.000"),
    ("ts", "2021-04-03 12:54:40.123456", "2021-04-03T12:54:40.123"), ("ts", "2021-01-01T00:00:00Z", "2021-01-01T00:00:00.000"),
    ("ts", "2021-01-01T10:00:00+05:00", "2021-01-01T10:00:00.000"), ("ts", "04/03/2021 12:54:40 PM", "2021-04-03T12:54:40.000"),
    ("ts", "20210403", "2021-04-03T00:00:00.000"), ("ts", "3 Apr 2021", "2021-04-03T00:00:00.000"),
    ("ts", "April 3, 2021", "2021-04-03T00:00:00.000"), ("ts", "2021-04-03 24:00:00", "2021-04-04T00:00:00.000"),
    ("ts", "2021/4/3 1:02", "2021-04-03T01:02:00.000"), ("ts", "", None), ("ts", "4.3.99", "1999-04-03T00:00:00.000"),
    ("ts", "2021-04-03 12:54 AM", "2021-04-03T00:54:00.000"), ("ts", "2021.04.03", "2021-04-03T00:00:00.000"),
    ("ts", "20210403T125440", "2021-04-03T12:54:40.000"), ("ts", "Sat, 03 Apr 2021", "2021-04-03T00:00:00.000"),
    ("ts", "2021-04-03 03:04:05 EST", "2021-04-03T03:04:05.000"), ("ts", "2021-093", "2021-04-03T00:00:00.000"),
    ("tz", "2021-04-03T12:54:40.1234567Z", "2021-04-03T12:54:40.123457+00:00"), ("day", "2021-04-03 24:00", "2021-04-03"),
    ("tm", "1:2", "01:02:00"), ("tm", "2021", "20:21:00"), ("txt", [True, None], "{t,NULL}"),
    ("tz", "2021-01-01T00:00:00+02:00", "2020-12-31T22:00:00+00:00"), ("day", "2021-01-02", "2021-01-02"),
    ("day", "2021-01-02 10:00", "2021-01-02"), ("tm", "10:11", "10:11:00"), ("tm", "1:02:03 PM", "13:02:03"),
    ("js", {"k": [1, None]}, {"k": [1, None]}), ("js", "str", "str"), ("js", 5, 5), ("arr", ["p", "q"], ["p", "q"]),
    ("arr", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("column", "sent", "read"), KEPT, ids=lambda value: repr(value)[:30])
def test_a_value_is_kept(ckan: Target, table: str, column: str, sent: object, read: object) -> None:
    answer = ckan.insert(table, [{column: sent}])

    assert answer.status_code == 200, answer.text
    row = ckan.rows(table, sort="_id desc", limit=1, include_total=False)[0]
    assert row[column] == read
    assert type(row[column]) is type(read) or isinstance(read, float | int)


REFUSED = [
    ("int", "x", 'invalid input syntax for type integer: "x"'),
    ("int", "1.5", 'invalid input syntax for type integer: "1.5"'),
    ("int", "99999999999", 'value "99999999999" is out of range for type integer'),
    ("int", 99999999999, "integer out of range"),
    ("int", True, 'column "int" is of type integer but expression is of type boolean'),
    ("big", 99999999999999999999, "bigint out of range"),
    ("big", "99999999999999999999", 'value "99999999999999999999" is out of range for type bigint'),
    ("num", "x", 'invalid input syntax for type numeric: "x"'),
    ("num", "1,5", 'invalid input syntax for type numeric: "1,5"'),
    ("num", "1e", 'invalid input syntax for type numeric: "1e"'),
    ("num", "0x10", 'invalid input syntax for type numeric: "0x10"'),
    ("num", "1_000", 'invalid input syntax for type numeric: "1_000"'),
    ("num", "1e200000", "value overflows numeric format"),
    ("num", True, 'column "num" is of type numeric but expression is of type boolean'),
    ("num", [1], 'column "num" is of type numeric but expression is of type integer[]'),
    ("num", {"x": 1}, "can't adapt type 'dict'"),
    ("txt", {"x": 1}, "can't adapt type 'dict'"),
    ("money", "99999999999999", "numeric field overflow"),
    ("money", "Infinity", "numeric field overflow"),
    ("num", "١", 'invalid input syntax for type numeric: "١"'),
    ("num", [], 'invalid input syntax for type numeric: "{}"'),
    ("num", "x\ny", 'invalid input syntax for type numeric: "x'),
    ("flt", "x", 'invalid input syntax for type double precision: "x"'),
    ("flt", "1e400", '"1e400" is out of range for type double precision'),
    ("ok", "maybe", 'invalid input syntax for type boolean: "maybe"'),
    ("ok", 1, 'column "ok" is of type boolean but expression is of type integer'),
    ("ts", "x", 'invalid input syntax for type timestamp: "x"'),
    ("ts", "2021-13-01", 'date/time field value out of range: "2021-13-01"'),
    ("ts", "31/12/2020", 'date/time field value out of range: "31/12/2020"'),
    ("ts", "25:00", 'date/time field value out of range: "25:00"'),
    ("ts", "10:00", 'invalid input syntax for type timestamp: "10:00"'),
    ("ts", "1", 'invalid input syntax for type timestamp: "1"'),
    ("ts", "1609459200", 'date/time field value out of range: "1609459200"'),
    ("ts", "2021-01-02 03:04:05,5", 'invalid input syntax for type timestamp: "2021-01-02 03:04:05,5"'),
    ("tm", "2021-01-02T03:04", 'invalid input syntax for type time: "2021-01-02T03:04"'),
    ("ts", "2021", 'invalid input syntax for type timestamp: "2021"'),
    ("ts", "2021-01", 'invalid input syntax for type timestamp: "2021-01"'),
    ("ts", 5, 'column "ts" is of type timestamp without time zone but expression is of type integer'),
    ("tz", "x", 'invalid input syntax for type timestamp with time zone: "x"'),
    ("day", "2021-02-30", 'date/time field value out of range: "2021-02-30"'),
    ("day", "x", 'invalid input syntax for type date: "x"'),
    ("tm", "x", 'invalid input syntax for type time: "x"'),
    ("tm", "25:00", 'date/time field value out of range: "25:00"'),
    ("arr", "notarray", 'malformed array literal: "notarray"'),
]


@pytest.mark.parametrize(("column", "sent", "message"), REFUSED, ids=lambda value: repr(value)[:30])
def test_a_value_is_refused(ckan: Target, table: str, column: str, sent: object, message: str) -> None:
    answer = ckan.insert(table, [{column: sent}])

    assert answer.status_code == 409
    assert answer.json()["error"] == {"records": [message], "records_row": 0, "__type": "Validation Error"}


@pytest.mark.parametrize("text", ["x\0y", "\ud800"], ids=["NUL", "lone surrogate"])
def test_text_postgresql_cannot_hold_breaks_ckan(ckan: Target, table: str, text: str) -> None:
    answer = ckan.insert(table, [{"txt": text}])

    error = {"__type": "Internal Server Error", "message": "Internal Server Error"}
    assert (answer.status_code, answer.json()["error"]) == (500, error)


def test_numbers_come_back_with_every_digit_they_were_sent_with(ckan: Target, table: str) -> None:
    ckan.insert(table, [{"num": "0.10000000000000000000000001"}])

    answer = ckan.post("datastore_search", {"resource_id": table, "sort": "_id desc", "limit": 1, "fields": ["num"]})

    assert '"num":0.10000000000000000000000001' in answer.text.replace(" ", "")


def test_every_column_takes_null(ckan: Target, table: str) -> None:
    nothing: dict[str, Any] = {name: None for name, _kind in TYPES}

    assert ckan.insert(table, [nothing]).status_code == 200

    row = ckan.rows(table, sort="_id desc", limit=1)[0]
    assert {name: row[name] for name in nothing} == nothing
