"""The COPY loader in mode replace: what a new table is like, and what fails."""

from typing import Any

import psycopg2
import pytest

from consumer.push.datastore_schema import index_name
from consumer.push.load import Target
from consumer.push.load_copy import CopyLoader
from consumer.report import Report, logging_outlet
from schemas.errors import FileError, JobError, Postponed, Transient
from tests.push.copying import NAMES_AND_AGES, PEOPLE, RID, ROWS, T, content, load, people
from tests.push.datastore_database import READER, Datastore, MadeTable, number_column, text_column


def test_a_new_table_has_the_files_rows_in_order(ds: Datastore) -> None:
    loaded = load(ds, people())
    assert content(ds) == NAMES_AND_AGES
    assert ds.rows(f"SELECT _id FROM {T} ORDER BY _id") == [(1,), (2,), (3,)]
    assert (loaded.rows, loaded.table_rows, loaded.method, loaded.chunks) == (3, 3, "copy", 1)


def test_a_new_table_is_shaped_as_ckan_shapes_its_own(ds: Datastore) -> None:
    ds.create("theirs", "name text, age numeric")
    load(ds, people())
    shape = """SELECT column_name, data_type, is_nullable, column_default LIKE 'nextval(%%' FROM information_schema.columns
               WHERE table_name = %s ORDER BY ordinal_position"""
    assert ds.rows(shape, RID) == ds.rows(shape, "theirs")
    triggers = "SELECT tgname, tgtype, tgfoid FROM pg_trigger WHERE tgrelid = %s::regclass"
    assert ds.rows(triggers, T) == ds.rows(triggers, "theirs")
    assert ds.value(f"SELECT pg_get_serial_sequence('{T}', '_id')") == f'public."{RID}__id_seq"'
    assert ds.value(f"SELECT conname FROM pg_constraint WHERE conrelid = '{T}'::regclass") == f"{RID}_pkey"


def test_rows_that_come_by_api_afterwards_get_the_next_id_and_full_text(ds: Datastore) -> None:
    load(ds, people())
    ds.run(f"INSERT INTO {T} (name) VALUES ('Cleo')")
    assert ds.rows(f"SELECT _id, name FROM {T} WHERE _full_text @@ to_tsquery('cleo')") == [(4, "Cleo")]


def test_a_header_without_rows_is_an_empty_table(ds: Datastore) -> None:
    load(ds, MadeTable(PEOPLE, []))
    ds.run(f"INSERT INTO {T} (name) VALUES ('first')")
    assert ds.rows(f"SELECT _id, name, age FROM {T}") == [(1, "first", None)]


def test_the_full_text_index_has_ckans_name_and_the_sites_kind(ds: Datastore) -> None:
    load(ds, people())
    name = index_name(RID, '"_full_text"')
    assert ds.value("SELECT indexdef FROM pg_indexes WHERE indexname = %s", name).endswith("USING gist (_full_text)")
    ds.create("other", "a text")
    ds.run("CREATE INDEX ON other USING gin (_full_text)")
    ds.run(f"DROP TABLE {T}")
    load(ds, people())
    assert ds.value("SELECT indexdef FROM pg_indexes WHERE indexname = %s", name).endswith("USING gin (_full_text)")


def test_text_columns_get_a_full_text_index_of_their_own_where_the_site_has_that(ds: Datastore) -> None:
    ds.create("other", "a text")
    ds.run("CREATE INDEX ON other USING gist (to_tsvector('english', a))")
    load(ds, people())
    name = index_name(RID, """to_tsvector('english', "name")""")
    assert ds.value("SELECT indexdef FROM pg_indexes WHERE indexname = %s", name).endswith(
        "USING gist (to_tsvector('english'::regconfig, name))"
    )


