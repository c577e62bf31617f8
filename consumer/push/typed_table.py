"""From staged texts to typed rows with their full text: one CREATE TABLE AS that PostgreSQL may run in parallel."""

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.casts import Output
from consumer.push.full_text import TOO_LONG, full_text
from consumer.push.session import savepoint
from consumer.push.sql_text import identifier, listed, qualified
from consumer.push.staging import Staged
from consumer.push.table import Table
from schemas.errors import JobError

#: Rows that are worth a parallel worker: starting one costs about as much as the full text of some hundred rows.
ROWS_PER_WORKER = 2_000


def allow_parallel(cursor: Cursor, staged: Staged) -> int:
    """Lets the next statements over *staged* use every parallel worker that the server would give; how many.

    Measured on two cores: 1 to 8 workers are equally fast, and none is slower than serial where no core is free.
    """
    cursor.execute("SELECT current_setting('max_parallel_workers')::int, current_setting('max_worker_processes')::int")
    allowed, processes = cursor.fetchone() or (0, 0)
    workers = min(int(allowed), int(processes), staged.rows // ROWS_PER_WORKER)
    cursor.execute(
        f"""SET LOCAL max_parallel_workers_per_gather = {workers};
        SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
        ALTER TABLE {staged.relation} SET (parallel_workers = {workers})"""
    )
    return workers


def create_typed(cursor: Cursor, staged: Staged, outputs: list[Output], name: str, *, logged: bool = True) -> bool:
    """The table *name* with `_id`, `_full_text` and *outputs*; whether the full text of some row had to be cut.

    Raises psycopg2.DataError for a value that does not fit: see culprit.
    """
    allow_parallel(cursor, staged)
    try:
        with savepoint(cursor):
            cursor.execute(_create(staged, outputs, name, logged, full_text(outputs)))
        return False
    except psycopg2.errors.ProgramLimitExceeded as error:
        if TOO_LONG not in str(error):
            raise
    cursor.execute(_create(staged, outputs, name, logged, full_text(outputs, cut=True)))
    return True


def create_through_triggers(cursor: Cursor, staged: Staged, outputs: list[Output], name: str, triggers: list[str]) -> None:
    """As create_typed, but every row passes the table's own triggers, which may check and change it, then CKAN's."""
    cursor.execute(_create(staged, outputs, name, True, "NULL::tsvector") + " WITH NO DATA")
    for trigger in triggers:
        cursor.execute(trigger)
    values = ", ".join(one.expression for one in outputs)
    cursor.execute(
        f"INSERT INTO {qualified(name)} ({listed(['_id', *(one.name for one in outputs)])})"
        f" SELECT _id, {values} FROM {staged.relation} ORDER BY _id"
    )


def _create(staged: Staged, outputs: list[Output], name: str, logged: bool, text: str) -> str:
    columns = ", ".join(f"{one.expression} AS {identifier(one.name)}" for one in outputs)
    kind = "" if logged else "UNLOGGED "
    return f"CREATE {kind}TABLE {qualified(name)} AS SELECT _id, {text} AS _full_text, {columns} FROM {staged.relation}"


# --------------------------------------------------------------------------------------------------------- a misfit


def culprit(cursor: Cursor, staged: Staged, outputs: list[Output], table: Table, error: Exception) -> JobError:
    """Names column, row and value of the first cell that PostgreSQL refuses to convert, by halving."""
    for one in outputs:
        if one.type != "text" and not _converts(cursor, staged, one, 1, staged.rows):
            number = _first_misfit(cursor, staged, one)
            return _refused(cursor, staged, one, number, row_number(table, number))
    reason = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    return JobError(f"PostgreSQL refused a value: {reason or error}")


def _converts(cursor: Cursor, staged: Staged, one: Output, first: int, last: int) -> bool:
    try:
        with savepoint(cursor):
            cursor.execute(f"SELECT count({one.expression}) FROM {staged.relation} WHERE _id BETWEEN {first} AND {last}")
        return True
    except (psycopg2.DataError, psycopg2.errors.InvalidTextRepresentation):
        return False


def _first_misfit(cursor: Cursor, staged: Staged, one: Output) -> int:
    first, last = 1, staged.rows
    while first < last:
        middle = (first + last) // 2
        if _converts(cursor, staged, one, first, middle):
            first = middle + 1
        else:
            last = middle
    return first


def _refused(cursor: Cursor, staged: Staged, one: Output, number: int, row: int) -> JobError:
    cursor.execute(f"SELECT {one.cell} FROM {staged.relation} WHERE _id = {number}")
    (value,) = cursor.fetchone() or (None,)
    return JobError(
        f"The value {value!r} of column {one.name!r} in row {row} is no {one.type}.",
        details={"Column": one.name, "Row": row, "Value": value, "Type": one.type},
    )


def row_number(table: Table, number: int) -> int:
    """The row in the file of the *number*th loaded row; reads the file again, for the sake of a good message."""
    for batch in table.batches():
        if number <= len(batch):
            return batch.row_numbers[number - 1]
        number -= len(batch)
    return 0
