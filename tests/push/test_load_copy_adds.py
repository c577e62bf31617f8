"""The COPY loader in modes append and upsert."""

import pytest

from schemas.errors import JobError, Transient
from tests.push.copying import NAMES_AND_AGES, PEOPLE, RID, T, content, load, people
from tests.push.datastore_database import Datastore, MadeTable, number_column, text_column
from tests.push.test_load_copy_readers import held, reading


@pytest.fixture
def keyed(old: Datastore) -> Datastore:
    """Old (99), Ada (1) and Bob (7), told apart by their names."""
    old.run(f"""INSERT INTO {T} (name, age, gone) VALUES ('Ada', 1, 'kept'), ('Bob', 7, 'b');
                CREATE UNIQUE INDEX of_name ON {T} (name)""")
    return old


def test_append_to_no_table_makes_one(ds: Datastore) -> None:
    load(ds, people(), mode="append")
    assert content(ds) == NAMES_AND_AGES


def test_append_puts_the_rows_behind_the_old_ones_in_their_order(old: Datastore) -> None:
    loaded = load(old, people(), mode="append")
    assert content(old) == [("Old", 99), *NAMES_AND_AGES]
    assert (loaded.rows, loaded.table_rows) == (3, 4)
    assert old.rows(f"SELECT _id, gone FROM {T} WHERE _full_text @@ to_tsquery('ada')") == [(2, None)]
    assert old.leftovers() == []


@pytest.mark.parametrize("table", [people(), MadeTable((*PEOPLE, text_column(2, "town")), [["Ada", "36", "London"]])])
def test_rows_that_an_earlier_attempt_appended_are_not_appended_again(old: Datastore, table: MadeTable) -> None:
    old.run(f"COMMENT ON TABLE {T} IS 'mine'")
    loads = [load(old, table, mode="append", job_id="job-1") for _ in range(2)]
    assert [one.table_rows for one in loads] == [1 + len(table.cells)] * 2
    load(old, table, mode="append", job_id="job-2")
    assert len(content(old)) == 1 + 2 * len(table.cells)
    assert old.value(f"SELECT obj_description('{T}'::regclass)").startswith("mine\n")
    assert old.leftovers() == []


def test_a_table_that_an_earlier_attempt_made_is_not_appended_to(ds: Datastore) -> None:
    for _ in range(2):
        load(ds, people(), mode="append", job_id="job-1")
    assert content(ds) == NAMES_AND_AGES


def test_who_appended_to_a_table_is_not_handed_down_to_the_next(old: Datastore) -> None:
    load(old, people(), mode="append", job_id="job-1")
    load(old, people(), job_id="job-2")
    load(old, people(), mode="append", job_id="job-1")
    assert content(old) == [*NAMES_AND_AGES, *NAMES_AND_AGES]


def test_append_keeps_the_tables_types(old: Datastore) -> None:
    load(old, MadeTable((number_column(0, "name"), number_column(1, "age")), [["5", "1"]]), mode="append")
    assert content(old) == [("Old", 99), ("5", 1)]


def test_append_writes_into_bigint_and_date_columns(ds: Datastore) -> None:
    ds.create(RID, "n bigint, day date")
    columns = (number_column(0, "n"), text_column(1, "day", rich="date", ckan="timestamp"))
    load(ds, MadeTable(columns, [["12", "2020-01-31"]]), mode="append")
    assert ds.rows(f"SELECT n::text, day::text FROM {T}") == [("12", "2020-01-31")]


def test_append_of_values_that_a_column_cannot_take_names_the_column(old: Datastore) -> None:
    columns = (text_column(0, "name"), text_column(1, "age", rich="date", ckan="timestamp"))
    with pytest.raises(JobError, match="'age' of the table is numeric, but the file's values are date"):
        load(old, MadeTable(columns, [["x", "2020-01-01"]]), mode="append")


