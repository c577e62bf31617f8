"""The API loader against the sandbox: what is in the table afterwards, and what the calls were."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consumer.push.ckan import Ckan
from consumer.push.dictionary import overrides
from consumer.push.load import Loaded, Target
from consumer.push.load_api import ApiLimits, ApiLoader
from consumer.push.options import Options
from consumer.push.read import read
from consumer.push.table import DelimitedText
from consumer.report import Report
from sandbox.server import Sandbox
from schemas.errors import FileError, JobError, Transient
from schemas.messages import Json, Kind

#: Eleven rows in chunks of four: three calls.
FOURS = ApiLimits(rows=4)
ELEVEN = "id,name\n" + "".join(f"{number},n{number}\n" for number in range(1, 12))


@dataclass
class Loading:
    """Loads texts into one resource of a sandbox; waits are noted, not waited."""

    sandbox: Sandbox
    folder: Path
    resource_id: str
    logs: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def load(self, text: str, limits: ApiLimits = FOURS, metadata: dict[str, Any] | None = None, **target: Any) -> Loaded:
        path = self.folder / "file.csv"
        path.write_text(text)
        ckan = Ckan(self.sandbox.url, self.sandbox.token)
        existing = ckan.table(self.resource_id)
        wanted = Target(resource_id=self.resource_id, existing=existing, **target)
        table = read(DelimitedText(path), Options.parse(metadata), overrides(existing, wanted.mode))
        loader = ApiLoader(ckan, limits, self.folder, self.waits.append)
        return loader.load(table, wanted, Report(self._told))

    def _told(self, kind: Kind, data: Any) -> None:
        if kind is Kind.LOG:
            self.logs.append(data["message"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.sandbox.table(self.resource_id).rows

    def column(self, name: str) -> list[Any]:
        return self.sandbox.table(self.resource_id).column(name)

    def sent(self, action: str) -> list[dict[str, Any]]:
        return [request.json for request in self.sandbox.calls(action)]

    def info(self, name: str) -> dict[str, Json]:
        fields = self.sandbox.table(self.resource_id).fields
        return next(one for one in fields if one["id"] == name).get("info") or {}


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[Loading]:
    with Sandbox() as sandbox:
        resource = sandbox.add_resource("http://example.org/a.csv")
        yield Loading(sandbox, tmp_path, str(resource["id"]))


# ----------------------------------------------------------------------------------------------------------- replacing


def test_a_small_file_costs_one_call(loading: Loading) -> None:
    loaded = loading.load("a,b\n1,x\n2,\n", ApiLimits())
    assert loading.rows == [{"_id": 1, "a": 1, "b": "x"}, {"_id": 2, "a": 2, "b": None}]
    assert (loaded.rows, loaded.table_rows, loaded.chunks) == (2, 2, 1)
    assert loading.sent("datastore_create")[0]["calculate_record_count"] is False  # the look that checks its rows has it count
    assert loading.sent("datastore_upsert") == loading.sent("datastore_delete") == []


def test_a_larger_file_comes_in_chunks_in_its_own_order_counted_once(loading: Loading) -> None:
    loaded = loading.load(ELEVEN)
    assert loading.column("id") == list(range(1, 12)) == loading.column("_id")
    calls = loading.sent("datastore_upsert")
    assert [len(call["records"]) for call in calls] == [4, 4, 3]
    assert [call["calculate_record_count"] for call in calls] == [False, False, True]
    assert {call["method"] for call in calls} == {"insert"} and loaded.chunks == 3


def test_a_chunk_is_cut_by_bytes_too(loading: Loading) -> None:
    loading.load(ELEVEN, ApiLimits(rows=100, bytes=100))
    calls = loading.sandbox.calls("datastore_upsert")
    assert len(calls) == 3 and loading.column("id") == list(range(1, 12))


def test_values_arrive_exactly(loading: Loading) -> None:
    text = 'number,text,day\n12345678901234567890.123456789,"quote "" \\ tab\t, ünï\nline",2024-01-31\n1e3,☃,2024-02-01 10:00\n'
    loading.load(text, ApiLimits())
    table = loading.sandbox.table(loading.resource_id, exact=True)
    assert str(table.column("number")[0]) == "12345678901234567890.123456789"
    assert table.column("text") == ['quote " \\ tab\t, ünï\nline', "☃"]
    assert table.types == {"number": "numeric", "text": "text", "day": "timestamp"}


def test_json_columns_hold_objects(loading: Loading) -> None:
    text = 'n,j,k\n1,"{""a"": [1, null]}",[]\n2,,"{}"\n'
    loading.load(text, ApiLimits(), {"types": {"j": "json", "k": "json"}})
    assert loading.column("j") == [{"a": [1, None]}, None]
    assert loading.column("k") == [[], {}]


def test_a_file_without_rows_makes_an_empty_table(loading: Loading) -> None:
    loading.load(ELEVEN)
    loaded = loading.load("a,b\n")
    assert (loaded.rows, loading.rows) == (0, [])
    assert loading.sandbox.table(loading.resource_id).types == {"a": "text", "b": "text"}


def test_an_unordered_load_brings_every_row_once(loading: Loading) -> None:
    loading.load(ELEVEN, unordered=True)
    assert sorted(loading.column("id")) == list(range(1, 12))


def test_an_unordered_load_gives_both_connections_as_much_and_is_counted_behind_both(loading: Loading) -> None:
    loading.load(ELEVEN, unordered=True)
    *chunks, counting = loading.sent("datastore_upsert")
    assert sorted(len(one["records"]) for one in chunks) == [2, 3, 3, 3]
    assert [one["calculate_record_count"] for one in chunks] == [False] * 4
    assert (counting.get("records"), counting["calculate_record_count"]) == (None, True)


def test_nothing_changes_where_the_file_is_wrong(loading: Loading) -> None:
    loading.load("a\n1\n", ApiLimits())
    loading.sandbox.forget_requests()
    with pytest.raises(FileError):
        loading.load("a,b\n1,2\n3,4,5\n", metadata={"max_rejects": "0"})
    assert loading.rows == [{"_id": 1, "a": 1}]
    assert {request.action for request in loading.sandbox.requests} == {"datastore_info"}


# ---------------------------------------------------------------------------------------- what the old table hands down


def test_the_data_dictionary_survives_by_name_and_by_former_name(loading: Loading) -> None:
    fields = [{"id": "a", "type": "text", "info": {"label": "Alpha", "notes": "first"}},
              {"id": "Price  (€)", "type": "text", "info": {"notes": "in euros"}}]  # fmt: skip
    loading.sandbox.call("datastore_create", resource_id=loading.resource_id, force=True, fields=fields)
    loaded = loading.load("a,Price  (€),_c\n1,2,3\n", ApiLimits())
    assert loading.info("a") == {"label": "Alpha", "notes": "first"}
    assert loading.info("Price (€)") == {"label": "Price  (€)", "notes": "in euros"}
    assert loading.info("c") == {"label": "_c"}
    assert loaded.drift.added == ("Price (€)", "c") and loaded.drift.gone == ("Price  (€)",)
    assert loaded.drift.retyped == (("a", "text", "numeric"),)


def test_the_dictionarys_types_and_white_space_win(loading: Loading) -> None:
    fields = [{"id": "zip", "type": "text", "info": {"type_override": "text"}},
              {"id": "raw", "type": "text", "info": {"strip_extra_white": "false"}}]  # fmt: skip
    loading.sandbox.call("datastore_create", resource_id=loading.resource_id, force=True, fields=fields)
    loading.load("zip,raw,cut\n1234, x ,  y \n", ApiLimits())
    assert loading.rows == [{"_id": 1, "zip": "1234", "raw": " x ", "cut": "y"}]


def test_key_indexes_and_aliases_survive_as_far_as_their_columns_do(loading: Loading) -> None:
    loading.load("a,b,c\n1,2,3\n", primary_key=("a", "b"), indexes=(("b",), ("c",)), aliases=("numbers",))
    loading.load("b,a,d\n1,2,3\n")
    table = Ckan(loading.sandbox.url, loading.sandbox.token).table(loading.resource_id)
    assert table is not None and set(table.key) == {"a", "b"}
    assert table.indexes == (("b",),) and table.aliases == ("numbers",)


def test_an_index_on_a_column_that_is_not_there_is_refused_before_anything_changes(loading: Loading) -> None:
    loading.load("a\n1\n")
    with pytest.raises(JobError, match=r"indexes.*nope"):
        loading.load("a\n2\n", indexes=(("nope",),))
    assert loading.column("a") == [1]


@pytest.mark.parametrize("alias", ["_hidden", "50%", "taken"])
def test_an_alias_that_cannot_be_had_is_refused_before_anything_changes(loading: Loading, alias: str) -> None:
    other = loading.sandbox.add_resource("http://example.org/b.csv")["id"]
    loading.sandbox.call(
        "datastore_create", resource_id=other, force=True, fields=[{"id": "x", "type": "text"}], aliases=["taken"]
    )
    loading.load("a\n1\n")
    with pytest.raises(JobError, match=f"alias '{alias}'"):
        loading.load("a\n2\n", aliases=(alias,))
    assert loading.column("a") == [1]


def test_profiles_go_into_the_dictionary_where_that_is_wanted(loading: Loading) -> None:
    loading.load("a\n1\n2\n", profile_to_dictionary=True)
    profile = loading.info("a")["profile"]
    assert isinstance(profile, dict) and profile["distinct"] == 2


# ---------------------------------------------------------------------------------------------------- append and upsert


def test_append_adds_rows_and_columns(loading: Loading) -> None:
    loading.load("a,b\n1,x\n")
    loaded = loading.load("a,c\n2,y\n3,z\n", mode="append")
    assert [list(row.values()) for row in loading.rows] == [[1, 1, "x", None], [2, 2, None, "y"], [3, 3, None, "z"]]
    assert (loaded.rows, loaded.table_rows) == (2, 3)
    assert loaded.drift.added == ("c",) and loaded.drift.gone == ("b",)


def test_append_keeps_the_tables_columns_where_that_is_wanted(loading: Loading) -> None:
    loading.load("a,b\n1,x\n")
    loading.load("a,c\n2,y\n", mode="append", drift="keep")
    assert loading.rows[1] == {"_id": 2, "a": 2, "b": None}


def test_append_fails_on_other_columns_where_that_is_wanted(loading: Loading) -> None:
    loading.load("a,b\n1,x\n")
    with pytest.raises(JobError, match="not those of the table") as caught:
        loading.load("a,c\n2,y\n", mode="append", drift="fail")
    assert caught.value.details == {"New columns": "c", "Missing columns": "b"}
    assert len(loading.rows) == 1


def test_append_rejects_what_does_not_fit_the_tables_types(loading: Loading) -> None:
    loading.load("a\n1\n")
    loaded = loading.load("a\n2\nx\n3\n", mode="append", metadata={"max_rejects": "1"})
    assert loading.column("a") == [1, 2, 3] and loaded.rows == 2


def test_upsert_replaces_rows_of_the_same_key_also_with_null(loading: Loading) -> None:
    loading.load("k,v\n1,x\n2,y\n", primary_key=("k",))
    loaded = loading.load("k,v\n2,\n3,z\n", mode="upsert")
    assert sorted((row["k"], row["v"]) for row in loading.rows) == [(1, "x"), (2, None), (3, "z")]
    assert (loaded.rows, loaded.table_rows) == (2, 3)


def test_upsert_without_a_key_says_what_is_missing(loading: Loading) -> None:
    loading.load("k\n1\n")
    with pytest.raises(JobError, match="primary_key"):
        loading.load("k\n1\n", mode="upsert")


# ------------------------------------------------------------------------------------------------------- when it breaks


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 503}, {"status": 429}])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_chunk_that_never_arrived_is_sent_again(loading: Loading, fault: dict[str, Any], skip: int) -> None:
    loading.sandbox.fail("datastore_upsert", skip=skip, times=2, **fault)
    assert loading.load(ELEVEN).table_rows == 11
    assert loading.column("id") == list(range(1, 12))
    assert len(loading.waits) == 2 and "tried again" in loading.logs[0]


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 504}])
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_chunk_that_had_arrived_is_not_doubled(loading: Loading, fault: dict[str, Any], skip: int) -> None:
    loading.sandbox.fail("datastore_upsert", skip=skip, after=True, **fault)
    loading.load(ELEVEN)
    assert loading.column("id") == list(range(1, 12))
    assert len(loading.sandbox.calls("datastore_upsert")) == 3


@pytest.mark.parametrize("after", [True, False])
def test_an_unordered_load_survives_lost_answers(loading: Loading, after: bool) -> None:
    loading.sandbox.fail("datastore_upsert", drop=True, after=after)
    loading.load(ELEVEN, unordered=True)
    assert sorted(loading.column("id")) == list(range(1, 12))


@pytest.mark.parametrize("after", [True, False])
def test_a_small_file_whose_answer_is_lost_is_there_once(loading: Loading, after: bool) -> None:
    loading.load("a\n1\n", ApiLimits())
    loading.sandbox.fail("datastore_create", drop=True, after=after)
    loading.load("a\n2\n3\n", ApiLimits())
    assert loading.column("a") == [2, 3]


def test_ckan_down_for_long_passes_the_job_on_to_its_retries(loading: Loading) -> None:
    loading.sandbox.fail("datastore_upsert", 503, times=99)
    with pytest.raises(Transient, match="503"):
        loading.load(ELEVEN)


def test_the_old_dictionary_outlives_a_create_that_fails_for_a_while(loading: Loading) -> None:
    loading.load("_a\n1\n", ApiLimits())
    loading.sandbox.fail("datastore_create", 503, times=3)
    loading.load("a\n2\n", ApiLimits())
    assert loading.info("a") == {"label": "_a"} and loading.column("a") == [2]


def test_a_count_that_somebody_made_ckan_keep_meanwhile_is_dropped(loading: Loading) -> None:
    loading.sandbox.fail("datastore_search", 200, body={"success": True, "result": {"total": 8}})
    assert loading.load(ELEVEN).table_rows == 11


def test_an_append_of_one_chunk_is_counted_though_the_old_count_was_kept(loading: Loading) -> None:
    loading.load("a\n1\n")
    assert loading.load("a\n2\n", mode="append").table_rows == 2
    assert Ckan(loading.sandbox.url, loading.sandbox.token).shown_count(loading.resource_id) == 2


def test_somebody_elses_rows_are_noticed(loading: Loading) -> None:
    loading.sandbox.fail("datastore_search", 200, times=2, body={"success": True, "result": {"total": 99}})
    with pytest.raises(Transient, match=r"99 rows, but the file has 11"):
        loading.load(ELEVEN)


def test_too_large_a_call_is_halved_until_it_passes(loading: Loading) -> None:
    loading.sandbox.fail("datastore_upsert", 413, times=2, body="too large", skip=1)
    loading.load(ELEVEN)
    assert loading.column("id") == list(range(1, 12)) == loading.column("_id")
    assert [len(call["records"]) for call in loading.sent("datastore_upsert")][:4] == [4, 4, 2, 1]


def test_a_small_file_that_is_too_large_for_one_call_is_halved(loading: Loading) -> None:
    loading.sandbox.fail("datastore_create", 413, body="too large")
    loading.load(ELEVEN, ApiLimits())
    assert loading.column("id") == list(range(1, 12))


def test_a_row_that_is_too_large_alone_is_named(loading: Loading) -> None:
    loading.sandbox.fail("datastore_upsert", 413, times=99, body="too large")
    with pytest.raises(JobError, match=r"Row 2 of the file is too large.*client_max_body_size") as caught:
        loading.load(ELEVEN)
    assert caught.value.details["Row"] == 2


BIG = 2**40  # fits the file's rules, but not an int4 column


@pytest.mark.parametrize("limits", [ApiLimits(), FOURS])
@pytest.mark.parametrize("row", [1, 6, 11])
def test_a_refused_value_is_told_with_row_column_and_value(loading: Loading, limits: ApiLimits, row: int) -> None:
    lines = [f"x{number},{BIG if number == row else number},y" for number in range(1, 12)]
    with pytest.raises(JobError, match="out of range") as caught:
        loading.load("\n".join(["a,b,c", *lines, ""]), limits, {"types": {"b": "int4"}})
    details = caught.value.details
    assert (details["Row"], details["Column"], details["Value"]) == (row + 1, "b", str(BIG))
    assert details["HTTP status code"] == 409 and loading.rows == []
    assert "table is empty now" in caught.value.message


def test_a_repeated_key_is_told_with_its_row_before_anything_changes(loading: Loading) -> None:
    loading.load("k,j\n0,0\n", primary_key=("k",))
    with pytest.raises(JobError, match=r"Row 7 .* same key .* as row 2") as caught:
        loading.load("k,j\n1,1\n,\n2,1\n,2\n,2\n1,2\n")
    assert caught.value.details["Row"] == 7
    assert loading.column("k") == [0]


def test_a_key_that_only_ckan_finds_repeated_is_told_with_its_row(loading: Loading) -> None:
    with pytest.raises(JobError, match="uniqueness") as caught:
        loading.load("k\n1\n2\n3\n1.0\n", primary_key=("k",))
    assert caught.value.details["Row"] == 5


def test_an_append_that_breaks_in_the_middle_is_not_tried_again_by_itself(loading: Loading) -> None:
    loading.load("id,name\n0,n0\n", ApiLimits())
    loading.sandbox.fail("datastore_upsert", 503, times=99, skip=1)
    with pytest.raises(JobError, match="first 4 rows of the file had been appended"):
        loading.load(ELEVEN, mode="append")


def test_no_error_shows_the_token(loading: Loading) -> None:
    loading.sandbox.fail("datastore_create", 409, body={"success": False, "error": {"fields": ["no"]}}, times=9)
    with pytest.raises(JobError) as caught:
        loading.load("a\n1\n")
    assert loading.sandbox.token not in json.dumps(caught.value.as_dict()) + "".join(loading.logs)
