"""Append and upsert: typed rows go into a table that is there.

The table is locked against other writers, never against readers; they see the rows when the transaction commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.casts import Output
from consumer.push.finished_table import twice
from consumer.push.sql_text import identifier, listed
from schemas.errors import JobError

#: How long a writer of somebody else's may keep the load waiting.
WRITER_TIMEOUT_S = 10


@dataclass(frozen=True)
class Merged:
    """Rows of the file by what became of them; *repeated* ones came again further down in the file with the same key."""

    inserted: int
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0


def lock_writers(cursor: Cursor, relation: str) -> None:
    cursor.execute(f"SET LOCAL lock_timeout = '{WRITER_TIMEOUT_S}s'; LOCK TABLE {relation} IN SHARE ROW EXCLUSIVE MODE")


def append(cursor: Cursor, typed: str, relation: str, outputs: Sequence[Output]) -> Merged:
    """All rows of *typed*, in its order, under new ids. `_full_text` NULL is filled in by CKAN's trigger."""
    names = listed(one.name for one in outputs)
    cursor.execute(f"INSERT INTO {relation} (_full_text, {names}) SELECT _full_text, {names} FROM {typed} ORDER BY _id")
    return Merged(cursor.rowcount)


def upsert(cursor: Cursor, typed: str, relation: str, outputs: Sequence[Output], key: Sequence[str]) -> Merged:
    """Rows whose key is there change it, others are new; of several rows with one key the last counts. Rows that say
    nothing new are not touched, so they cost no more than a hash join."""
    same = " AND ".join(f"t.{identifier(name)} = s.{identifier(name)}" for name in key)
    repeated = _drop_repeated(cursor, typed, key)
    updated = _update(cursor, typed, relation, outputs, key, same)
    names = listed(one.name for one in outputs)
    cursor.execute(
        f"INSERT INTO {relation} (_full_text, {names}) SELECT _full_text, {names} FROM {typed} s"
        f" WHERE NOT EXISTS (SELECT FROM {relation} t WHERE {same}) ORDER BY _id"
    )
    inserted = cursor.rowcount
    return Merged(inserted, updated, rows_in(cursor, typed) - inserted - updated, repeated)


def rows_in(cursor: Cursor, relation: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {relation}")
    (rows,) = cursor.fetchone() or (0,)
    return int(rows)


def row_without_key(cursor: Cursor, typed: str, key: Sequence[str]) -> int | None:
    """Number of the first row that has no value in some column of the key."""
    missing = " OR ".join(f"{identifier(name)} IS NULL" for name in key)
    cursor.execute(f"SELECT min(_id) FROM {typed} WHERE {missing}")
    (number,) = cursor.fetchone() or (None,)
    return number if isinstance(number, int) else None


def create_unique(cursor: Cursor, statement: str, key: Sequence[str]) -> None:
    """Raises JobError where rows of the table share a key."""
    try:
        cursor.execute(statement)
    except psycopg2.errors.UniqueViolation as error:
        raise twice(key, error) from error


def checked_key(wanted: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """The key to upsert by. Raises JobError where the table has another one: replacing it would lock readers out."""
    if wanted and there and set(wanted) != set(there):
        raise JobError(
            f"The table's key is {', '.join(there)}, not {', '.join(wanted)}. Load it once in mode replace to change its key."
        )
    return tuple(there or wanted)


def _drop_repeated(cursor: Cursor, typed: str, key: Sequence[str]) -> int:
    same = " AND ".join(f"a.{identifier(name)} = b.{identifier(name)}" for name in key)
    cursor.execute(f"ANALYZE {typed} ({listed(key)})")
    cursor.execute(f"DELETE FROM {typed} a USING {typed} b WHERE {same} AND a._id < b._id")
    return int(cursor.rowcount)


def _update(cursor: Cursor, typed: str, relation: str, outputs: Sequence[Output], key: Sequence[str], same: str) -> int:
    """`_full_text` NULL makes CKAN's trigger compute it over the whole row, columns that the file lacks included."""
    others = [one for one in outputs if one.name not in key]
    if not others:
        return 0
    changes = ", ".join(f"{identifier(one.name)} = s.{identifier(one.name)}" for one in others)
    differs = " OR ".join(f"{_comparable(one, 't')} IS DISTINCT FROM {_comparable(one, 's')}" for one in others)
    cursor.execute(f"UPDATE {relation} t SET {changes}, _full_text = NULL FROM {typed} s WHERE {same} AND ({differs})")
    return int(cursor.rowcount)


def _comparable(one: Output, alias: str) -> str:
    """json has no equality."""
    return f"{alias}.{identifier(one.name)}{'::text' if one.type == 'json' else ''}"
