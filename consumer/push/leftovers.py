"""Staging tables that nobody works with any more.

A load's own live in its transaction and go with it, whatever ends it. These are for what nobody thought of: a dump that
was taken or restored in the middle, a connection pool that committed what it should not.
"""

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.session import savepoint
from consumer.push.staging import drop_statement, is_leftover

#: Age from which a staging table that no transaction holds is a leftover.
LEFTOVER_HOURS = 24.0

#: By the range that the index of pg_class has: a DataStore may hold a hundred thousand tables.
_IDLE_STAGING_TABLES = """
SELECT relname FROM pg_class c
WHERE relname >= '_stg_' AND relname < '_stg`' AND relnamespace = 'public'::regnamespace AND relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.pid <> pg_backend_pid())"""


def sweep(cursor: Cursor, hours: float = LEFTOVER_HOURS) -> list[str]:
    """Drops staging tables older than *hours*; the names of those that let themselves be dropped."""
    cursor.execute(_IDLE_STAGING_TABLES)
    names = [str(name) for (name,) in cursor.fetchall()]
    return [name for name in names if is_leftover(name, hours * 3600) and _dropped(cursor, name)]


def _dropped(cursor: Cursor, name: str) -> bool:
    """False for a table that is somebody else's, or that somebody looks at just now."""
    try:
        with savepoint(cursor):
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
            cursor.execute(drop_statement(name))
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except psycopg2.Error:
        return False
    return True
