"""The COPY loader in mode replace: what of the old table survives."""

import pytest

from consumer.push.datastore_schema import index_name
from schemas.errors import JobError
from tests.push.copying import NAMES_AND_AGES, PEOPLE, RID, T, content, load, people
from tests.push.datastore_database import READER, Datastore, MadeTable, text_column


def test_the_old_rows_are_replaced_and_ids_begin_at_one(old: Datastore) -> None:
    load(old, people())
    assert content(old) == NAMES_AND_AGES
    assert old.value(f"SELECT min(_id) FROM {T}") == 1
    assert old.leftovers() == []


@pytest.mark.parametrize(
    "text", ['{"label": "Name"}', ' {"_info":{"label":"Name"},"xloader":{"strip_extra_white":"False"}}', "ours"]
)
def test_the_data_dictionary_is_kept_as_it_is(old: Datastore, text: str) -> None:
    old.run(f"COMMENT ON COLUMN {T}.name IS '{text}'; COMMENT ON TABLE {T} IS 'a table'")
    load(old, people())
    assert old.value(f"SELECT col_description('{T}'::regclass, 3)") == text
    assert old.value(f"SELECT obj_description('{T}'::regclass)") == "a table"


@pytest.mark.parametrize(
    ("form", "expected"),
    [('{"notes": "n"}', '{"label": "NAME "}'), (' {"_info":{"notes":"n"}}', ' {"_info":{"label":"NAME "}}')],
)
def test_a_new_label_is_written_as_that_ckan_writes_it(ds: Datastore, form: str, expected: str) -> None:
    ds.create("other", "a text")
    ds.run(f"COMMENT ON COLUMN other.a IS '{form}'")
    load(ds, MadeTable((text_column(0, "NAME", label="NAME "),), [["x"]]))
    assert ds.value(f"SELECT col_description('{T}'::regclass, 3)") == expected


def test_a_new_label_joins_what_the_dictionary_says(old: Datastore) -> None:
    old.run(f"""COMMENT ON COLUMN {T}.name IS ' {{"_info":{{"notes":"n"}},"p":1}}'""")
    load(old, MadeTable((text_column(0, "name", label="Name:"), PEOPLE[1]), [["x", "1"]]))
    assert old.value(f"SELECT col_description('{T}'::regclass, 3)") == ' {"_info":{"notes":"n","label":"Name:"},"p":1}'


def test_indexes_and_key_are_kept_by_name_and_kind(old: Datastore) -> None:
    old.run(f"""CREATE UNIQUE INDEX ours_key ON {T} (name); CREATE INDEX partly ON {T} (age DESC) WHERE age > 3;
                CREATE INDEX of_gone ON {T} (gone); CREATE INDEX fts ON {T} USING gin (_full_text)""")
    before = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s ORDER BY 1"
    kept = [row for row in old.rows(before, RID) if row[0] != "of_gone"]
    load(old, people())
    named = index_name(RID, '"_full_text"')
    assert [row for row in old.rows(before, RID) if row[0] != named] == kept


