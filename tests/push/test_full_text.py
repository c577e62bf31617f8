"""`_full_text` must be, bit for bit, what CKAN's trigger would have made of the row."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumer.push.casts import output
from consumer.push.layouts import Layout
from consumer.push.load import Target
from consumer.push.load_copy import CopyLoader
from consumer.push.printed import Form
from consumer.report import Report, logging_outlet
from tests.push.datastore_database import Datastore, MadeTable, number_column, text_column

#: What a text parser may stumble over.
NASTY = [
    "It's \"quoted\"\n\nover\tlines\r\n", "\\.", "\\N", "a\\b\\u0041", "https://user@example.org/a/b?c=d&e=f#g",
    "<b>bold</b> &amp; é", "12.50 -3e5 v1.2.3 file/path.txt", "the and of", "naïve café ﬁ ß ſ", "日本語 العربية ไทย",
    "a-b-c-d foo_bar", "  spaced   ", "x" * 3000, "\u200b\ufeff\u2028", "'':1A", "😀 👩\u200d👩\u200d👧", "null",
    "2020-01-01T00:00:00",
]  # fmt: skip

texts = st.one_of(st.none(), st.sampled_from(NASTY), st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
numbers = st.one_of(st.none(), st.sampled_from(["0", "-1", "+5", "1e5", ".5", "5.", "1.50", "007", "-0", "1e-9"]))
days = st.one_of(st.none(), st.sampled_from(["2020-01-01", "0033-12-31", "2024-02-29 23:59:59.120", "1999-01-01T5:07"]))
scalars = st.none() | st.booleans() | st.integers() | st.sampled_from(NASTY)
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "_b", "c d"]), inner))
jsons = st.one_of(st.none(), trees.map(json.dumps))
bits = st.sampled_from([None, "true", "f", "YES", "n"])
times = st.sampled_from([None, "5:07", "23:59:59.5"])

COLUMNS = (
    text_column(0, "first"),
    number_column(1, "n"),
    text_column(2, "at", rich="timestamp", ckan="timestamp"),
    text_column(3, "tree", rich="json", ckan="json"),
    text_column(4, "bit", rich="boolean", ckan="bool"),
    text_column(5, "time", rich="time", ckan="time"),
    text_column(6, "on", rich="date", ckan="date"),
    number_column(7, "f", rich="decimal", ckan="float8"),
    text_column(8, "forest", rich="json", ckan="jsonb"),
    text_column(9, "zoned", rich="timestamp", ckan="timestamptz"),
    text_column(10, "last"),
)
rows = st.tuples(texts, numbers, days, jsons, bits, times, st.sampled_from([None, "2020-02-03"]), numbers, jsons, days, texts)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
@given(st.lists(rows, min_size=20, max_size=40))
def test_full_text_is_the_triggers_bit_for_bit(ds: Datastore, cells: list[tuple[str | None, ...]]) -> None:
    ds.run('DROP TABLE IF EXISTS "r"')
    load(ds, MadeTable(COLUMNS, [*cells, (None,) * len(COLUMNS)]))
    assert ds.value("SELECT count(*) FROM r") == len(cells) + 1
    assert misindexed(ds) == []


#: Texts that PostgreSQL prints as they are, and by which of them a column is thought to be of that kind; the last ones
#: are printed otherwise.
PLAIN = {
    "numeric": ["0", "-1", "12.50", "-0.5", "0.00", "123456789012345678901234567890", "-0", "-0.0", "+5", "1e5", ".5",
                "5.", "007"],
    "bigint": ["0", "-1", "9223372036854775807", "12", "-0", "+5", "007"],
    "numeric(12,1)": ["0", "-1", "12.50", "0.04"],
    "timestamp": ["2024-02-29", "0033-12-31", "2024-02-29 23:59:59", "2024-02-29T00:00:00.12", "2024-1-1",
                  "2024-02-29 24:00:00", "2024-02-29 1:02:03", "2024-02-29 01:02", "2024-02-29 01:02:60",
                  "2024-02-29 01:02:03.120"],
    "date": ["2024-02-29", "0033-12-31", "2024-1-1"],
    "text": ["1", "2024-02-29", "2024-02-29 01:02:03"],
}  # fmt: skip
RICH = {"numeric": "decimal", "bigint": "integer", "numeric(12,1)": "decimal", "timestamp": "timestamp", "date": "date"}


@st.composite
def plain_columns(draw: st.DrawFn) -> tuple[str, list[str | None]]:
    """A type and texts for it: some of a few ways of writing, so that often all are of one form, and a null token."""
    kind = draw(st.sampled_from(sorted(PLAIN)))
    ways = draw(st.lists(st.sampled_from(PLAIN[kind]), min_size=1, max_size=3))
    return kind, draw(st.lists(st.sampled_from([*ways, *ways, None, "NA"]), min_size=ROWS, max_size=ROWS))


ROWS = 30


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
@given(st.lists(plain_columns(), min_size=6, max_size=12), st.integers(1, ROWS))
def test_texts_that_are_not_cast_for_it_give_the_same_bits(
    ds: Datastore, made: list[tuple[str, list[str | None]]], size: int
) -> None:
    ds.run('DROP TABLE IF EXISTS "r"')
    columns = [
        text_column(place, f"c{place}", rich=RICH.get(kind, "text"), ckan=kind, tokens=("NA",) if kind in RICH else ())
        for place, (kind, _) in enumerate(made)
    ]
    load(ds, MadeTable(tuple(columns), [list(row) for row in zip(*(texts for _, texts in made), strict=True)], size))
    assert misindexed(ds) == []


def test_texts_as_postgresql_prints_them_are_not_cast_for_the_full_text() -> None:
    about = {"tokens": ("NA",), "rich": "decimal", "ckan": "numeric"}
    layout = Layout("ymd", "-", time=True)
    shown = [
        output(text_column(0, "n", **about), "MDY", form=form).printed
        for form in (Form("number"), Form("number", frozenset({"NA"})), Form("number", frozenset({"1e5"})), Form("day"), None)
    ]
    assert shown == ["nullif(c0, 'NA')", "nullif(c0, 'NA')", None, None, None]
    at = [
        output(text_column(0, "at", rich="timestamp", ckan="timestamp", layout=one), "MDY", form=Form("day")).printed
        for one in (layout, replace(layout, offset=True), replace(layout, strptime="%Y-%d-%m"), replace(layout, order="dmy"))
    ]
    assert at == ["(c0 || 'T00:00:00')", None, None, None]


def misindexed(ds: Datastore) -> list[tuple[object, ...]]:
    """Rows whose full text is another than CKAN's trigger makes."""
    differing = "SELECT r._id, r._full_text, c._full_text FROM r JOIN copy c USING (_id)"
    # The trigger fills in what is NULL: let it do the same rows again.
    ds.run("DROP TABLE IF EXISTS copy; CREATE TABLE copy AS SELECT * FROM r")
    ds.run("SET timezone = 'UTC'; UPDATE r SET _full_text = NULL")
    return ds.rows(f"{differing} WHERE r._full_text::text IS DISTINCT FROM c._full_text::text")


