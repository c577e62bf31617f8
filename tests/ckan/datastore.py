"""DataStore's database, looked at from inside: what CKAN's API does not tell of a table."""

from dataclasses import dataclass

import psycopg2

#: (statement, what it tells); %(id)s is the table's name. Names that hold the resource's id, or its hash, are left out.
_COLUMNS = """SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage,
    col_description(attrelid, attnum), replace(pg_get_expr(adbin, adrelid), %(id)s, '…')
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_INDEXES = """SELECT regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ON', 'INDEX … ON'), indisprimary, indisvalid
FROM pg_index WHERE indrelid = %(table)s::regclass ORDER BY 1"""
_TRIGGERS = (
    """SELECT tgname, pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE tgrelid = %(table)s::regclass ORDER BY 1"""
)
_TABLE = """SELECT relkind, relpersistence, reloptions, pg_get_userbyid(relowner),
    array(SELECT unnest(relacl)::text ORDER BY 1), obj_description(oid) FROM pg_class WHERE oid = %(table)s::regclass"""
_SEQUENCE = """SELECT c.relname = %(id)s || '__id_seq', d.deptype FROM pg_class c JOIN pg_depend d ON d.objid = c.oid
WHERE d.refobjid = %(table)s::regclass AND c.relkind = 'S'"""
_STATEMENTS = {"columns": _COLUMNS, "indexes": _INDEXES, "triggers": _TRIGGERS, "table": _TABLE, "sequence": _SEQUENCE}


@dataclass(frozen=True)
class Facts:
    """A table as PostgreSQL's catalogue has it, with `…` for the resource's id."""

    about: dict[str, list[str]]
    full_text: list[str]


class Datastore:
    """A connection of DataStore's writing role."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def facts(self, resource_id: str) -> Facts:
        about = {what: self._rows(statement, resource_id) for what, statement in _STATEMENTS.items()}
        return Facts(about, self._rows('SELECT _id, _full_text FROM "{id}" ORDER BY _id', resource_id))

    def leftovers(self) -> list[str]:
        """Relations that belong to no resource and are not CKAN's own."""
        return self._rows("SELECT relname FROM pg_class WHERE relname ~ '^_(stg|new|old)' ORDER BY 1", "")

    def _rows(self, statement: str, resource_id: str) -> list[str]:
        with self._connection.cursor() as cursor:
            given = {"id": resource_id, "table": f'public."{resource_id}"'}
            cursor.execute(statement.replace("{id}", resource_id), given)
            return [str(row).replace(resource_id, "…") for row in cursor.fetchall()]
