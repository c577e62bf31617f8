"""The new table takes the old one's name, place and everything that hung on it, while readers wait a moment at most.

Whoever waits for an exclusive lock makes every later reader wait behind it. So the lock is asked for again and again,
each time so briefly that a reader hardly notices, until the readers that are there have gone.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.append_mark import without_mark
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
    """Everything in one message to the server: readers wait for each that goes to and fro."""
    old = _locked(cursor, dressing.resource_id)
    if old and not {index.name for index in old.indexes} <= new.considered:
        raise _Changed(old)
    aliases = _aliases(dressing, old)
    statements = [*_drops(dressing, old), *_renames(new, dressing.resource_id), *_comments(dressing, old, site), *aliases]
    if site.has_stats:
        statements.append(_count(dressing.resource_id, new.rows))
    try:
        cursor.execute(";\n".join(statements))
    except (psycopg2.errors.DuplicateTable, psycopg2.errors.WrongObjectType) as error:
        raise _taken(dressing, error) from error
    others = [view for view in old.views if not view.alias] if old else []
    lost = [view.name for view in others if not _recreated(cursor, view)]
    return [
        *(f"The index {name} was left out: the new columns do not allow it." for name in new.skipped),
        *(f"The view {name} could not be made again: it uses columns that are gone or changed." for name in lost),
    ]


def _locked(cursor: Cursor, resource_id: str) -> TableFacts | None:
    """What is there now, under a lock that nobody passes. Views first, as readers through a view lock them."""
    cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    found = read_table(cursor, resource_id)
    if found is None:
        return None
    relations = ", ".join([*(view.relation for view in reversed(found.views)), qualified(resource_id)])
    cursor.execute(f"LOCK TABLE {relations} IN ACCESS EXCLUSIVE MODE")
    return read_table(cursor, resource_id)


def _drops(dressing: Dressing, old: TableFacts | None) -> Iterator[str]:
    if old:
        yield from (f"DROP VIEW {view.relation}" for view in reversed(old.views))
        yield f"DROP TABLE {qualified(dressing.resource_id)}"


def _renames(new: NewTable, resource_id: str) -> Iterator[str]:
    """Names as PostgreSQL gives them for `CREATE TABLE "<id>" (_id serial primary key)`, and CKAN's of indexes."""
    yield f"ALTER TABLE {new.relation} RENAME TO {identifier(resource_id)}"
    yield f"ALTER INDEX {qualified(new.primary_key)} RENAME TO {identifier(f'{resource_id}_pkey')}"
    yield f"ALTER SEQUENCE {qualified(new.sequence)} RENAME TO {identifier(f'{resource_id}__id_seq')}"
    for name, index in new.indexes.items():
        yield f"ALTER INDEX {qualified(name)} RENAME TO {identifier(index.name)}"


def _comments(dressing: Dressing, old: TableFacts | None, site: SiteFacts) -> Iterator[str]:
    """The data dictionary; an edit made while the file was loading is in *old* and counts."""
    table = qualified(dressing.resource_id)
    comments = {column.name: column.comment for column in (old.columns if old else ())}
    for name in dressing.columns:
        text = comment_with(comments.get(name), dressing.additions.get(name, {}), in_object=site.info_in_object)
        if text:
            yield f"COMMENT ON COLUMN {table}.{identifier(name)} IS {literal(text)}"
    if old and (text := without_mark(old.comment)):
        yield f"COMMENT ON TABLE {table} IS {literal(text)}"


def _aliases(dressing: Dressing, old: TableFacts | None) -> Iterator[str]:
    known = {view.name: view for view in (old.views if old else ()) if view.alias}
    for name in known if dressing.aliases is None else dressing.aliases:
        yield f"CREATE VIEW {qualified(name)} AS SELECT * FROM {qualified(dressing.resource_id)}"
        if name in known:
            yield from _rights(known[name])


def _recreated(cursor: Cursor, view: ViewFacts) -> bool:
    try:
        with savepoint(cursor):
            definition = view.definition.rstrip().removesuffix(";")
            cursor.execute(";\n".join([f"CREATE VIEW {view.relation} AS {definition}", *_rights(view)]))
        return True
    except psycopg2.errors.ProgrammingError:
        return False


def _rights(view: ViewFacts) -> Iterator[str]:
    """The owner only where it would be another: not every role may say so, even of itself."""
    yield (
        f"DO $$ BEGIN IF current_user <> {literal(view.owner)} THEN ALTER VIEW {view.relation} OWNER TO"
        f" {identifier(view.owner)}; END IF; END $$"
    )
    yield from (grant.statement(view.relation) for grant in view.grants)


def _taken(dressing: Dressing, error: psycopg2.Error) -> JobError:
    told = error.diag.message_primary or ""
    name = next((alias for alias in dressing.aliases or () if f'"{alias}"' in told), None)
    if name is None:
        return JobError(f"A name is taken in the DataStore: {told}")
    return JobError(f"The alias {name!r} is taken by another table of the DataStore.", details={"Alias": name})


def count_rows(cursor: Cursor, resource_id: str, rows: int) -> None:
    cursor.execute(_count(resource_id, rows))


def _count(resource_id: str, rows: int) -> str:
    """CKAN 2.12 believes `_table_stats`. Written under the table's lock, it cannot be overtaken by a reader's count."""
    return (
        f"INSERT INTO public._table_stats VALUES ({literal(resource_id)}, jsonb_build_object('rows', {rows}::bigint))"
        " ON CONFLICT (resource_id) DO UPDATE SET stats = excluded.stats"
    )