def test_a_table_wider_than_a_function_call_has_full_text(ds: Datastore) -> None:
    columns = tuple(text_column(position, f"column {position}") for position in range(300))
    load(ds, MadeTable(columns, [[f"word{position}" for position in range(300)]]))
    assert ds.value("SELECT length(_full_text) FROM r") == 300


def test_a_row_with_more_text_than_a_tsvector_holds_is_loaded_and_its_beginning_found(ds: Datastore) -> None:
    long = "beginning " + " ".join(f"word{number}" for number in range(200_000))
    load(ds, MadeTable((text_column(0, "text"),), [["short"], [long]]))
    assert ds.rows("SELECT _id, length(text) FROM r WHERE _full_text @@ to_tsquery('beginning')") == [(2, len(long))]
    assert ds.value("SELECT _full_text::text FROM r WHERE _id = 1") == "'short':1"


@pytest.mark.parametrize("configuration", ["simple", "german"])
def test_the_databases_language_decides(ds: Datastore, configuration: str) -> None:
    name = ds.name
    ds.run(f"ALTER DATABASE {name} SET default_text_search_config = '{configuration}'")
    try:
        load(ds, MadeTable((text_column(0, "text"),), [["die Häuser of houses"]]))
        ds.run("CREATE TABLE copy AS SELECT * FROM r; UPDATE r SET _full_text = NULL")
        assert ds.value("SELECT r._full_text::text = copy._full_text::text FROM r, copy")
    finally:
        ds.run(f"ALTER DATABASE {name} RESET default_text_search_config")


def load(ds: Datastore, table: MadeTable) -> None:
    CopyLoader(ds.url, None).load(table, Target(resource_id="r"), Report(logging_outlet))
