"""The main job from CKAN's request to the table, over real HTTP, without a bus."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from consumer import job
from consumer.push.job import push_to_datastore
from consumer.report import Report
from sandbox.server import Sandbox
from schemas.errors import FileError, JobError, Transient
from schemas.messages import Kind
from schemas.settings import Settings
from tests.push.file_server import Answer, FileServer, running

CSV = b"id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n"


@dataclass
class Site:
    """A CKAN, and the worker's side of a job: what it returns and what it tells."""

    ckan: Sandbox
    settings: Settings = field(default_factory=Settings)
    events: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)

    def push(self, resource_id: str, /, **metadata: Any) -> dict[str, Any]:
        """Runs the job that CKAN would send, *metadata* added to its own."""
        body = self.ckan.job_for(resource_id)
        body = {**body, "metadata": {**body["metadata"], **metadata}}
        self.events.clear()
        with job.running(Report(lambda kind, data: self.events.append((kind, dict(data)))), self.settings):
            result = push_to_datastore("job-1", body)
        assert isinstance(result, dict)
        return json.loads(json.dumps(result))  # type: ignore[no-any-return]

    def refused(self, resource_id: str, /, **metadata: Any) -> JobError:
        with pytest.raises(JobError) as caught:
            self.push(resource_id, **metadata)
        return caught.value

    @property
    def log(self) -> str:
        return "\n".join(data["message"] for kind, data in self.events if kind is Kind.LOG)

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return [row for kind, data in self.events if kind is Kind.REJECTS for row in data["rows"]]

    def resource(self, resource_id: str) -> dict[str, Any]:
        return dict(self.ckan.call("resource_show", id=resource_id))

    def replace(self, resource_id: str, data: bytes) -> None:
        """The publisher uploads another file."""
        self.ckan.replace_upload(resource_id, "file.csv", data)


@pytest.fixture
def site() -> Iterator[Site]:
    with Sandbox() as ckan:
        yield Site(ckan)


def upload(site: Site, data: bytes = CSV, **more: Any) -> str:
    return str(site.ckan.add_resource(upload=("file.csv", data), **more)["id"])


def test_a_misspelt_option_is_told_in_the_log_and_ckans_own_keys_are_not(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id, modus="append")
    warnings = [data["message"] for kind, data in site.events if kind is Kind.LOG and data["level"] == "WARNING"]
    assert warnings == ["There is no option 'modus'; it is ignored. Did you mean 'mode'?"]


def test_a_file_of_a_header_alone_is_told(site: Site) -> None:
    site.push(upload(site, b"id,name\n"))
    assert "the file has only a header" in site.log


# ------------------------------------------------------------------------------------------------------------ a new table


def test_an_uploaded_file_becomes_a_typed_table(site: Site) -> None:
    resource_id = upload(site)
    result = site.push(resource_id)
    table = site.ckan.table(resource_id)
    assert table.types == {"id": "numeric", "name": "text", "born": "timestamp"}
    assert table.column("name") == ["Ada", "Grace"] and table.column("born")[0].startswith("1815-12-10T00:00:00")
    assert site.resource(resource_id)["datastore_active"] is True
    assert (result["rows"], result["table_rows"], result["rejected"]) == (2, 2, 0)


def test_the_report_tells_what_tables_md_promises(site: Site) -> None:
    result = site.push(upload(site, b"comment\nid;name\n1;x\n;\n2;\n"))
    assert {key: result[key] for key in ("format", "encoding", "delimiter", "header_row", "blank_skipped")} == {
        "format": "CSV", "encoding": "utf-8", "delimiter": ";", "header_row": 2, "blank_skipped": 1,
    }  # fmt: skip
    names = [(one["name"], one["rich"], one["ckan"], one["nulls"]) for one in result["columns"]]
    assert names == [("id", "integer", "numeric", 0), ("name", "text", "text", 1)]
    assert result["durations_s"].keys() >= {"fetching", "loading"}


def test_a_link_is_fetched_without_the_token(site: Site) -> None:
    url = site.ckan.put_file("linked.csv", CSV)
    resource_id = str(site.ckan.add_resource(url)["id"])
    site.push(resource_id)
    assert len(site.ckan.table(resource_id).rows) == 2
    assert "Authorization" not in site.ckan.calls("files")[0].headers


def test_a_private_upload_is_fetched_with_the_token(site: Site) -> None:
    resource_id = upload(site, private=True)
    site.push(resource_id)
    assert len(site.ckan.table(resource_id).rows) == 2
    assert site.ckan.calls("download")[0].headers["Authorization"] == site.ckan.token


