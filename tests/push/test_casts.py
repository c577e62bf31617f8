"""PostgreSQL's casts and convert.py must agree on every cell, whatever a file holds."""

import csv
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumer.push.casts import base_type, date_order, holds, output, plain_type
from consumer.push.convert import convert, converted
from consumer.push.layouts import Layout
from consumer.push.load import Target
from consumer.push.load_copy import CopyLoader
from consumer.push.options import Options
from consumer.push.read import read
from consumer.push.rules import RULES, Rule, layout_of_format
from consumer.push.sql_text import literal
from consumer.push.table import Column, DelimitedText
from consumer.report import Report, logging_outlet
from tests.push.datastore_database import Datastore, text_column

ROWS = 10
#: Offsets move days around the ends of time out of it.
DAYS = st.dates(date(2, 1, 1), date(9998, 12, 31))
OFFSETS = ("", "Z", " Z", "+05", "-0330", " +05:45", "-15:59")


@st.composite
def moments(draw: st.DrawFn, layout: Layout, timed: bool) -> str:
    """A date as *layout* writes it, in any of its ways, with a time of day or not."""
    day = draw(DAYS)
    pad = "02" if draw(st.booleans()) else ""
    month = draw(st.sampled_from(["%b", "%B"])) if layout.month_name else ""
    shown_month = (
        draw(st.sampled_from([str.upper, str.lower, str.title]))(day.strftime(month)) if month else f"{day.month:{pad}}"
    )
    short = layout.month_name and draw(st.booleans())
    year = f"{draw(st.sampled_from([day.year % 100, 68, 69, 70])):02}" if short else f"{day.year:04}"
    parts = {"d": f"{min(day.day, 28):{pad}}", "m": shown_month, "y": year}
    if layout.order == "mdy" and layout.month_name:
        text = f"{parts['m']} {parts['d']}, {parts['y']}"
    else:
        text = layout.separator.join(parts[one] for one in layout.order)
    return text + (draw(clocks()) if timed and draw(st.booleans()) else "")


@st.composite
def clocks(draw: st.DrawFn) -> str:
    time = draw(st.times())
    shown = f":{time.minute:02}" + draw(
        st.sampled_from(["", f":{time.second:02}", f":{time.second:02}.{time.microsecond:06}"[:-2]])
    )
    hour, half = draw(st.sampled_from([(time.hour, ""), (time.hour % 12 or 12, "AM"), (time.hour % 12 or 12, " pm")]))
    return f"{draw(st.sampled_from('T '))}{hour}{shown}{half}{draw(st.sampled_from(OFFSETS))}"


def texts(rule: Rule) -> st.SearchStrategy[str]:
    if rule.layout:
        return moments(rule.layout, rule.layout.time)
    return st.from_regex(rule.anchored, fullmatch=True)


