"""The new table takes the old one's name, place and everything that hung on it, while readers wait a moment at most.

Whoever waits for an exclusive lock makes every later reader wait behind it. So the lock is asked for again and again,
each time so briefly that a reader hardly notices, until the readers that are there have gone.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.datastore_schema import SiteFacts, TableFacts, ViewFacts, read_table
from consumer.push.dictionary_comments import Info, comment_with
from consumer.push.finished_table import NewTable
from consumer.push.session import savepoint
from consumer.push.sql_text import identifier, literal, qualified
from schemas.errors import JobError, Transient

#: One wait for the lock: what a reader may be held up by it. Shorter than deadlock_timeout, so that a deadlock with a
#: reader ends by this.
LOCK_TIMEOUT_MS = 100
#: Between two waits; random, so that two loads do not keep in step.
PAUSE_S = (0.1, 0.4)

_TRY_AGAIN = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected, psycopg2.errors.UndefinedTable)


@dataclass(frozen=True)
class Dressing:
    """What the table gets at its new place besides what the old one had.

    additions  entries of the data dictionary by column that the old table has not.
    aliases    None: the old table's.
    """

    resource_id: str
    columns: tuple[str, ...]
    additions: Mapping[str, Info]
    aliases: tuple[str, ...] | None


class _Changed(Exception):
    """Somebody added an index while the new table was made."""

    def __init__(self, facts: TableFacts) -> None:
        super().__init__()
        self.facts = facts


def swap(
    cursor: Cursor, new: NewTable, dressing: Dressing, site: SiteFacts, complete: Callable[[TableFacts], None],
    patience_s: float,
) -> list[str]:  # fmt: skip
    """Puts *new* in place; the caller commits at once. Returns sentences about what could not be kept.

    *complete* builds the indexes that the old table has and *new* lacks; it is called without a lock.
    Raises Transient after *patience_s* seconds in vain.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with savepoint(cursor):
                return _swap_once(cursor, new, dressing, site)
        except _Changed as changed:
            complete(changed.facts)
        except _TRY_AGAIN as error:
            if time.monotonic() > deadline:
                raise Transient(
                    f"The table was being read for {patience_s:g} seconds without a gap, so the new one could not take"
                    " its place. The old one is untouched."
                ) from error
            time.sleep(random.uniform(*PAUSE_S))


def _swap_once(cursor: Cursor, new: NewTable, dressing: Dressing, site: SiteFacts) -> list[str]:
    old = _locked(cursor, dressing.resource_id)
    if old and not {index.name for index in old.indexes} <= new.considered:
        raise _Changed(old)
    notes = [f"The index {name} was left out: the new columns do not allow it." for name in new.skipped]
    if old:
        views = "; ".join(f"DROP VIEW {view.relation}" for view in reversed(old.views))
        cursor.execute(f"{views}; DROP TABLE {qualified(dressing.resource_id)}")
    cursor.execute(";\n".join(_renames(new, dressing.resource_id)))
    _comment(cursor, dressing, old, site)
    notes += _views(cursor, dressing, old)
    if site.has_stats:
        count_rows(cursor, dressing.resource_id, new.rows)
    return notes


def _locked(cursor: Cursor, resource_id: str) -> TableFacts | None:
    """What is there now, under a lock that nobody passes. Views first, as readers through a view lock them."""
    cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    found = read_table(cursor, resource_id)
    if found is None:
        return None
    relations = ", ".join([*(view.relation for view in reversed(found.views)), qualified(resource_id)])
    cursor.execute(f"LOCK TABLE {relations} IN ACCESS EXCLUSIVE MODE")
    return read_table(cursor, resource_id)


def _renames(new: NewTable, resource_id: str) -> Sequence[str]:
    """Names as PostgreSQL gives them for `CREATE TABLE "<id>" (_id serial primary key)`, and CKAN's of indexes."""
    table = identifier(resource_id)
    return [
        f"ALTER TABLE {new.relation} RENAME TO {table}",
        f"ALTER INDEX {qualified(new.primary_key)} RENAME TO {identifier(f'{resource_id}_pkey')}",
        f"ALTER SEQUENCE {qualified(new.sequence)} RENAME TO {identifier(f'{resource_id}__id_seq')}",
        *(f"ALTER INDEX {qualified(name)} RENAME TO {identifier(index.name)}" for name, index in new.indexes.items()),
    ]


def _comment(cursor: Cursor, dressing: Dressing, old: TableFacts | None, site: SiteFacts) -> None:
    """The data dictionary; an edit made while the file was loading is in *old* and counts."""
    table = qualified(dressing.resource_id)
    comments = {column.name: column.comment for column in (old.columns if old else ())}
    statements = []
    for name in dressing.columns:
        text = comment_with(comments.get(name), dressing.additions.get(name, {}), in_object=site.info_in_object)
        if text:
            statements.append(f"COMMENT ON COLUMN {table}.{identifier(name)} IS {literal(text)}")
    if old and old.comment:
        statements.append(f"COMMENT ON TABLE {table} IS {literal(old.comment)}")
    if statements:
        cursor.execute(";\n".join(statements))


def _views(cursor: Cursor, dressing: Dressing, old: TableFacts | None) -> list[str]:
    """Aliases, and other views as they were as far as the new columns allow."""
    notes = []
    views = old.views if old else ()
    wanted = tuple(view.name for view in views if view.alias) if dressing.aliases is None else dressing.aliases
    known = {view.name: view for view in views if view.alias}
    for alias in wanted:
        _create_alias(cursor, alias, dressing.resource_id, known.get(alias))
    for view in views:
        if not view.alias and not _recreated(cursor, view):
            notes.append(f"The view {view.name} could not be made again: it uses columns that are gone or changed.")
    return notes


def _create_alias(cursor: Cursor, name: str, resource_id: str, old: ViewFacts | None) -> None:
    view = f"CREATE VIEW {qualified(name)} AS SELECT * FROM {qualified(resource_id)}"
    try:
        cursor.execute(view)
    except (psycopg2.errors.DuplicateTable, psycopg2.errors.WrongObjectType) as error:
        raise JobError(f"The alias {name!r} is taken by another table of the DataStore.", details={"Alias": name}) from error
    if old:
        _restore_rights(cursor, old)


def _recreated(cursor: Cursor, view: ViewFacts) -> bool:
    try:
        with savepoint(cursor):
            cursor.execute(f"CREATE VIEW {view.relation} AS {view.definition}")
            _restore_rights(cursor, view)
        return True
    except psycopg2.errors.ProgrammingError:
        return False


def _restore_rights(cursor: Cursor, view: ViewFacts) -> None:
    cursor.execute("SELECT current_user = %s", (view.owner,))
    if cursor.fetchone() != (True,):
        cursor.execute(f"ALTER VIEW {view.relation} OWNER TO {identifier(view.owner)}")
    for grant in view.grants:
        cursor.execute(grant.statement(view.relation))


def count_rows(cursor: Cursor, resource_id: str, rows: int) -> None:
    """CKAN 2.12 believes `_table_stats`. Written under the table's lock, it cannot be overtaken by a reader's count."""
    cursor.execute(
        """INSERT INTO public._table_stats VALUES (%s, jsonb_build_object('rows', %s::bigint))
        ON CONFLICT (resource_id) DO UPDATE SET stats = excluded.stats""",
        (resource_id, rows),
    )