def test_the_read_role_may_read_and_nothing_else(ds: Datastore) -> None:
    ds.run(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM {READER}")
    load(ds, people())
    can = "SELECT has_table_privilege(%s, %s, 'SELECT'), has_table_privilege(%s, %s, 'INSERT')"
    assert ds.rows(can, READER, T, READER, T) == [(True, False)]


def test_ckans_view_lists_the_table_and_no_staging_remains(ds: Datastore) -> None:
    load(ds, people())
    assert ds.rows("SELECT name, alias_of FROM _table_metadata WHERE name = %s", RID) == [(RID, None)]
    assert ds.leftovers() == []


def test_wanted_indexes_key_and_aliases_get_ckans_names(ds: Datastore) -> None:
    load(ds, people(), primary_key=("age", "name"), indexes=(("name",),), aliases=("people", "folk"))
    found = dict(ds.rows("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", RID))
    assert "UNIQUE" in found[index_name(RID, '"age", "name"')]
    assert found[index_name(RID, '"name"')].endswith("USING btree (name)")
    assert ds.rows("SELECT name, age FROM people") == ds.rows("SELECT name, age FROM folk") == NAMES_AND_AGES
    assert ds.value("SELECT has_table_privilege(%s, 'people', 'SELECT')", READER)


def test_a_file_error_at_the_very_end_leaves_the_old_table(old: Datastore) -> None:
    with pytest.raises(FileError):
        load(old, people(error=FileError("too-many-rejects", "6% of the rows")))
    assert content(old) == [("Old", 99)]
    assert old.leftovers() == []


def test_a_value_that_postgresql_refuses_is_named_with_column_and_row(old: Datastore) -> None:
    rows = [[f"row {number}", str(number)] for number in range(5000)]
    rows[3210][1] = "twelve"
    with pytest.raises(JobError) as caught:
        load(old, MadeTable(PEOPLE, rows, size=700))
    assert caught.value.details == {"Column": "age", "Row": 3212, "Value": "twelve", "Type": "numeric"}
    assert content(old) == [("Old", 99)]


def test_rows_that_share_a_key_are_told(old: Datastore) -> None:
    with pytest.raises(JobError, match=r"same name.*\(Ada\) is duplicated"):
        load(old, MadeTable(PEOPLE, [["Ada", "1"], ["Ada", "2"]]), primary_key=("name",))
    assert content(old) == [("Old", 99)]


def test_an_alias_that_is_another_table_is_told(old: Datastore) -> None:
    old.create("taken", "a text")
    with pytest.raises(JobError, match="'taken' is taken"):
        load(old, people(), aliases=("taken",))


def test_a_table_too_wide_for_postgresql_is_told(ds: Datastore) -> None:
    columns = tuple(text_column(position, f"c{position}") for position in range(1500))
    with pytest.raises(JobError, match="PostgreSQL cannot hold this table"):
        load(ds, MadeTable(columns, [["long enough a text"] * 1500]))


def test_a_database_that_cannot_be_reached_is_tried_again() -> None:
    with pytest.raises(Transient, match="cannot be reached"):
        CopyLoader("postgresql://nobody@127.0.0.1:1/none", None).load(people(), Target(resource_id=RID), Report(logging_outlet))


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cr%zzt@127.0.0.1:1/d", "postgresql://u:s3cr3t@[::1/d", "postgresql://u:s3cr3t@h:x/d"]
)
def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(Transient) as caught:
        CopyLoader(url, None).load(people(), Target(resource_id=RID), Report(logging_outlet))
    assert "s3cr" not in caught.value.message


def test_a_role_that_may_not_write_is_told(ds: Datastore) -> None:
    ds.run(f"ALTER ROLE {READER} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    url = ds.url.replace("postgres@", f"{READER}@")
    with pytest.raises(JobError, match="DATASTORE_WRITE_URL"):
        CopyLoader(url, None).load(people(), Target(resource_id=RID), Report(logging_outlet))


def test_two_loads_of_one_resource_do_not_meet(old: Datastore) -> None:
    class Nosy(MadeTable):
        def batches(self):  # type: ignore[no-untyped-def]
            with pytest.raises(Postponed):
                load(old, people())
            yield from MadeTable.batches(self)

    load(old, Nosy(people().columns, ROWS))
    assert content(old) == NAMES_AND_AGES


def test_a_load_removes_old_staging_tables_that_nobody_holds(ds: Datastore) -> None:
    ds.run("CREATE TABLE _stg_1000000000_ab (a text); CREATE TABLE _stg_9999999999_ab (a text); CREATE TABLE _stg_x (a text)")
    load(ds, people())
    assert set(ds.leftovers()) == {"_stg_9999999999_ab", "_stg_x"}
    assert content(ds) == NAMES_AND_AGES


def test_an_old_staging_table_that_is_in_use_stays_and_the_load_ends(ds: Datastore) -> None:
    ds.run("CREATE TABLE _stg_1000000000_ab (a text)")
    with psycopg2.connect(ds.url) as other:
        other.cursor().execute("LOCK TABLE _stg_1000000000_ab")
        load(ds, people())
    other.close()
    assert ds.leftovers() == ["_stg_1000000000_ab"]


def test_an_old_staging_table_that_cannot_be_dropped_is_no_hindrance(ds: Datastore) -> None:
    ds.run("CREATE TABLE _stg_1000000000_ab (a text); CREATE VIEW _somebodys AS SELECT a FROM _stg_1000000000_ab")
    load(ds, people())
    assert content(ds) == NAMES_AND_AGES
    assert ds.leftovers() == ["_stg_1000000000_ab"]


def test_a_pooled_connection_is_handed_on_as_it_was(old: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    class Pooled(psycopg2.extensions.connection):
        def close(self) -> None:
            kept.append(self)

    connect = psycopg2.connect
    monkeypatch.setattr(psycopg2, "connect", lambda *args, **names: connect(*args, connection_factory=Pooled, **names))
    load(old, people(), primary_key=("name",))
    monkeypatch.undo()
    (connection,) = kept
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE source = 'session'")
        changed = [name for (name,) in cursor.fetchall()]
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'")
        locks = cursor.fetchone()
    psycopg2.extensions.connection.close(connection)
    assert (changed, locks) == ([], (0,))


@pytest.mark.parametrize("name", ["größe %s", "it's (a) :name", "SELECT", "列" * 21, 'say \\ "no"'])
def test_a_column_may_have_any_name_that_ckan_allows_and_others_too(old: Datastore, name: str) -> None:
    columns = (text_column(0, name), number_column(1, "age"))
    load(old, MadeTable(columns, [["x", "1"]]), indexes=((name,),))
    load(old, MadeTable(columns, [["y", "2"]]))
    shown = name.replace('"', '""').replace("%", "%%")
    assert old.rows(f'SELECT "{shown}" FROM {T} WHERE age = %s', 2) == [("y",)]
    indexed = "SELECT count(*) FROM pg_indexes WHERE tablename = %s AND indexname = %s"
    assert old.value(indexed, RID, index_name(RID, '"' + name.replace('"', '""') + '"')) == 1
