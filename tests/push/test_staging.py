"""Texts on their way into a staging table: every byte arrives, or nothing does."""

import time
from collections.abc import Iterator

import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumer.push.printed import Form
from consumer.push.staging import is_leftover, new_name, stage
from consumer.push.table import Batch
from tests.push.datastore_database import Datastore, MadeTable, text_column

TRAPS = [
    "\\.",
    "\\N",
    "NULL",
    '"',
    '""',
    "\\",
    "a\tb",
    "a\r\nb",
    "\r",
    "\n\\.\n",
    ",",
    "'",
    " lead",
    "tail ",
    "é😀\u2028",
    "\x01\x7f",
]
cells = st.one_of(st.none(), st.sampled_from(TRAPS), st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)))
def test_every_text_arrives_exactly(ds: Datastore, rows: list[list[str | None]]) -> None:
    assert staged(ds, rows) == [(number, *row) for number, row in enumerate(rows, 1)]


def test_a_column_of_traps_alone_arrives(ds: Datastore) -> None:
    rows: list[list[str | None]] = [[trap] for trap in (*TRAPS, None)]
    assert staged(ds, rows, size=2) == [(number, *row) for number, row in enumerate(rows, 1)]


def test_a_cell_larger_than_a_block_arrives(ds: Datastore) -> None:
    long = 'x"\n' * 3_000_000
    assert staged(ds, [["a"], [long], ["b"]]) == [(1, "a"), (2, long), (3, "b")]


def test_the_reader_hears_of_each_batch_and_its_error_ends_the_copy(ds: Datastore) -> None:
    heard: list[int] = []
    table = table_of([["a"], ["b"], ["c"]], size=2, error=ZeroDivisionError("in the file"))
    connection = psycopg2.connect(ds.url)
    with pytest.raises(ZeroDivisionError, match="in the file"):
        stage(connection, table.batches(), 1, heard.append)
    assert heard == [2, 3]
    connection.rollback()
    connection.close()
    assert ds.leftovers() == []


def test_a_server_that_breaks_off_ends_the_reading(ds: Datastore) -> None:
    read = []
    connection = psycopg2.connect(ds.url)

    def batches() -> Iterator[Batch]:
        for number in range(10_000):
            read.append(number)
            yield Batch(pa.record_batch([pa.array(["text"] * 1000)], names=["c0"]), range(1000))
            if number == 5:
                ds.run(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
            time.sleep(0.001)

    with pytest.raises((psycopg2.Error, SystemError)):
        stage(connection, batches(), 1, lambda rows: None)
    assert len(read) < 10_000
    connection.close()


def test_columns_of_texts_as_postgresql_prints_them_are_known(ds: Datastore) -> None:
    columns: dict[tuple[str | None, ...], Form | None] = {
        ("1", "-2.50", None): Form("number"),
        ("NA", "1", "2"): Form("number", frozenset({"NA"})),
        ("2024-01-31", "2024-02-01", "2024-02-30"): Form("day"),
        ("2024-01-31 10:00:00", None, "2024-01-31T10:00:00.5"): Form("moment"),
        ("1", "2", "03"): Form("number", frozenset({"03"})),
        ("a", "b", "1"): None,
        (None, None, None): None,
    }
    rows: list[list[str | None]] = [[texts[place] for texts in columns] for place in range(3)]
    connection = psycopg2.connect(ds.url)
    done = stage(connection, table_of(rows, size=2).batches(), len(columns), lambda rows: None)
    connection.close()
    assert dict(zip(columns, done.forms, strict=True)) == columns


def test_a_column_of_many_other_texts_has_no_form(ds: Datastore) -> None:
    rows: list[list[str | None]] = [[str(number) if number < 20 else f"x{number}"] for number in range(40)]
    connection = psycopg2.connect(ds.url)
    done = stage(connection, table_of(rows, size=7).batches(), 1, lambda rows: None)
    connection.close()
    assert done.forms == (None,)


def test_a_name_tells_its_age() -> None:
    assert new_name() != new_name()
    assert not is_leftover(new_name(), 60)
    assert is_leftover(new_name(), -1)
    assert not is_leftover("_stg_mine", 0)
    assert not is_leftover("5b8ba9f5", 0)


def staged(ds: Datastore, rows: list[list[str | None]], size: int = 1000) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(ds.url)
    try:
        done = stage(connection, table_of(rows, size).batches(), len(rows[0]), lambda rows: None)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {done.relation} ORDER BY _id")
            return list(cursor.fetchall())
    finally:
        connection.close()


def table_of(rows: list[list[str | None]], size: int = 1000, error: Exception | None = None) -> MadeTable:
    return MadeTable(tuple(text_column(place, f"c{place}") for place in range(len(rows[0]))), rows, size, error)