def test_uploads_are_asked_where_ckans_api_is(site: Site) -> None:
    site.settings = Settings(ckan_url_map=f"https://data.example={site.ckan.url}")
    resource_id = upload(site)
    public = {**site.resource(resource_id)}
    public["url"] = public["url"].replace(site.ckan.url, "https://www.data.example")
    site.ckan.fail("resource_show", 200, body={"success": True, "result": public})
    site.push(resource_id, ckan_url="https://data.example/")
    assert len(site.ckan.table(resource_id).rows) == 2


def test_an_upload_is_awaited_until_ckan_knows_where_it_is(site: Site) -> None:
    resource_id = upload(site)
    half = {**site.resource(resource_id), "url": "file.csv"}
    site.ckan.fail("resource_show", 200, body={"success": True, "result": half})
    site.push(resource_id)
    assert len(site.ckan.table(resource_id).rows) == 2


def test_a_late_text_value_makes_the_column_text_and_is_named(site: Site) -> None:
    lines = [b"a,b", *(b"%d,%d" % (number, number) for number in range(5000)), b"x,1", b""]
    resource_id = upload(site, b"\n".join(lines))
    site.push(resource_id)
    assert site.ckan.table(resource_id).types == {"a": "text", "b": "numeric"}
    assert "Column “a” is text" in site.log and "5,002" in site.log.replace("5002", "5,002")