def test_a_key_whose_column_is_gone_is_left_out_and_told(old: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    old.run(f"CREATE UNIQUE INDEX of_gone ON {T} (gone)")
    load(old, people())
    assert "of_gone" in caplog.text


def test_given_indexes_replace_the_old_ones_but_not_the_key(old: Datastore) -> None:
    old.run(f"CREATE UNIQUE INDEX ours_key ON {T} (name); CREATE INDEX of_name ON {T} (name)")
    load(old, people(), indexes=(("age",),))
    names = {name for (name,) in old.rows("SELECT indexname FROM pg_indexes WHERE tablename = %s", RID)}
    assert names == {f"{RID}_pkey", "ours_key", index_name(RID, '"age"'), index_name(RID, '"_full_text"')}


def test_an_index_too_narrow_for_the_new_texts_is_left_out_and_told(old: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    old.run(f"CREATE INDEX of_name ON {T} (name)")
    incompressible = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(9000))
    load(old, MadeTable(PEOPLE, [[incompressible, "1"]]))
    assert old.rows("SELECT indexname FROM pg_indexes WHERE indexname = 'of_name'") == []
    assert "of_name" in caplog.text


def test_owner_and_grants_are_kept(old: Datastore) -> None:
    old.run(f"ALTER TABLE {T} OWNER TO {READER}; GRANT UPDATE, INSERT ON {T} TO pg_monitor WITH GRANT OPTION")
    load(old, people())
    assert old.value("SELECT tableowner FROM pg_tables WHERE tablename = %s", RID) == READER
    assert old.value("SELECT has_table_privilege('pg_monitor', %s, 'INSERT WITH GRANT OPTION')", T)
    assert old.value(f"SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '\"{RID}__id_seq\"'::regclass") == READER


def test_aliases_show_the_new_columns_and_keep_their_grants(old: Datastore) -> None:
    old.run(f"CREATE VIEW people AS SELECT * FROM {T}; GRANT UPDATE ON people TO pg_monitor")
    load(old, MadeTable((text_column(0, "fresh"),), [["x"]]))
    assert old.rows("SELECT * FROM people") == [(1, "'x':1", "x")]
    assert old.value("SELECT has_table_privilege('pg_monitor', 'people', 'UPDATE')")
    assert old.value("SELECT alias_of FROM _table_metadata WHERE name = 'people'") == RID


def test_views_of_others_are_made_again_or_told_to_be_gone(old: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    old.run(f"""CREATE VIEW adults AS SELECT name FROM {T} WHERE age > 18; CREATE VIEW old_ones AS SELECT * FROM adults;
                CREATE VIEW lost AS SELECT gone FROM {T}""")
    load(old, people())
    assert old.rows("SELECT name FROM old_ones") == [("Ada",)]
    assert "The view lost" in caplog.text


def test_given_aliases_replace_the_old_ones(old: Datastore) -> None:
    old.run(f"CREATE VIEW people AS SELECT * FROM {T}")
    load(old, people(), aliases=("folk",))
    assert old.rows("SELECT name FROM _table_metadata WHERE alias_of = %s", RID) == [("folk",)]


def test_the_tables_own_triggers_see_every_row_and_stay(old: Datastore) -> None:
    old.run(f"""CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.name := upper(NEW.name); RETURN NEW; END $$;
                CREATE TRIGGER t000 BEFORE INSERT OR UPDATE ON {T} FOR EACH ROW EXECUTE FUNCTION shout()""")
    load(old, people())
    assert [name for name, _ in content(old)] == ["ADA", "BOB", None]
    old.run(f"INSERT INTO {T} (name) VALUES ('cleo')")
    assert old.rows(f"SELECT name FROM {T} WHERE _full_text @@ 'cleo'") == [("CLEO",)]
    load(old, people())
    assert [name for name, _ in content(old)] == ["ADA", "BOB", None]


def test_a_trigger_that_refuses_a_row_fails_the_job_with_its_words(old: Datastore) -> None:
    old.run(f"""CREATE FUNCTION strict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'no such person: %', NEW.name; END $$;
                CREATE TRIGGER t000 BEFORE INSERT ON {T} FOR EACH ROW EXECUTE FUNCTION strict()""")
    with pytest.raises(JobError, match="no such person: Ada"):
        load(old, people())
    assert content(old) == [("Old", 99)]


def test_ckan_2_12_knows_the_new_number_of_rows(old: Datastore) -> None:
    old.as_ckan_2_12()
    old.run(f"""INSERT INTO _table_stats VALUES ('{RID}', '{{"rows": 1}}')""")
    load(old, people())
    assert old.rows("SELECT * FROM _table_stats") == [(RID, {"rows": 3})]


def test_the_planner_knows_the_new_table(old: Datastore) -> None:
    load(old, people())
    assert old.value(f"SELECT reltuples FROM pg_class WHERE oid = '{T}'::regclass") == 3
    assert old.value("SELECT count(*) FROM pg_stats WHERE tablename = %s AND attname IN ('name', 'age')", RID) == 2