def test_append_of_text_to_a_number_column_names_the_row(old: Datastore) -> None:
    columns = (text_column(0, "name"), text_column(1, "age"))
    with pytest.raises(JobError, match="'old' of column 'age' in row 3 is no numeric"):
        load(old, MadeTable(columns, [["x", "007"], ["y", "old"]]), mode="append")
    assert content(old) == [("Old", 99)]


NEW_COLUMN = MadeTable((*PEOPLE, text_column(2, "town")), [["Ada", "36", "London"]])


def test_drift_add_widens_the_table_and_keeps_what_hangs_on_it(keyed: Datastore) -> None:
    keyed.run(f"CREATE VIEW people AS SELECT * FROM {T}; COMMENT ON COLUMN {T}.gone IS 'g'")
    load(keyed, MadeTable((*PEOPLE, text_column(2, "town")), [["Cleo", "36", "London"]]), mode="append", drift="add")
    assert keyed.rows("SELECT _id, name, age, gone, town FROM people ORDER BY _id") == [
        (1, "Old", 99, "x", None), (2, "Ada", 1, "kept", None), (3, "Bob", 7, "b", None), (4, "Cleo", 36, None, "London"),
    ]  # fmt: skip
    assert keyed.value(f"SELECT col_description('{T}'::regclass, 5)") == "g"
    assert keyed.value(f"SELECT _full_text @@ to_tsquery('kept') FROM {T} WHERE name = 'Ada'")
    assert keyed.value("SELECT indexdef FROM pg_indexes WHERE indexname = 'of_name'").startswith("CREATE UNIQUE")


def test_drift_add_goes_on_with_the_ids_where_the_old_table_ended(old: Datastore) -> None:
    load(old, NEW_COLUMN, mode="append", drift="add")
    old.run(f"INSERT INTO {T} (name) VALUES ('later')")
    assert old.rows(f"SELECT _id, name FROM {T} ORDER BY _id") == [(1, "Old"), (2, "Ada"), (3, "later")]


def test_a_wider_table_may_get_its_first_key(old: Datastore) -> None:
    load(old, NEW_COLUMN, mode="upsert", primary_key=("name",), drift="add")
    load(old, NEW_COLUMN, mode="upsert")
    assert content(old) == [("Old", 99), ("Ada", 36)]


def test_drift_keep_leaves_new_columns_out(old: Datastore) -> None:
    loaded = load(old, NEW_COLUMN, mode="append", drift="keep")
    assert content(old) == [("Old", 99), ("Ada", 36)]
    assert loaded.drift.added == ("town",)


def test_drift_fail_changes_nothing(old: Datastore) -> None:
    with pytest.raises(JobError, match="drift"):
        load(old, NEW_COLUMN, mode="append", drift="fail")
    assert content(old) == [("Old", 99)]