cells = st.sampled_from(RULES).flatmap(
    lambda rule: st.lists(st.one_of(texts(rule), texts(rule), st.sampled_from(["", "NA", "-"])), min_size=ROWS, max_size=ROWS)
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
@given(columns=st.lists(cells, min_size=4, max_size=16), mapping=st.sampled_from(["ckan", "rich"]))
def test_every_cell_becomes_what_the_api_loader_would_send(ds: Datastore, columns: list[list[str]], mapping: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        _write(path, columns)
        table = read(DelimitedText(path), Options.parse({"type_mapping": mapping, "profile": False, "delimiter": ","}))
        CopyLoader(ds.url, None).load(table, Target(resource_id="r"), Report(logging_outlet))
        kinds = table.columns
        sent = [row for batch in table.batches() for row in zip(*convert(batch, kinds).to_pydict().values(), strict=True)]
    loaded = ds.rows(f"SELECT {', '.join(_shown(column) for column in kinds)} FROM r ORDER BY _id")
    assert loaded == [tuple(_value(kind.ckan, cell) for kind, cell in zip(kinds, row, strict=True)) for row in sent]


def _write(path: Path, columns: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filled", *(f"column {number}" for number in range(len(columns)))])
        writer.writerows([f"row {number}", *cells] for number, cells in enumerate(zip(*columns, strict=True)))


def _shown(column: Column) -> str:
    text = column.ckan in ("numeric", "bigint", "boolean", "date", "time", "json")
    return f'"{column.name}"::text' if text else f'"{column.name}"'


def _value(kind: str, cell: str | None) -> object:
    if cell is None or kind not in ("timestamp", "time"):
        return cell
    if kind == "timestamp":
        return datetime.fromisoformat(cell)
    hour, _, rest = cell.partition(":")
    return _plain_time(f"{hour:0>2}:{rest}")


def _plain_time(text: str) -> str:
    text = text if text.count(":") == 2 else f"{text}:00"
    return text.rstrip("0").rstrip(".") if "." in text else text


ZONED = Layout("ymd", "-", time=True, offset=True)
FORMATS = (
    "%Y%m%d",
    "%d.%m.%y",
    "%d %B %Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%y-%b-%d %H:%M:%S.%f",
    "(%d) %m|%Y %%",
    "%Y.%d.%m %H",
)


@pytest.mark.parametrize("date_format", FORMATS)
def test_a_date_format_that_was_given_is_read_as_convert_reads_it(ds: Datastore, date_format: str) -> None:
    moments = [datetime(1969, 2, 3, 4, 5, 6, 70000), datetime(2068, 12, 31, 23, 59, 59), datetime(1999, 1, 1, 12, 0)]
    texts = [one.strftime(date_format) for one in moments]
    column = text_column(0, "day", rich="timestamp", ckan="timestamp", layout=layout_of_format(date_format))
    expected = [datetime.fromisoformat(text) for text in converted(pl.Series(texts), column).to_list()]
    assert [in_postgresql(ds, column, text) for text in texts] == expected


@pytest.mark.parametrize(
    ("about", "cell", "value"),
    [
        ({"rich": "decimal", "ckan": "numeric", "decimal_mark": ",", "grouping": " \u00a0"}, "1\u00a0234 567,5", "1234567.5"),
        ({"rich": "decimal", "ckan": "float8"}, "1e-5", "1e-05"),
        ({"rich": "decimal", "ckan": "numeric(10,2)"}, "12.345", "12.35"),
        ({"rich": "integer", "ckan": "int4", "tokens": ("NA",)}, "NA", None),
        ({"rich": "integer", "ckan": "text", "tokens": ("NA", "it's")}, "it's", None),
        ({"rich": "boolean", "ckan": "bool"}, "Yes", "true"),
        ({"rich": "json", "ckan": "jsonb"}, '{"a" : 1}', '{"a": 1}'),
        ({"rich": "timestamp", "ckan": "timestamptz", "layout": ZONED}, "2024-01-01T05:00+05", "2024-01-01 00:00:00+00"),
    ],
)  # fmt: skip
def test_forced_and_localised_values_are_cast(ds: Datastore, about: dict[str, Any], cell: str, value: str | None) -> None:
    assert in_postgresql(ds, text_column(0, "x", **about), cell, "::text") == value


def in_postgresql(ds: Datastore, column: Column, cell: str, shown: str = "") -> object:
    order = date_order([column])
    with ds.cursor() as cursor:
        cursor.execute(f"SET timezone = 'UTC'; SET datestyle = 'ISO, {order}'")
        cursor.execute(f"SELECT ({output(column, order).expression}){shown} FROM (VALUES ({literal(cell)})) AS staged (c0)")
        return cursor.fetchone()[0]


def test_the_order_of_most_dates_becomes_the_sessions() -> None:
    def column(order: str) -> Column:
        return text_column(0, "day", rich="date", ckan="timestamp", layout=Layout(order, "/"))

    assert date_order([column("dmy"), column("mdy"), column("dmy")]) == "DMY"
    assert date_order([column("dmy"), column("mdy"), column("mdy")]) == "MDY"
    assert "regexp" not in output(column("dmy"), "DMY").expression
    assert "regexp" in output(column("dmy"), "MDY").expression


def test_a_column_holds_only_what_it_can_keep_unchanged() -> None:
    moment = text_column(0, "at", rich="timestamp", ckan="timestamp")
    assert holds("timestamp without time zone", moment)
    assert not holds("date", moment)
    assert holds("text", moment)
    assert not holds("numeric(10,2)", text_column(0, "on", rich="date", ckan="timestamp"))


def test_types_have_one_name_each() -> None:
    assert plain_type("INT8") == "bigint"
    assert base_type("numeric(10, 2)") == "numeric"
    assert base_type("timestamp(3) without time zone") == "timestamp without time zone"
