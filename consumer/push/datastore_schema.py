"""What a DataStore database tells: everything about one table that must survive a reload, and the habits of its site.

Facts only, read in the caller's transaction; nothing here changes anything. The schema is `public`, as CKAN's own
`_table_metadata` assumes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor

from consumer.push.sql_text import identifier, literal, qualified


@dataclass(frozen=True)
class ColumnFacts:
    name: str
    type: str  #: as format_type prints it
    comment: str | None  #: CKAN's data dictionary, verbatim


@dataclass(frozen=True)
class IndexFacts:
    """An index but the primary key. *body* is its definition from `USING` on."""

    name: str
    unique: bool
    body: str
    columns: tuple[str, ...]  #: plain columns in order; () if it has expressions
    full_text: bool = False


@dataclass(frozen=True)
class TriggerFacts:
    """*definition* as `CREATE TRIGGER`, with the table's name; *enabled* is pg_trigger.tgenabled."""

    name: str
    definition: str
    enabled: str


@dataclass(frozen=True)
class Grant:
    privilege: str
    grantee: str  #: "" is PUBLIC
    grantable: bool

    def statement(self, relation: str) -> str:
        to = identifier(self.grantee) if self.grantee else "PUBLIC"
        return f"GRANT {self.privilege} ON {relation} TO {to}{' WITH GRANT OPTION' if self.grantable else ''}"