def test_the_log_tells_at_least_what_datapusher_told(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    for part in ("Fetching from: http", f"{len(CSV)} bytes", "Reading CSV", "encoding utf-8", "header in row 1",
                 "id: numeric, name: text, born: timestamp", f'Successfully pushed 2 entries to "{resource_id}"'):  # fmt: skip
        assert part in site.log


def test_progress_is_told_in_stages(site: Site) -> None:
    site.push(upload(site))
    stages = [data["stage"] for kind, data in site.events if kind is Kind.PROGRESS]
    assert list(dict.fromkeys(stages)) == ["fetching", "opening", "loading", "reading"]


def test_a_resource_without_a_table_costs_no_question_about_it(site: Site) -> None:
    site.push(upload(site))
    assert site.ckan.calls("datastore_info") == []


@pytest.mark.parametrize("chunk_rows", [1, 5000])
def test_a_table_that_ckan_has_forgotten_is_replaced_not_doubled(site: Site, chunk_rows: int) -> None:
    site.settings = Settings(chunk_insert_rows=chunk_rows)
    resource_id = upload(site)
    fields = [{"id": "id", "type": "numeric", "info": {"label": "Number"}}, {"id": "old", "type": "text"}]
    site.ckan.call(
        "datastore_create", resource_id=resource_id, force=True, fields=fields, records=[{"id": 1}], primary_key="id"
    )
    site.ckan.call("resource_patch", id=resource_id, datastore_active=False)

    result = site.push(resource_id)

    assert site.ckan.table(resource_id).rows[0].keys() == {"_id", "id", "name", "born"}
    assert site.ckan.table(resource_id).column("_id") == [1, 2] and result["table_rows"] == 2
    assert "replaced" in site.log


# ------------------------------------------------------------------------------------------------------------- once again


def test_a_changed_file_replaces_the_rows_and_keeps_the_dictionary(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    fields = [{"id": "name", "type": "text", "info": {"label": "Name", "notes": "given"}}]
    site.ckan.call("datastore_create", resource_id=resource_id, force=True, fields=fields)
    site.replace(resource_id, b"id,name,died\n3,Alan,1954-06-07\n")
    site.push(resource_id)
    table = site.ckan.table(resource_id)
    assert table.column("name") == ["Alan"] and table.column("_id") == [1]
    assert next(one for one in table.fields if one["id"] == "name")["info"] == {"label": "Name", "notes": "given"}
    assert "New columns since the last load: died" in site.log and "not have any more: born" in site.log


def test_an_unchanged_file_is_left_alone(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    site.ckan.forget_requests()
    assert site.push(resource_id)["skipped"] == "unchanged"
    assert "loaded last" in site.log
    assert not {"datastore_create", "datastore_delete", "datastore_upsert"} & {one.action for one in site.ckan.requests}


def test_a_server_whose_etags_are_md5s_is_asked_for_a_changed_file_only(site: Site) -> None:
    server = FileServer()
    server.answers["/linked.csv"] = Answer(CSV)
    allowed = replace(site, settings=Settings(allowed_networks="127.0.0.0/8"))
    with running(server):
        resource_id = str(site.ckan.add_resource(server.url("/linked.csv"))["id"])
        allowed.push(resource_id)
        server.answers["/linked.csv"] = Answer(status=304)
        again = allowed.push(resource_id)
        server.answers["/linked.csv"] = Answer(CSV)
        forced = allowed.push(resource_id, ignore_hash=True)
    asked = [headers.get("If-None-Match") for _, headers in server.asked]
    assert asked == [None, f'"{hashlib.md5(CSV).hexdigest()}"', None]
    assert (again["skipped"], forced["rows"]) == ("unchanged", 2)


@pytest.mark.parametrize("reason", ["ignore_hash", "no table"])
def test_an_unchanged_file_is_loaded_where_it_has_to_be(site: Site, reason: str) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    if reason == "no table":
        site.ckan.call("datastore_delete", resource_id=resource_id, force=True)
    assert site.push(resource_id, ignore_hash=reason == "ignore_hash")["rows"] == 2
    assert len(site.ckan.table(resource_id).rows) == 2


def test_only_hash_and_completeness_are_patched(site: Site) -> None:
    resource_id = upload(site)
    before = site.resource(resource_id)
    site.push(resource_id)
    site.push(resource_id, ignore_hash=True)
    patches = [set(call.json) - {"id"} for call in site.ckan.calls("resource_patch")]
    assert patches == [{"hash", "datastore_contains_all_records_of_source_file"}, {"hash"}, {"hash"}]
    after = site.resource(resource_id)
    assert (after["url"], after["last_modified"]) == (before["url"], before["last_modified"])
    assert after["datastore_contains_all_records_of_source_file"] is True


def test_after_a_load_that_failed_half_way_the_old_file_is_loaded_again(site: Site) -> None:
    site.settings = Settings(chunk_insert_rows=1)
    resource_id = upload(site)
    site.push(resource_id)
    site.ckan.fail("datastore_upsert", 409, times=9, body={"success": False, "error": {"records": ["no"]}})
    site.refused(resource_id, ignore_hash=True)
    site.ckan.heal()
    assert site.ckan.has_table(resource_id)
    assert site.push(resource_id)["rows"] == 2


def test_nothing_that_the_job_does_makes_ckan_submit_again(site: Site) -> None:
    resource_id = upload(site)
    submitted = len(site.ckan.submissions)
    site.push(resource_id, set_url_type=True)
    assert len(site.ckan.submissions) == submitted
    assert site.resource(resource_id)["url_type"] == "datapusher"


def test_a_ckan_that_refuses_the_marks_has_the_table_all_the_same(site: Site) -> None:
    resource_id = upload(site)
    site.ckan.fail("resource_patch", 409, body={"success": False, "error": {"author": ["Missing value"]}})
    assert site.push(resource_id)["rows"] == 2
    assert "author: Missing value" in site.log


# ----------------------------------------------------------------------------------------------------------- options


def test_a_dry_run_tells_all_and_changes_nothing(site: Site) -> None:
    resource_id = upload(site, b"a,b\n1,2024-01-31\n2,NA\n3,2024-02-01,x\n")
    result = site.push(resource_id, dry_run=True, max_rejects="1")
    assert result["first_rows"] == [["1", "2024-01-31T00:00:00"], ["2", None]]
    assert (result["rows"], result["rejected"], result["dry_run"]) == (2, 1, True)
    assert not site.ckan.has_table(resource_id) and not site.ckan.calls("resource_patch")


def test_options_come_from_the_job_before_the_settings(site: Site) -> None:
    site.settings = Settings(delimiter=";", type_mapping="rich")
    resource_id = upload(site, b"a|b\n1|2\n")
    site.push(resource_id, delimiter="|", primary_key="a", aliases=["numbers"])
    assert site.ckan.table(resource_id).types == {"a": "int8", "b": "int8"}
    assert len(site.ckan.call("datastore_search", resource_id="numbers")["records"]) == 1


def test_append_adds_to_the_table(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    site.replace(resource_id, b"id,name,born\n3,Alan,1912-06-23\n")
    result = site.push(resource_id, mode="append")
    assert (result["rows"], result["table_rows"]) == (1, 3)
    assert site.ckan.table(resource_id).column("name") == ["Ada", "Grace", "Alan"]


def test_rejected_rows_are_told_and_the_table_is_marked_incomplete(site: Site) -> None:
    resource_id = upload(site, b"a,b\n1,2\n3,4,5\n6,7\n")
    result = site.push(resource_id, max_rejects="1")
    assert [row["row"] for row in site.rejects] == [3] and "3,4,5" in site.rejects[0]["text"]
    assert (result["rows"], result["rejected"]) == (2, 1)
    assert site.resource(resource_id)["datastore_contains_all_records_of_source_file"] is False


def test_too_many_rejects_are_told_too_and_the_old_table_stays(site: Site) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    site.replace(resource_id, b"a,b\n1,2\n3,4,5\n")
    assert isinstance(site.refused(resource_id), FileError)
    assert [row["row"] for row in site.rejects] == [3]
    assert site.ckan.table(resource_id).column("name") == ["Ada", "Grace"]


# -------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("data", [b"", b"\n\n", b"<html><body>Log in</body></html>", b"%PDF-1.7\n"])
def test_a_file_that_is_no_table_leaves_the_old_one(site: Site, data: bytes) -> None:
    resource_id = upload(site)
    site.push(resource_id)
    site.replace(resource_id, data)
    assert isinstance(site.refused(resource_id), FileError)
    assert len(site.ckan.table(resource_id).rows) == 2


@pytest.mark.parametrize("url_type", ["datastore", "tabledesigner"])
def test_a_table_without_a_file_is_left_alone(site: Site, url_type: str) -> None:
    resource_id = str(site.ckan.add_resource("http://example.org/x", url_type=url_type)["id"])
    assert site.push(resource_id)["skipped"] == f"url_type {url_type}"
    assert {one.action for one in site.ckan.requests} == {"resource_show"}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://example.org/a"])
def test_other_schemes_are_refused(site: Site, url: str) -> None:
    resource = site.ckan.add_resource("http://example.org/a.csv")
    site.ckan.fail("resource_show", 200, body={"success": True, "result": {**resource, "url": url}})
    assert site.refused(resource["id"]).message == "Only http, https, and ftp resources may be fetched."


def test_a_file_over_the_limit_is_refused_with_the_settings_name(site: Site) -> None:
    site.settings = Settings(max_content_length=10)
    assert "DATAPUSHER_MAX_CONTENT_LENGTH" in site.refused(upload(site)).message


def test_a_wrong_token_is_told_with_what_it_needs_and_never_shown(site: Site) -> None:
    resource_id = upload(site)
    site.ckan.job_for(resource_id)
    body = {**site.ckan.job_for(resource_id), "api_key": "wrong-token"}
    with job.running(Report(lambda kind, data: site.events.append((kind, dict(data)))), site.settings):
        with pytest.raises(JobError, match="right to edit the dataset") as caught:
            push_to_datastore("job-1", body)
    assert caught.value.details["HTTP status code"] == 403
    assert "wrong-token" not in site.log + json.dumps(caught.value.as_dict())


@pytest.mark.parametrize("key", ["resource_id", "ckan_url"])
def test_a_job_without_what_it_needs_says_so(site: Site, key: str) -> None:
    assert key in site.refused(upload(site), **{key: ""}).message


def test_a_job_without_token_or_metadata_says_so() -> None:
    with pytest.raises(JobError, match="metadata"):
        push_to_datastore("job-1", {"api_key": "x"})
    with pytest.raises(JobError, match="api_key"):
        push_to_datastore("job-1", {"metadata": {"resource_id": "r", "ckan_url": "http://x"}})


@pytest.mark.parametrize("option", [{"mode": "merge"}, {"ignore_hash": "perhaps"}, {"header_row": "x"}, {"aliases": {"a": 1}}])
def test_a_wrong_option_is_named(site: Site, option: dict[str, Any]) -> None:
    error = site.refused(upload(site), **option)
    assert isinstance(error, FileError) and error.code == "bad-option"
    assert error.details["Option"] in option


def test_a_server_in_trouble_is_for_later(site: Site) -> None:
    resource_id = upload(site)
    site.ckan.fail("download", 503, headers={"Retry-After": "30"})
    with pytest.raises(Transient) as caught:
        site.push(resource_id)
    assert caught.value.retry_after_s == 30


def test_a_lost_answer_in_the_middle_doubles_nothing(site: Site) -> None:
    site.settings = replace(site.settings, chunk_insert_rows=100)
    resource_id = upload(site, b"n\n" + b"".join(b"%d\n" % number for number in range(350)))
    site.ckan.fail("datastore_upsert", drop=True, after=True, skip=1)
    site.push(resource_id)
    assert site.ckan.table(resource_id).column("n") == list(range(350))
    assert "tried again" in site.log


def test_a_value_that_ckan_refuses_is_told_with_row_and_column(site: Site) -> None:
    error = site.refused(upload(site, b"a,b\n1,2\n3,99999999999\n"), types={"b": "int4"})
    assert (error.details["Row"], error.details["Column"], error.details["Value"]) == (3, "b", "99999999999")
    assert error.as_dict()["HTTP status code"] == 409


def test_no_file_stays_behind(site: Site, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    site.push(upload(site))
    assert list(tmp_path.iterdir()) == []
