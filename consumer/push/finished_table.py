"""A typed table becomes one of CKAN's: key, sequence, trigger, indexes, owner and grants, all under temporary names."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import cursor as Cursor

from consumer.push.datastore_schema import IndexFacts, SiteFacts, TableFacts
from consumer.push.session import savepoint
from consumer.push.sql_text import identifier, qualified
from schemas.errors import JobError

#: CKAN's own trigger; it fills `_full_text` of rows that come later by API.
FULL_TEXT_TRIGGER = """
CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW
EXECUTE PROCEDURE public.populate_full_text_trigger()"""


@dataclass
class NewTable:
    """A table that is complete but for its name. Its indexes are `<name>_i0`, `<name>_i1`, … for now."""

    name: str
    rows: int
    last_id: int = 0  #: the sequence goes on behind it
    indexes: dict[str, IndexFacts] = field(default_factory=dict)  #: by temporary name
    skipped: list[str] = field(default_factory=list)  #: names of indexes that the new columns do not allow
    unwanted: set[str] = field(default_factory=set)  #: names of indexes of the old table that the job gives up

    @property
    def considered(self) -> set[str]:
        """Names of indexes that are made, or were left out on purpose."""
        return {index.name for index in self.indexes.values()} | set(self.skipped) | self.unwanted

    @property
    def relation(self) -> str:
        return qualified(self.name)

    @property
    def sequence(self) -> str:
        return f"{self.name}_seq"

    @property
    def primary_key(self) -> str:
        return f"{self.name}_pkey"


def add_key(cursor: Cursor, new: NewTable) -> None:
    """`_id` as `serial primary key` makes it."""
    cursor.execute(
        f"""ALTER TABLE {new.relation} ADD CONSTRAINT {identifier(new.primary_key)} PRIMARY KEY (_id);
        CREATE SEQUENCE {qualified(new.sequence)} AS integer OWNED BY {new.relation}._id;
        SELECT setval('{qualified(new.sequence)}', {max(new.last_id, 1)}, {"true" if new.last_id else "false"});
        ALTER TABLE {new.relation} ALTER _id SET DEFAULT nextval('{qualified(new.sequence)}')"""
    )


def add_indexes(cursor: Cursor, new: NewTable, wanted: Sequence[IndexFacts]) -> None:
    """Those of *wanted* that the table has not yet. One whose columns or types are gone is left out and noted."""
    for index in wanted:
        if index.name not in new.considered:
            _add_index(cursor, new, index)


def _add_index(cursor: Cursor, new: NewTable, index: IndexFacts) -> None:
    name = f"{new.name}_i{len(new.indexes) + len(new.skipped)}"
    statement = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {identifier(name)} ON {new.relation} {index.body}"
    try:
        with savepoint(cursor):
            cursor.execute(statement)
        new.indexes[name] = index
    except psycopg2.errors.UniqueViolation as error:
        raise twice(index.columns, error) from error
    except (psycopg2.errors.ProgrammingError, psycopg2.errors.ProgramLimitExceeded):
        # A column that is gone or of another type; or a text too long for a btree page (2.7 kB).
        new.skipped.append(index.name)


def twice(key: Sequence[str], error: psycopg2.Error) -> JobError:
    """The message for rows that share the key's values."""
    return JobError(
        f"Rows share the same {', '.join(key)}, but that is the table's primary key: {error.diag.message_detail or ''}".strip(),
        details={"Columns": ", ".join(key)},
    )


def add_rights(cursor: Cursor, new: NewTable, site: SiteFacts, old: TableFacts | None) -> None:
    """Owner and grants: those of the old table, else what CKAN's set-permissions gives each new table."""
    owner = old.owner if old else site.owner
    if owner:
        cursor.execute("SELECT current_user = %s", (owner,))
        if cursor.fetchone() != (True,):
            cursor.execute(f"ALTER TABLE {new.relation} OWNER TO {identifier(owner)}")
    for grant in old.grants if old else ():
        cursor.execute(grant.statement(new.relation))
    for reader in site.readers:
        cursor.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", (reader, new.relation))
        if cursor.fetchone() != (True,):
            cursor.execute(f"GRANT SELECT ON {new.relation} TO {identifier(reader)}")


def add_full_text_trigger(cursor: Cursor, new: NewTable, site: SiteFacts) -> None:
    if site.has_trigger:
        cursor.execute(FULL_TEXT_TRIGGER.format(table=new.relation))


def analyze(cursor: Cursor, new: NewTable, names: Sequence[str]) -> None:
    """A first picture for the planner, from 3,000 rows. Autovacuum makes the full one within minutes, as every row is
    new; made here it would take a tenth of the whole load, and `_full_text` half of that."""
    columns = ", ".join(identifier(name) for name in ("_id", *names))
    cursor.execute(f"SET LOCAL default_statistics_target = 10; ANALYZE {new.relation} ({columns})")
