"""Datasets, resources and their files."""

from urllib.parse import urlsplit

import requests

from tests.contract.target import Target


def test_a_new_resource_shows_all_the_keys_a_loader_reads(ckan: Target) -> None:
    shown = ckan.call("resource_show", id=ckan.resource(url="http://files.invalid/a.csv"))

    assert (shown["url"], shown["url_type"], shown["hash"]) == ("http://files.invalid/a.csv", None, "")
    assert shown["datastore_active"] is False
    assert shown["last_modified"] is None and shown["size"] is None
    assert list(shown) == sorted(shown)


def test_the_format_is_taken_from_the_url_and_spelled_as_ckan_does(ckan: Target) -> None:
    assert ckan.call("resource_show", id=ckan.resource(format="tsv"))["format"] == "TSV"
    assert ckan.call("resource_show", id=ckan.resource(url="http://files.invalid/a.pdf", format=""))["format"] == "PDF"


def test_a_resource_needs_a_dataset(ckan: Target) -> None:
    assert ckan.refused("resource_create", url="x") == (
        409,
        {"package_id": ["Missing value"], "__type": "Validation Error"},
    )
    assert ckan.refused("resource_create", package_id="no-such", url="x")[0] == 404


def test_a_patch_changes_what_it_names_and_keeps_extra_keys(ckan: Target) -> None:
    resource_id = ckan.resource(description="old")

    ckan.call("resource_patch", id=resource_id, hash="abc", datastore_contains_all_records_of_source_file=True)

    shown = ckan.call("resource_show", id=resource_id)
    assert (shown["hash"], shown["description"]) == ("abc", "old")
    assert shown["datastore_contains_all_records_of_source_file"] is True


def test_an_update_drops_what_it_does_not_name(ckan: Target) -> None:
    resource_id = ckan.resource(description="old", colour="red")

    ckan.call("resource_update", id=resource_id, url="http://files.invalid/b")

    shown = ckan.call("resource_show", id=resource_id)
    assert shown["url"] == "http://files.invalid/b"
    assert "colour" not in shown and not shown["description"]


def test_a_patch_of_an_unknown_resource_is_not_found(ckan: Target) -> None:
    message = "Not found: Resource was not found."

    assert ckan.refused("resource_patch", id="no-such") == (404, {"__type": "Not Found Error", "message": message})


def test_an_upload_has_a_name_for_urls_and_a_date(ckan: Target) -> None:
    resource = ckan.upload("My File (1).CSV", b"a,b\n1,2\n")

    path = f"/dataset/{resource['package_id']}/resource/{resource['id']}/download/my-file-1.csv"
    assert urlsplit(resource["url"]).path == path
    assert (resource["url_type"], resource["size"], resource["mimetype"]) == ("upload", 8, "text/csv")
    assert len(resource["last_modified"]) == len("2026-11-22T04:56:01.081720")


def test_letters_outside_ascii_leave_the_name_of_an_upload(ckan: Target) -> None:
    resource = ckan.upload("Zażółć gęślą.csv", b"x")

    assert resource["url"].endswith("/download/zao-gl.csv") or resource["url"].endswith("/download/zazoc-gesla.csv")


def test_an_upload_is_served_as_it_came(ckan: Target) -> None:
    resource = ckan.upload("a.csv", b"a;b\r\n1;\xe9\r\n")

    answer = requests.get(resource["url"], timeout=30)

    assert answer.content == b"a;b\r\n1;\xe9\r\n"
    assert answer.headers["Content-Type"].startswith("text/csv")
    again = requests.get(resource["url"], headers={"If-None-Match": answer.headers["ETag"]}, timeout=30)
    assert again.status_code == 304


def test_a_private_upload_needs_the_bare_token(ckan: Target) -> None:
    resource = ckan.upload("a.csv", b"x\n1\n", private=True)

    got = {
        who: requests.get(resource["url"], headers={"Authorization": who} if who else {}, timeout=30).status_code
        for who in ("", f"Bearer {ckan.token}", ckan.token)
    }

    assert got == {"": 403, f"Bearer {ckan.token}": 403, ckan.token: 200}


def test_a_private_resource_is_shown_to_its_readers_only(ckan: Target) -> None:
    resource = ckan.upload("a.csv", b"x\n1\n", private=True)

    answer = ckan.post("resource_show", {"id": resource["id"]}, token="")

    right = f"read resource {resource['id']}"
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == f"Access denied: User  not authorized to {right}"


def test_the_download_url_of_a_linked_resource_redirects(ckan: Target) -> None:
    resource = ckan.call("resource_show", id=ckan.resource(url="http://files.invalid/x.csv"))
    path = f"/dataset/{resource['package_id']}/resource/{resource['id']}/download/x.csv"

    answer = requests.get(ckan.url + path, allow_redirects=False, timeout=30)

    assert (answer.status_code, answer.headers["Location"]) == (302, "http://files.invalid/x.csv")


def test_a_private_dataset_needs_an_organization(ckan: Target) -> None:
    error = {"private": ["Datasets with no organization can't be private."], "__type": "Validation Error"}

    assert ckan.refused("package_create", name="contract-private-alone", private=True) == (409, error)