@dataclass(frozen=True)
class ViewFacts:
    """A view that reads the table, or reads such a view. *alias*: it shows all columns, as CKAN's aliases do."""

    name: str
    owner: str
    definition: str
    alias: bool
    grants: tuple[Grant, ...]
    schema: str = "public"

    @property
    def relation(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"


@dataclass(frozen=True)
class TableFacts:
    """A table of the DataStore. Two readings are equal if nothing changed in between."""

    oid: int
    owner: str
    comment: str | None
    columns: tuple[ColumnFacts, ...]  #: without CKAN's own, which begin with `_`
    indexes: tuple[IndexFacts, ...]
    triggers: tuple[TriggerFacts, ...]  #: without `zfulltext`
    grants: tuple[Grant, ...]
    views: tuple[ViewFacts, ...]  #: each after those it reads

    @property
    def types(self) -> Mapping[str, str]:
        return {column.name: column.type for column in self.columns}

    @property
    def key(self) -> tuple[str, ...]:
        """Columns of the unique index that CKAN calls primary key."""
        return next((index.columns for index in self.indexes if index.unique and index.columns), ())


@dataclass(frozen=True)
class SiteFacts:
    """What holds for the whole database.

    owner, readers   of `_table_metadata`: CKAN's write role and the read-only ones that set-permissions granted.
    """

    owner: str | None
    readers: tuple[str, ...]
    has_stats: bool  #: `_table_stats`, CKAN 2.12 or later
    has_trigger: bool  #: `populate_full_text_trigger`, CKAN 2.7 or later
    full_text_method: str  #: gist or gin
    indexed_language: str | None  #: each text column has a full-text index in this language (CKAN <= 2.11)
    info_in_object: bool  #: comments are ` {"_info": …}` (CKAN 2.11 or later), not the info itself


def index_name(resource_id: str, fields: str) -> str:
    """CKAN's name of an index over *fields* as its SQL has them (ckanext/datastore/backend/postgres.py)."""
    return hashlib.sha1((resource_id + fields).encode(), usedforsecurity=False).hexdigest()


# ------------------------------------------------------------------------------------------------------------ a table

_GRANTS = """
SELECT json_agg(json_build_array(g.privilege_type, coalesce(r.rolname, ''), g.is_grantable)
                ORDER BY r.rolname, g.privilege_type)
FROM aclexplode({0}.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee WHERE g.grantee <> {0}.relowner"""

_COLUMNS = """
SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum))
                ORDER BY a.attnum)
FROM pg_attribute a
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT starts_with(a.attname::text, '_')"""

_INDEXES = """
SELECT json_agg(json_build_array(
    i.relname, x.indisunique, pg_get_indexdef(x.indexrelid), x.indexprs IS NOT NULL OR x.indpred IS NOT NULL,
    ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum ORDER BY k.place)) ORDER BY i.relname)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid AND NOT x.indisprimary AND x.indisvalid"""

_TRIGGERS = """
SELECT json_agg(json_build_array(t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text) ORDER BY t.tgname)
FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgname <> 'zfulltext'"""

#: Of views of views too, each with the columns compared to the table's.
_VIEWS = f"""
WITH RECURSIVE readers (oid, depth) AS (
    SELECT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> d.refobjid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
    UNION
    SELECT r.ev_class, readers.depth + 1 FROM readers JOIN pg_depend d ON d.refobjid = readers.oid
    JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> d.refobjid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass),
farthest AS (SELECT oid, max(depth) AS depth FROM readers GROUP BY oid)
SELECT json_agg(json_build_array(
    v.relname, n.nspname, pg_get_userbyid(v.relowner), pg_get_viewdef(v.oid), ({_GRANTS.format("v")}),
    f.depth = 1 AND ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = v.oid AND attnum > 0 ORDER BY attnum)
     = ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum))
    ORDER BY f.depth, v.relname)
FROM farthest f JOIN pg_class v ON v.oid = f.oid AND v.relkind = 'v' JOIN pg_namespace n ON n.oid = v.relnamespace"""

#: One question: it is asked while readers are kept waiting.
_TABLE = f"""
SELECT c.oid, pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class'),
       ({_COLUMNS}), ({_INDEXES}), ({_TRIGGERS}), ({_GRANTS.format("c")}), ({_VIEWS})
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = %s AND c.relkind = 'r'"""


def read_table(cursor: Cursor, name: str) -> TableFacts | None:
    """None where there is no such table (or only a view of that name)."""
    found = _rows(cursor, _TABLE, (name,))
    if not found:
        return None
    oid, owner, comment, columns, indexes, triggers, grants, views = found[0]
    return TableFacts(
        oid=oid,
        owner=owner,
        comment=comment,
        columns=tuple(ColumnFacts(*row) for row in columns or ()),
        indexes=tuple(_index(name, *row) for row in indexes or ()),
        triggers=tuple(TriggerFacts(*row) for row in triggers or ()),
        grants=_grants(grants),
        views=tuple(_view(*row) for row in views or ()),
    )


def _index(table: str, name: str, unique: bool, definition: str, special: bool, columns: Sequence[str]) -> IndexFacts:
    body = definition[definition.index(" USING ", definition.index(f" ON {_as_printed(table)}")) + 1 :]
    full_text = columns == ["_full_text"] or "to_tsvector(" in body
    return IndexFacts(name, unique, body, () if special else tuple(columns), full_text)


def _as_printed(table: str) -> str:
    """A prefix of the table's name as pg_get_indexdef prints it: quoted only where it must be."""
    return "public." if re.fullmatch(r"[a-z_][a-z0-9_]*", table) else qualified(table)


def _grants(rows: Sequence[Sequence[Any]] | None) -> tuple[Grant, ...]:
    return tuple(Grant(*row) for row in rows or ())


def _view(
    name: str, schema: str, owner: str, definition: str, grants: Sequence[Sequence[Any]] | None, same_columns: bool
) -> ViewFacts:
    plain = re.search(r"\bFROM\s+(?:\w+\.)?(?:\"[^\"]+\"|\w+)\s*;\s*$", definition) is not None
    return ViewFacts(name, owner, definition, same_columns and plain, _grants(grants), schema)


# ----------------------------------------------------------------------------------------------------------- the site

_SITE = """
SELECT (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public._table_metadata')),
       to_regclass('public._table_stats') IS NOT NULL,
       to_regproc('public.populate_full_text_trigger') IS NOT NULL"""

_READERS = """
SELECT r.rolname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee
WHERE c.oid = to_regclass('public._table_metadata') AND g.privilege_type = 'SELECT' AND g.grantee <> c.relowner ORDER BY 1"""

#: The newest tables tell what the site's settings are now.
_FULL_TEXT_INDEXES = """
SELECT am.amname, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_am am ON am.oid = i.relam JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = 'public'::regnamespace AND am.amname IN ('gist', 'gin') ORDER BY t.oid DESC LIMIT 200"""

_A_COMMENT = """
SELECT d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND d.objsubid > 0 AND d.description ~ '^ ?{'
ORDER BY c.oid DESC LIMIT 1"""


def read_site(cursor: Cursor, read_role: str = "") -> SiteFacts:
    """*read_role* is DATASTORE_READ_ROLE; empty: the roles that may read `_table_metadata`."""
    owner, has_stats, has_trigger = _rows(cursor, _SITE)[0]
    comment = next((row[0] for row in _rows(cursor, _A_COMMENT)), " " if has_stats else None)
    methods = _rows(cursor, _FULL_TEXT_INDEXES)
    whole_row = [method for method, definition in methods if "(_full_text)" in definition]
    languages = [
        found[1] for _, definition in methods if (found := re.search(r"to_tsvector\('([^']+)'::regconfig", definition))
    ]
    return SiteFacts(
        owner=owner,
        readers=(read_role,) if read_role else tuple(row[0] for row in _rows(cursor, _READERS)),
        has_stats=has_stats,
        has_trigger=has_trigger,
        full_text_method=whole_row[0] if whole_row else "gist",
        indexed_language=languages[0] if languages else None,
        info_in_object=comment is None or comment.startswith(" "),
    )


def full_text_indexes(resource_id: str, texts: Sequence[str], site: SiteFacts) -> list[IndexFacts]:
    """The full-text indexes that CKAN would give a table with these text columns, by CKAN's names."""
    method = site.full_text_method
    whole = identifier("_full_text")
    made = [IndexFacts(index_name(resource_id, whole), False, f"USING {method} ({whole})", ("_full_text",), True)]
    if site.indexed_language:
        for column in texts:
            field = f"to_tsvector({literal(site.indexed_language)}, {identifier(column)})"
            made.append(IndexFacts(index_name(resource_id, field), False, f"USING {method} ({field})", (), True))
    return made


def plain_index(resource_id: str, columns: Sequence[str], *, unique: bool = False, jsons: Sequence[str] = ()) -> IndexFacts:
    """A btree index as CKAN makes it for its parameters `indexes` and `primary_key`. A json column has no order."""
    fields = ", ".join(identifier(name) for name in columns)
    body = ", ".join(f"(({identifier(name)})::text)" if name in jsons else identifier(name) for name in columns)
    return IndexFacts(index_name(resource_id, fields), unique, f"USING btree ({body})", tuple(columns))


def _rows(cursor: Cursor, query: str, values: Sequence[object] | Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    cursor.execute(query, values)
    return list(cursor.fetchall())
