"""The table of type rules against the calendar, decimal arithmetic and the conversion that follows."""

import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.push.rules import RULES, rule_of_format
from consumer.push.values import matches
from tests.push.reading import became, refused, types

BY_NAME = {rule.name: rule for rule in RULES}


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_date_is_one_that_the_calendar_has(year: int, month: int, day: int) -> None:
    try:
        datetime.date(year, month, day)
        known = True
    except ValueError:
        known = False
    assert BY_NAME["date ymd-"].fits(f"{year:04d}-{month:02d}-{day:02d}") is known
    assert BY_NAME["date dmy/"].fits(f"{day}/{month}/{year:04d}") is known


@settings(max_examples=40, deadline=None)
@given(st.text("0123456789-+.eE,", max_size=8))
def test_polars_and_python_read_every_rule_alike(text: str) -> None:
    for rule in RULES:
        assert matches(pl.Series([text]), rule)[0] == rule.fits(text), rule.name


@given(st.text("0123456789-+.eE", min_size=1, max_size=8))
def test_what_is_a_decimal_has_an_exact_value(text: str) -> None:
    if BY_NAME["decimal"].fits(text):
        Decimal(text)


@pytest.mark.parametrize("text", ["00", "007", "1_000", "0x1F", "1e", "--1", "1.2.3", "NaN", "inf", "٣", "1e1234", "9" * 39])
def test_is_no_number(text: str) -> None:
    assert not BY_NAME["integer"].fits(text)
    assert not BY_NAME["decimal"].fits(text)


@pytest.mark.parametrize("text", ["25:00", "12:60", "1:2", "12:00:00.1234567", "12", "8:00-9:00"])
def test_is_no_time(text: str) -> None:
    assert not BY_NAME["time"].fits(text)


def file_of(tmp_path: Path, *values: str, name: str = "v") -> Path:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["id;" + name, *(f"{row};{value}" for row, value in enumerate(values))]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "rich", "first"),
    [
        (("+5", "-0"), "integer", "5"),
        (("1e3", ".5", "5."), "decimal", "1000"),
        (("1.234,5", "7"), "decimal", "1234.5"),
        (("1 234 567", "1"), "decimal", "1234567"),
        (("31 Jan 2024", "1 february 2024"), "date", "2024-01-31T00:00:00"),
        (("31-Jan-69", "31-Jan-68"), "date", "1969-01-31T00:00:00"),
        (("Jan 31, 2024",), "date", "2024-01-31T00:00:00"),
        (("2024-01-31", "2024-01-31 10:00"), "timestamp", "2024-01-31T00:00:00"),
        (("1/31/2024 1:05 PM",), "timestamp", "2024-01-31T13:05:00"),
        (("2024-01-01T00:30:00+01:00",), "timestamp", "2023-12-31T23:30:00"),
        (("2024-01-01T00:30:00.25Z",), "timestamp", "2024-01-01T00:30:00.250000"),
        (("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00Z"), "timestamp", "9999-12-31T23:59:59"),
        (("9999-12-31T23:59:59+02:00", "0001-01-01T00:00:00-02:00"), "timestamp", "9999-12-31T21:59:59"),
        (("9999-12-31T23:59:59-05:00",), "text", "9999-12-31T23:59:59-05:00"),
        (("01/01/0001 01:00 AM +05:00",), "text", "01/01/0001 01:00 AM +05:00"),
        (("Yes", "NO"), "boolean", "Yes"),
        (("true", "yes"), "text", "true"),
        (("true", "NA"), "text", "true"),
        (("NA", "-"), "text", "NA"),
        (("0", "1"), "integer", "0"),
        (("1,234",), "text", "1,234"),
        (("12.5", "12,5"), "text", "12.5"),
        (("2023-02-29",), "text", "2023-02-29"),
        (("2024-01-31", "2024/01/31"), "text", "2024-01-31"),
    ],
)
def test_column_becomes(tmp_path: Path, values: tuple[str, ...], rich: str, first: str) -> None:
    facts = became(file_of(tmp_path, *values), delimiter=";")
    assert types(facts)["v"] == rich
    assert facts["data"][0][1] == first