def test_upsert_changes_adds_and_leaves(keyed: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    before = keyed.rows(f"SELECT name, xmin::text FROM {T} ORDER BY name")
    loaded = load(keyed, MadeTable(PEOPLE, [["Cleo", "5"], ["Bob", "7"], ["Ada", "36"]]), mode="upsert")
    assert keyed.rows(f"SELECT _id, name, age, gone FROM {T} ORDER BY _id") == [
        (1, "Old", 99, "x"), (2, "Ada", 36, "kept"), (3, "Bob", 7, "b"), (4, "Cleo", 5, None),
    ]  # fmt: skip
    assert keyed.rows(f"SELECT name, xmin::text FROM {T} WHERE name = 'Bob'") == [row for row in before if row[0] == "Bob"]
    assert "1 rows are new, 1 changed, 1 are as they were" in caplog.text
    assert (loaded.rows, loaded.table_rows) == (3, 4)


def test_upsert_searches_the_whole_changed_row(keyed: Datastore) -> None:
    load(keyed, MadeTable(PEOPLE, [["Ada", "36"]]), mode="upsert")
    assert keyed.value(f"SELECT _full_text::text FROM {T} WHERE name = 'Ada'") == "'36':2 'ada':1 'kept':3"


def test_of_rows_with_one_key_the_last_counts(keyed: Datastore, caplog: pytest.LogCaptureFixture) -> None:
    load(keyed, MadeTable(PEOPLE, [["Ada", "2"], ["New", "1"], ["Ada", "3"], ["New", "2"]]), mode="upsert")
    assert content(keyed) == [("Old", 99), ("Ada", 3), ("Bob", 7), ("New", 2)]
    assert "2 rows have a key that comes again" in caplog.text


def test_upsert_with_a_key_for_the_first_time_makes_it_unique(old: Datastore) -> None:
    load(old, MadeTable(PEOPLE, [["Old", "100"]]), mode="upsert", primary_key=("name",))
    assert content(old) == [("Old", 100)]
    load(old, MadeTable(PEOPLE, [["Old", "101"], ["New", "1"]]), mode="upsert")
    assert content(old) == [("Old", 101), ("New", 1)]


def test_upsert_needs_a_key_that_tells_rows_apart(old: Datastore) -> None:
    with pytest.raises(JobError, match="primary_key"):
        load(old, MadeTable(PEOPLE, [["Old", "100"]]), mode="upsert")
    old.run(f"INSERT INTO {T} (name) VALUES ('Old')")
    with pytest.raises(JobError, match="share the same name"):
        load(old, MadeTable(PEOPLE, [["Old", "100"]]), mode="upsert", primary_key=("name",))


def test_upsert_refuses_a_row_without_key_and_another_key(keyed: Datastore) -> None:
    with pytest.raises(JobError, match=r"Row 3 has no value in the key \(name\)"):
        load(keyed, MadeTable(PEOPLE, [["Ada", "3"], [None, "4"]]), mode="upsert")
    with pytest.raises(JobError, match="The table's key is name, not age"):
        load(keyed, MadeTable(PEOPLE, [["Ada", "3"]]), mode="upsert", primary_key=("age",))


def test_upsert_compares_json(ds: Datastore) -> None:
    ds.create(RID, "name text, tree json", [["a", '{"b": 1}'], ["b", None]])
    ds.run(f"CREATE UNIQUE INDEX of_name ON {T} (name)")
    columns = (text_column(0, "name"), text_column(1, "tree", rich="json", ckan="json"))
    load(ds, MadeTable(columns, [["a", '{"b": 1}'], ["b", "[2]"]]), mode="upsert")
    assert ds.rows(f"SELECT name, tree::text FROM {T} ORDER BY _id") == [("a", '{"b": 1}'), ("b", "[2]")]


def test_added_rows_pass_the_tables_own_triggers(old: Datastore) -> None:
    old.run(f"""CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.name := upper(NEW.name) || ' loud'; RETURN NEW; END $$;
                CREATE TRIGGER t000 BEFORE INSERT OR UPDATE ON {T} FOR EACH ROW EXECUTE FUNCTION shout()""")
    load(old, people(), mode="append")
    assert old.rows(f"SELECT name FROM {T} WHERE _full_text @@ to_tsquery('loud') AND _id = 2") == [("ADA loud",)]


def test_readers_never_wait_for_added_rows_and_see_all_or_none(old: Datastore) -> None:
    rows: list[list[str | None]] = [[f"person {number}", "1"] for number in range(5_000)]
    with held(old, f"SELECT * FROM {T}"), reading(old, f"SELECT count(*) FROM {T}") as (reader,):
        load(old, MadeTable(PEOPLE, rows), mode="append")
    assert reader.seen <= {1, 5_001}
    assert reader.errors == []


def test_another_writer_is_waited_for_but_not_for_ever(old: Datastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.push.merge.WRITER_TIMEOUT_S", 0.2)
    with held(old, f"UPDATE {T} SET age = 1"), pytest.raises(Transient, match="did not become free"):
        load(old, people(), mode="append")


def test_ckan_2_12_knows_the_number_of_rows_after_an_append(old: Datastore) -> None:
    old.as_ckan_2_12()
    load(old, people(), mode="append")
    assert old.rows("SELECT * FROM _table_stats") == [(RID, {"rows": 4})]
