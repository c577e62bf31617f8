"""Typed rows are made by as many processes as the server gives, and take no more room than rows that come by API."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from consumer.push.casts import output
from consumer.push.full_text import full_text
from consumer.push.staging import Staged, stage
from consumer.push.typed_table import ROWS_PER_WORKER, allow_parallel
from tests.push.copying import PEOPLE, T, load
from tests.push.datastore_database import Datastore, MadeTable


@contextmanager
def staged_people(ds: Datastore, rows: int) -> Iterator[tuple[Cursor, Staged]]:
    connection = psycopg2.connect(ds.url)
    try:
        staged = stage(connection, people(rows).batches(), len(PEOPLE), lambda rows: None)
        with connection.cursor() as cursor:
            yield cursor, staged
    finally:
        connection.close()


def people(rows: int) -> MadeTable:
    return MadeTable(PEOPLE, [[f"{'long ' * (number % 40)}name {number}", str(number)] for number in range(rows)])


@contextmanager
def setting(ds: Datastore, name: str, value: int) -> Iterator[None]:
    ds.run(f"ALTER DATABASE {ds.name} SET {name} = {value}")
    try:
        yield
    finally:
        ds.run(f"ALTER DATABASE {ds.name} RESET {name}")


@pytest.mark.parametrize(
    ("rows", "given", "expected"),
    [(3 * ROWS_PER_WORKER, 8, 3), (3 * ROWS_PER_WORKER, 2, 2), (3 * ROWS_PER_WORKER, 0, 0), (ROWS_PER_WORKER - 1, 8, 0)],
)
def test_as_many_processes_work_as_the_server_gives_and_the_rows_are_worth(
    ds: Datastore, rows: int, given: int, expected: int
) -> None:
    with setting(ds, "max_parallel_workers", given), staged_people(ds, rows) as (cursor, staged):
        assert allow_parallel(cursor, staged) == expected
        outputs = [output(column, "MDY") for column in PEOPLE]
        cursor.execute(f"EXPLAIN CREATE TABLE typed AS SELECT _id, {full_text(outputs)} FROM {staged.relation}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert ("Gather" in plan) == (expected > 0), plan
    assert (f"Workers Planned: {expected}" in plan) == (expected > 0), plan


@pytest.mark.parametrize("given", [0, 2])
def test_every_row_arrives_under_its_number_whoever_made_it(ds: Datastore, given: int) -> None:
    rows = 4 * ROWS_PER_WORKER
    with setting(ds, "max_parallel_workers", given):
        load(ds, people(rows))
    assert ds.value(f"SELECT count(*) FROM {T} WHERE age = _id - 1 AND name LIKE '%%name ' || (_id - 1)") == rows


def test_a_table_takes_no_more_room_than_one_filled_by_api(ds: Datastore) -> None:
    table = people(1500)
    load(ds, table)
    ds.create("own", "name text, age numeric", table.cells)
    ours, own = ds.rows("SELECT pg_table_size(%s), pg_table_size('own')", T)[0]
    # Pages are filled one after the other, without going back to the gaps: a few more of them.
    assert ours <= 1.05 * own
