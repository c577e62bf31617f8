"""CKAN's API client, over real HTTP against the sandbox."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.push.ckan import Ckan, CkanSettings
from consumer.push.ckan_answers import NotCkan, NotFound, Refused, TooLarge, Unanswered, readable
from consumer.push.load import Field
from sandbox.server import Sandbox
from schemas.errors import JobError, Transient
from schemas.settings import Settings

FIELDS = [{"id": "name", "type": "text"}, {"id": "price", "type": "numeric", "info": {"label": "Price (€)"}}]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def ckan(sandbox: Sandbox) -> Ckan:
    return Ckan(sandbox.url, sandbox.token)


def make_table(sandbox: Sandbox, **more: object) -> str:
    resource_id = str(sandbox.add_resource("http://example.org/a.csv")["id"])
    sandbox.call("datastore_create", resource_id=resource_id, force=True, fields=FIELDS, **more)
    return resource_id


def no_wait(seconds: float) -> None:
    """Tests do not wait."""


def test_each_call_has_its_own_connection_a_bare_token_and_our_name(sandbox: Sandbox, ckan: Ckan) -> None:
    ckan.table(make_table(sandbox))
    headers = sandbox.calls("datastore_info")[0].headers
    assert headers["Connection"] == "close"
    assert headers["Authorization"] == sandbox.token
    assert headers["User-Agent"].startswith("Data Pusher")


def test_a_key_with_a_colon_names_its_own_header(sandbox: Sandbox) -> None:
    sandbox.fail("resource_show", 200, body={"success": True, "result": {"id": "r", "url": "http://x/y"}})
    Ckan(sandbox.url, "X-CKAN-API-Key: a:b").resource("r", no_wait)
    assert sandbox.calls("resource_show")[0].headers["X-CKAN-API-Key"] == "a:b"


def test_a_resource_is_awaited_until_its_url_is_complete(sandbox: Sandbox, ckan: Ckan) -> None:
    resource = sandbox.add_resource(upload=("a.csv", b"x\n1\n"))
    half = {"success": True, "result": {**resource, "url": "a.csv"}}
    sandbox.fail("resource_show", 404, body={"success": False, "error": {"message": "Not found"}})
    sandbox.fail("resource_show", 200, times=2, body=half)
    waits: list[float] = []
    assert ckan.resource(resource["id"], waits.append).url == resource["url"]
    assert waits == sorted(waits) and len(waits) == 3


def test_an_upload_whose_url_stays_a_name_is_sought_where_ckan_serves_uploads(sandbox: Sandbox, ckan: Ckan) -> None:
    resource = sandbox.add_resource(upload=("a.csv", b"x\n1\n"))
    sandbox.fail("resource_show", 200, times=9, body={"success": True, "result": {**resource, "url": "a.csv"}})
    assert ckan.resource(resource["id"], no_wait).url == resource["url"]


def test_a_resource_that_never_comes_is_the_jobs_error(ckan: Ckan) -> None:
    with pytest.raises(NotFound, match="resource_show"):
        ckan.resource("no-such-resource", no_wait)


def test_a_refused_token_is_told_at_once_with_the_right_that_it_needs(sandbox: Sandbox) -> None:
    resource_id = make_table(sandbox)
    with pytest.raises(JobError, match="right to edit the dataset") as caught:
        Ckan(sandbox.url, "wrong-token").create_table(resource_id, {"fields": FIELDS})
    assert caught.value.details["HTTP status code"] == 403
    assert "wrong-token" not in json.dumps(caught.value.as_dict())


def test_a_refusal_shows_all_that_ckan_said(sandbox: Sandbox, ckan: Ckan) -> None:
    resource_id = make_table(sandbox)
    with pytest.raises(Refused, match=r'fields: .*"_bad" is not a valid field name') as caught:
        ckan.create_table(resource_id, {"fields": [{"id": "_bad", "type": "text"}]})
    assert caught.value.details["HTTP status code"] == 409
    assert str(caught.value.details["Requested URL"]).endswith("/datastore_create")
    assert "_bad" in str(caught.value.details["Response"])


@pytest.mark.parametrize(("status", "kind"), [(429, Transient), (500, Unanswered), (502, Unanswered), (504, Unanswered)])
def test_a_server_in_trouble_is_asked_again_later(sandbox: Sandbox, ckan: Ckan, status: int, kind: type[Transient]) -> None:
    sandbox.fail("datastore_search", status, headers={"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        ckan.shown_count("r")
    assert caught.value.retry_after_s == 7


def test_a_dropped_connection_leaves_open_whether_the_call_was_done(sandbox: Sandbox, ckan: Ckan) -> None:
    resource_id = make_table(sandbox)
    sandbox.fail("datastore_delete", drop=True, after=True)
    with pytest.raises(Unanswered):
        ckan.delete_table(resource_id)
    assert not sandbox.has_table(resource_id)


def test_a_late_answer_leaves_open_whether_the_call_was_done(sandbox: Sandbox) -> None:
    sandbox.fail("datastore_search", None, delay_s=0.5)
    with pytest.raises(Unanswered, match="DATAPUSHER_CKAN_TIMEOUT"):
        Ckan(sandbox.url, sandbox.token, CkanSettings(timeout_s=0.1)).shown_count("r")


def test_a_ckan_that_is_down_was_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Transient, match="cannot be reached") as caught:
        Ckan(f"http://127.0.0.1:{port}", "token").shown_count("r")
    assert not isinstance(caught.value, Unanswered)


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_instead_of_json_is_said_to_be_no_ckan(sandbox: Sandbox, ckan: Ckan, status: int) -> None:
    sandbox.fail("datastore_search", status, body="<h1>Welcome</h1>", headers={"Content-Type": "text/html"})
    with pytest.raises(JobError, match=r"is not CKAN's API.*text/html"):
        ckan.shown_count("r")


def test_a_proxys_400_for_a_large_body_is_its_size(sandbox: Sandbox, ckan: Ckan) -> None:
    sandbox.fail("datastore_create", 400, body="<h1>Bad request</h1>", headers={"Content-Type": "text/html"})
    with pytest.raises(TooLarge, match="client_max_body_size"):
        ckan.create_table("r", {"fields": ["x" * 100_000]})


def test_a_redirect_elsewhere_is_not_followed(sandbox: Sandbox, ckan: Ckan) -> None:
    sandbox.fail("datastore_search", 301, headers={"Location": "https://elsewhere.example/api/3/action/datastore_search"})
    with pytest.raises(JobError, match=r"redirects API calls to https://elsewhere\.example"):
        ckan.shown_count("r")


def test_a_redirect_to_https_is_followed_with_the_same_call() -> None:
    with Sandbox() as sandbox:
        plain = Ckan(sandbox.url, sandbox.token)
        sandbox.fail(
            "datastore_search",
            301,
            headers={"Location": sandbox.url.replace("http", "https") + "/api/3/action/datastore_search"},
        )
        with pytest.raises(Transient):  # the sandbox has no TLS: that it is tried is what counts
            plain.shown_count("r")
        assert plain.internal_url.startswith("https://")


def test_a_public_address_is_asked_at_its_internal_one_with_its_root_path(sandbox: Sandbox) -> None:
    settings = CkanSettings.of(Settings(ckan_url_map=f"https://data.example={sandbox.url}, https://other.example=http://x"))
    resource_id = make_table(sandbox)
    ckan = Ckan("https://data.example/", sandbox.token, settings)
    assert ckan.count(resource_id) == 0
    assert Ckan("https://data.example/data/", "t", settings).internal_url == f"{sandbox.url}/data"
    assert Ckan("https://data.example.org", "t", settings).internal_url == "https://data.example.org"


def test_a_table_is_known_with_dictionary_aliases_indexes_and_key(sandbox: Sandbox, ckan: Ckan) -> None:
    resource_id = make_table(sandbox, primary_key=["name"], indexes=["price"], aliases=["prices"])
    table = ckan.table(resource_id)
    assert table is not None
    assert table.fields == (Field("name", "text"), Field("price", "numeric", {"label": "Price (€)"}))
    assert (table.aliases, table.indexes, table.key) == (("prices",), (("price",),), ("name",))


def test_a_ckan_whose_datastore_info_lacks_fields_is_searched_for_them(sandbox: Sandbox, ckan: Ckan) -> None:
    resource_id = make_table(sandbox)
    sandbox.fail("datastore_info", 200, body={"success": True, "result": {"meta": {"count": 0}, "schema": {"name": "text"}}})
    table = ckan.table(resource_id)
    assert table is not None and table.fields[1].info == {"label": "Price (€)"}


def test_a_resource_without_a_table_has_none(sandbox: Sandbox, ckan: Ckan) -> None:
    assert ckan.table(str(sandbox.add_resource("http://example.org/a.csv")["id"])) is None


def test_a_token_that_cannot_be_sent_is_refused_without_showing_it() -> None:
    with pytest.raises(JobError) as caught:
        Ckan("http://127.0.0.1:1", "Host: secret")
    assert "secret" not in caught.value.message


def test_an_error_object_is_told_in_one_line() -> None:
    error = {"__type": "Validation Error", "records": ["bad"], "records_row": 2, "info": {"orig": ["a", "b"]}}
    assert readable(error) == "records: bad; info: orig: a, b"
    assert readable({"message": "Not found", "__type": "x"}) == "Not found"


PAGE: dict[str, Any] = {"body": "<html>back in a minute</html>", "headers": {"Content-Type": "text/html"}}


def test_a_page_instead_of_an_answer_is_an_error_where_ckan_never_answered(sandbox: Sandbox, ckan: Ckan) -> None:
    sandbox.fail("datastore_info", 200, **PAGE)
    with pytest.raises(NotCkan, match="is not CKAN's API"):
        ckan.table("r")


def test_a_page_for_a_moment_between_two_answers_passes(sandbox: Sandbox, ckan: Ckan) -> None:
    resource_id = make_table(sandbox)
    ckan.table(resource_id)
    sandbox.fail("datastore_create", 200, **PAGE)
    with pytest.raises(Unanswered, match="is not CKAN's API"):
        ckan.create_table(resource_id, {"fields": FIELDS})


def test_a_page_at_the_first_question_is_outwaited(sandbox: Sandbox, ckan: Ckan) -> None:
    resource = sandbox.add_resource(upload=("a.csv", b"x\n1\n"))
    sandbox.fail("resource_show", 200, times=2, **PAGE)
    assert ckan.resource(resource["id"], no_wait).url == resource["url"]


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[fe80::1]"])
def test_no_job_can_name_a_clouds_credentials_as_its_ckan(host: str) -> None:
    with pytest.raises(JobError, match="clouds keep credentials"):
        Ckan(f"http://{host}/latest", "k", CkanSettings(timeout_s=0.5)).table("r")
