"""Records into a table: insert, upsert and update, as datastore_upsert does them, refusals included.

CKAN sends the rows to PostgreSQL one statement after another, so the first bad row ends the call, and the rows before it
have taken their `_id`s for good. With `insert` it then reports the *last* row of the call as `records_row`, not the bad one.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import NoReturn

from sandbox.literals import Accept, BadValue, Stored, WrongKind
from sandbox.refusals import ValidationError
from sandbox.tables import Column, Table

Row = tuple[Stored, ...]


def write(db: sqlite3.Connection, table: Table, method: str, records: object) -> list[int]:
    """Writes *records* into *table*; returns the `_id`s written. Raises ValidationError; the caller rolls back."""
    if not records:
        return []
    rows = list(records) if isinstance(records, list | str | dict) else []
    if method == "insert":
        return _insert(db, table, rows)
    return [_write_one(db, table, method, number, record) for number, record in enumerate(rows)]


def _insert(db: sqlite3.Connection, table: Table, records: Sequence[object]) -> list[int]:
    checked = _checked(table, records)
    first = table.next_id
    rows = _rows(table, checked)
    if not table.columns:
        return []
    slots = ", ".join(column.slot for column in table.columns)
    marks = ", ".join("?" * (len(table.columns) + 1))
    before = db.total_changes
    try:
        db.executemany(f"INSERT INTO {table.name} (_id, {slots}) VALUES ({marks})", rows)
    except sqlite3.IntegrityError:
        table.next_id = first + db.total_changes - before + 1
        _refuse_duplicate(table, len(records) - 1)
    return list(range(first, table.next_id))


def _checked(table: Table, records: Sequence[object]) -> list[dict[str, object]]:
    """CKAN looks at all rows' keys before it sends any."""
    names = {column.name for column in table.columns}
    checked: list[dict[str, object]] = []
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValidationError({"records": [f'row "{number}" is not a json object']})
        if not record.keys() <= names:
            extra = ", ".join(key for key in record if key not in names)
            raise ValidationError({"records": [f'row "{number + 1}" has extra keys "{extra}"']})
        checked.append(record)
    return checked


def _rows(table: Table, records: list[dict[str, object]]) -> list[tuple[Stored, ...]]:
    """(_id, values...) per record; takes the ids as it goes."""
    accepts: list[tuple[str, Accept]] = [(column.name, column.type.accept) for column in table.columns]
    rows: list[tuple[Stored, ...]] = []
    for record in records:
        get: Callable[[str], object] = record.get
        try:
            rows.append((table.next_id, *[accept(get(name)) for name, accept in accepts]))
        except (BadValue, WrongKind):
            _refuse_values(table.columns, record, len(records) - 1)
        table.next_id += 1
    return rows


def _refuse_values(columns: Sequence[Column], record: dict[str, object], row: int) -> NoReturn:
    """Raises what PostgreSQL says about the first bad value of *record*."""
    for column in columns:
        try:
            column.type.accept(record.get(column.name))
        except BadValue as error:
            message = str(error).split("\n")[0]  # CKAN passes on the first line only
            raise ValidationError({"records": [message], "records_row": row}) from None
        except WrongKind as error:
            message = f'column "{column.name}" is of type {column.type.native} but expression is of type {error.kind}'
            raise ValidationError({"records": [message], "records_row": row}) from None
    raise AssertionError("no bad value in the record")


def _refuse_duplicate(table: Table, row: int) -> NoReturn:
    index = table.index_name(table.primary_key)
    message = f'duplicate key value violates unique constraint "{index}"'
    raise ValidationError({"records": [message], "records_row": row}) from None


def _write_one(db: sqlite3.Connection, table: Table, method: str, number: int, record: object) -> int:
    """One upsert or update; here *number* really is the bad row."""
    if not isinstance(record, dict):
        raise ValidationError({"records": [f'row "{number}" is not a json object']})
    _check_key(table, record)
    unknown = [name for name in record if name != "_id" and table.column(name) is None]
    if unknown:
        raise ValidationError({"fields": [f'fields "{", ".join(unknown)}" do not exist']})
    used = [column for column in table.columns if column.name in record]
    try:
        values = [column.type.accept(record[column.name]) for column in used]
    except (BadValue, WrongKind):
        _refuse_values(used, record, number)
    if method == "update":
        return _update(db, table, record, used, values)
    return _upsert(db, table, record, used, values, number)


def _check_key(table: Table, record: dict[str, object]) -> None:
    if "_id" in record:
        return
    if not table.primary_key:
        raise ValidationError({"table": ["unique key must be passed for update/upsert"]})
    absent = [name for name in table.primary_key if name not in record]
    if absent:
        gap = "\n" + " " * 28  # CKAN's message has this line break in it
        raise ValidationError({"key": [f'fields "{", ".join(absent)}" are missing{gap}but needed as key']})


def _key_columns(table: Table) -> list[Column]:
    return [column for column in table.columns if column.name in table.primary_key]


def _update(db: sqlite3.Connection, table: Table, record: dict[str, object], used: list[Column], values: list[Stored]) -> int:
    key = [] if "_id" in record else _key_columns(table)
    where = " AND ".join(f"{column.slot} = ?" for column in key) or "_id = ?"
    asked: list[object] = [record[column.name] for column in key] or [record["_id"]]
    kept = [column.type.accept(record[column.name]) for column in key] or asked
    changes = ", ".join(f"{column.slot} = ?" for column in used) or "_id = _id"
    found = db.execute(f"UPDATE {table.name} SET {changes} WHERE {where} RETURNING _id", [*values, *kept]).fetchall()
    if len(found) != 1:
        shown = {f"val_{len(used) + position}": value for position, value in enumerate(asked)}
        raise ValidationError({"key": [f'key "{shown}" not found']})
    return int(found[0][0])


def _upsert(
    db: sqlite3.Connection,
    table: Table,
    record: dict[str, object],
    used: list[Column],
    values: list[Stored],
    number: int,
) -> int:
    row_id = record.get("_id")
    if row_id is None:
        row_id = table.next_id
        table.next_id += 1
    conflict = "_id" if "_id" in record else ", ".join(column.slot for column in _key_columns(table))
    slots = "".join(f", {column.slot}" for column in used)
    changes = ", ".join(f"{column.slot} = excluded.{column.slot}" for column in used) or "_id = _id"
    sql = (
        f"INSERT INTO {table.name} (_id{slots}) VALUES (?{', ?' * len(used)})"
        f" ON CONFLICT ({conflict}) DO UPDATE SET {changes} RETURNING _id"
    )
    try:
        return int(db.execute(sql, [row_id, *values]).fetchall()[0][0])
    except sqlite3.IntegrityError:
        _refuse_duplicate(table, number)