def test_text_column_says_which_value_was_in_the_way(tmp_path: Path) -> None:
    facts = became(file_of(tmp_path, *map(str, range(500)), "call us"))
    assert facts["columns"][1]["why_text"] == "500 of 501 values are integers; row 502 is 'call us'"


def test_unproven_dates_follow_the_dates_that_prove(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n25/12/2023,01/02/2024\n")
    assert became(path)["data"][0] == ["2023-12-25T00:00:00", "2024-02-01T00:00:00"]


@pytest.mark.parametrize(
    ("row", "rich", "value"),
    [
        ('"1,234.5","1,234"', "decimal", "1234"),
        ('"1 234,5","1 234"', "decimal", "1234"),
        ('"12,5","1,234"', "text", "1,234"),
        ('"1.5","1,234"', "text", "1,234"),
    ],
)
def test_unproven_thousands_follow_the_numbers_that_prove(tmp_path: Path, row: str, rich: str, value: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n{row}\n")
    facts = became(path)
    assert (types(facts)["b"], facts["data"][0][1]) == (rich, value)


def test_conventions_that_contradict_each_other_prove_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('a,b,c\n"1,234.5","1.234,5","1,234"\n')
    assert types(became(path))["c"] == "text"


def test_date_format_wins_over_numbers(tmp_path: Path) -> None:
    facts = became(file_of(tmp_path, "20240131", "20240229"), date_format="%Y%m%d")
    assert types(facts) == {"id": "integer", "v": "date"}
    assert facts["data"][0][1] == "2024-01-31T00:00:00"


def test_date_format_knows_the_calendar() -> None:
    rule = rule_of_format("%d.%m.%y %H:%M")
    assert rule.fits("29.02.24 7:00")
    assert not rule.fits("29.02.23 7:00")


@pytest.mark.parametrize("date_format", ["%d.%m", "%d.%m.%Y %Y", "%H:%M %H %d.%m.%Y", "%d.%m.%Y %", "%d.%m.%Q"])
def test_a_date_format_that_names_a_part_twice_or_not_at_all_is_none(date_format: str) -> None:
    with pytest.raises(ValueError, match="nothing twice"):
        rule_of_format(date_format)


@pytest.mark.parametrize("rows", [17, 19, 60, 128, 129, 256, 257])
def test_what_half_of_the_first_values_are_decides_no_type(tmp_path: Path, rows: int) -> None:
    values = [f"{number}" if number % 2 else f"2024-01-{number % 27 + 1:02d}" for number in range(rows)]
    facts = became(file_of(tmp_path, *values))
    assert types(facts)["v"] == "text"
    assert [row[1] for row in facts["data"]] == values


def test_forced_type_rejects_the_rows_that_do_not_fit(tmp_path: Path) -> None:
    path = file_of(tmp_path, "31/12/2024", "soon", "01/02/2024", "NA")
    facts = became(path, types={"v": "timestamp"}, max_rejects=1)
    assert (facts["rows"], facts["rejected"]) == (3, 1)
    assert [(one["row"], one["column"]) for one in facts["rejects"]] == [(3, "v")]
    assert [row[1] for row in facts["data"]] == ["2024-12-31T00:00:00", "2024-02-01T00:00:00", None]


def test_forced_type_of_no_column_is_an_error(tmp_path: Path) -> None:
    assert refused(file_of(tmp_path, "1"), types={"w": "text"})[0] == "bad-option"


def test_rich_mapping_says_bigint_only_where_it_fits(tmp_path: Path) -> None:
    small, large = file_of(tmp_path, "9223372036854775807"), tmp_path / "y.csv"
    large.write_text("id;v\n1;9223372036854775808\n")
    assert became(small, type_mapping="rich")["columns"][1]["ckan"] == "bigint"
    assert became(large, type_mapping="rich")["columns"][1]["ckan"] == "numeric"
