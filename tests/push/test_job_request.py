"""What a job may ask for, where its file lies, and which loader takes it."""

from pathlib import Path
from typing import Any

import pytest

from consumer.push.ckan import Ckan, CkanSettings, Resource
from consumer.push.load_api import ApiLoader
from consumer.push.load_copy import CopyLoader
from consumer.push.loaders import choose_loader, datastore_write_url
from consumer.push.request import Request
from consumer.push.source_file import fetch_settings, file_url, host_headers
from schemas.errors import BadSetting, FileError, JobError
from schemas.settings import Settings

CKAN = "https://ckan.example"


def request(settings: Settings | None = None, **metadata: Any) -> Request:
    told = {"resource_id": "r", "ckan_url": CKAN, **metadata}
    return Request.of({"api_key": "secret-token", "metadata": told}, settings or Settings())


def resource(url: str, url_type: str = "") -> Resource:
    shown = {"id": "r", "package_id": "p", "url": url, "url_type": url_type}
    return Resource.of(shown)


@pytest.mark.parametrize("given", [["a", "b"], '["a", "b"]', "a, b"])
def test_names_may_be_a_list_json_or_text(given: Any) -> None:
    asked = request(primary_key=given, aliases=given, indexes=given)
    assert asked.primary_key == asked.aliases == ("a", "b")
    assert asked.indexes == (("a",), ("b",))


def test_a_resource_id_that_is_there_but_no_text_is_not_called_missing() -> None:
    with pytest.raises(JobError, match="has no resource_id"):
        request(resource_id=" ")
    with pytest.raises(JobError, match="resource_id has to be text"):
        request(resource_id=5)


def test_an_index_may_have_several_columns() -> None:
    assert request(indexes=[["a", "b"], "c"]).indexes == (("a", "b"), ("c",))


@pytest.mark.parametrize("entry", [1, {"a": 1}, [1], None, "", []])
def test_an_index_of_anything_but_columns_is_refused(entry: Any) -> None:
    with pytest.raises(JobError, match="indexes cannot be"):
        request(indexes=["a", entry])


def test_what_is_not_said_comes_from_the_settings_or_is_kept() -> None:
    asked = request(Settings(mode="append", primary_key="a,b", unordered=True, max_rows=5), drift="fail")
    assert (asked.mode, asked.primary_key, asked.unordered, asked.drift) == ("append", ("a", "b"), True, "fail")
    assert asked.options.max_rows == 5
    assert (request().indexes, request().aliases, request().options.max_rows) == (None, None, None)


def test_an_empty_list_drops_what_the_table_has() -> None:
    assert request(aliases=[], indexes=[]).aliases == ()
    assert request(aliases=[], indexes=[]).indexes == ()


@pytest.mark.parametrize("url", ["ckan.example", "ftp://ckan.example", 5, f"{CKAN}/x?y=", f"{CKAN}/x#"])
def test_a_ckan_that_is_no_web_address_is_refused(url: Any) -> None:
    with pytest.raises(JobError, match="ckan_url"):
        request(ckan_url=url)


@pytest.mark.parametrize("option", [{"primary_key": [1]}, {"indexes": {"a": 1}}, {"unordered": "perhaps"}, {"drift": "x"}])
def test_a_wrong_option_is_named_with_what_it_may_be(option: dict[str, Any]) -> None:
    with pytest.raises(FileError, match="must be") as caught:
        request(**option)
    assert caught.value.details["Option"] in option


def test_the_token_never_prints() -> None:
    assert "secret-token" not in repr(request())


def test_uploads_are_fetched_where_ckans_api_is_asked() -> None:
    ckan = Ckan(f"{CKAN}/data/", "t", CkanSettings(url_map=f"{CKAN}=http://ckan:5000"))
    path = "/dataset/p/resource/r/download/a%20b.csv"
    assert file_url(resource(f"https://www.elsewhere.example/data{path}", "upload"), ckan) == f"http://ckan:5000/data{path}"
    assert file_url(resource(f"{CKAN}/data/files/a.csv"), ckan) == "http://ckan:5000/data/files/a.csv"


@pytest.mark.parametrize("url", ["https://s3.example/bucket/a.csv", "https://x.example/dataset/p/resource/other/download/a"])
@pytest.mark.parametrize("url_type", ["upload", ""])
def test_files_that_lie_elsewhere_stay_there(url: str, url_type: str) -> None:
    assert file_url(resource(url, url_type), Ckan(CKAN, "t")) == url


def test_fetching_may_reach_ckan_by_both_its_addresses() -> None:
    ckan = Ckan(CKAN, "t", CkanSettings(url_map=f"{CKAN}=http://ckan:5000"))
    settings = fetch_settings(Settings(max_content_length=7, allowed_networks="10.0.0.0/8, files.example"), ckan)
    assert settings.ckan_urls == (CKAN, "http://ckan:5000")
    assert (settings.max_bytes, settings.allowed_networks) == (7, ("10.0.0.0/8", "files.example"))


def test_headers_for_single_hosts_are_read_and_a_wrong_entry_is_not_shown() -> None:
    assert host_headers("A.example=X-Key: 1:2; a.example=Accept: */*") == {"a.example": {"X-Key": "1:2", "Accept": "*/*"}}
    with pytest.raises(BadSetting) as caught:
        host_headers("a.example=secret")
    assert "secret" not in str(caught.value)


def test_copy_is_chosen_where_datastores_write_url_is_known(tmp_path: Path) -> None:
    assert isinstance(choose_loader(Settings(datastore_write_url="postgresql://h/d"), Ckan(CKAN, "t"), tmp_path), CopyLoader)
    assert isinstance(choose_loader(Settings(), Ckan(CKAN, "t"), tmp_path), ApiLoader)


def test_each_ckan_may_have_a_write_url_of_its_own() -> None:
    setting = f"{CKAN}/=postgresql://u:a=b@h/one; https://other.example=postgresql://h/two"
    assert datastore_write_url(setting, CKAN) == "postgresql://u:a=b@h/one"
    assert datastore_write_url(setting, "https://OTHER.example/") == "postgresql://h/two"
    assert datastore_write_url(setting, "https://third.example") is None
