"""The CKAN token goes to CKAN and to nobody else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumer.push.api_key import token_header
from consumer.push.download import FetchSettings
from consumer.push.fetch import fetch
from schemas.errors import JobError
from tests.push.file_server import Answer, FileServer, running

KEY = "eyJhbGciOi.secret"


@pytest.fixture
def ckan() -> Iterator[FileServer]:
    with running(server := FileServer()):
        server.answers["/file.csv"] = Answer(b"a\n1\n")
        yield server


@pytest.fixture
def foreign() -> Iterator[FileServer]:
    with running(server := FileServer()):
        server.answers["/file.csv"] = Answer(b"a\n1\n")
        yield server


def fetched(url: str, tmp_path: Path, ckan: FileServer, **more: Any) -> None:
    settings = FetchSettings(allowed_networks=("127.0.0.0/8", "::1", "localhost"), ckan_urls=(ckan.url("/"),))
    fetch(url, tmp_path / "body", settings, api_key=KEY, **more)


def tokens(server: FileServer) -> list[str | None]:
    return [headers.get("Authorization") for _, headers in server.asked]


def test_ckan_gets_the_bare_token(ckan: FileServer, tmp_path: Path) -> None:
    fetched(ckan.url(), tmp_path, ckan)

    assert tokens(ckan) == [KEY]


def test_a_foreign_server_gets_no_token(ckan: FileServer, foreign: FileServer, tmp_path: Path) -> None:
    fetched(foreign.url(), tmp_path, ckan)

    assert tokens(foreign) == [None]


def test_a_redirect_on_ckan_keeps_the_token(ckan: FileServer, tmp_path: Path) -> None:
    ckan.answers["/r"] = Answer(status=302, headers={"Location": "/file.csv"})

    fetched(ckan.url("/r"), tmp_path, ckan)

    assert tokens(ckan) == [KEY, KEY]


def test_a_redirect_to_another_port_drops_the_token(ckan: FileServer, foreign: FileServer, tmp_path: Path) -> None:
    ckan.answers["/r"] = Answer(status=302, headers={"Location": foreign.url()})

    fetched(ckan.url("/r"), tmp_path, ckan)

    assert (tokens(ckan), tokens(foreign)) == ([KEY], [None])


def test_a_redirect_to_another_name_of_the_same_machine_drops_the_token(ckan: FileServer, tmp_path: Path) -> None:
    ckan.answers["/r"] = Answer(status=302, headers={"Location": ckan.url(host="localhost")})

    fetched(ckan.url("/r"), tmp_path, ckan)

    assert tokens(ckan) == [KEY, None]


def test_a_foreign_server_cannot_have_ckan_asked_with_the_token(ckan: FileServer, foreign: FileServer, tmp_path: Path) -> None:
    foreign.answers["/r"] = Answer(status=302, headers={"Location": ckan.url()})

    fetched(foreign.url("/r"), tmp_path, ckan)

    assert tokens(ckan) == [None]


def test_the_way_back_to_ckan_has_no_token(ckan: FileServer, foreign: FileServer, tmp_path: Path) -> None:
    ckan.answers["/r"] = Answer(status=302, headers={"Location": foreign.url("/r")})
    foreign.answers["/r"] = Answer(status=302, headers={"Location": ckan.url()})

    fetched(ckan.url("/r"), tmp_path, ckan)

    assert tokens(ckan) == [KEY, None]


def test_an_error_never_shows_the_token(ckan: FileServer, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        fetched(ckan.url("/missing").replace("://", "://user:pw@"), tmp_path, ckan)

    said = str(caught.value.as_dict())
    assert KEY not in said
    assert "pw" not in said


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("abc", ("Authorization", "abc")),
        ("X-CKAN-API-Key: abc", ("X-CKAN-API-Key", "abc")),
        ("Authorization:Bearer a:b", ("Authorization", "Bearer a:b")),
    ],
)
def test_a_key_may_name_its_header(key: str, header: tuple[str, str]) -> None:
    assert token_header(key) == header


@pytest.mark.parametrize(
    "key", ["Host: evil", "Content-Length: 0", "X-Forwarded-Host: x", "Cookie: a", "X-A: b\r\nHost: c", "a\nb", "", "X-A:", "é"]
)
def test_a_key_that_would_steer_the_request_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(JobError) as caught:
        token_header(key)
    assert "evil" not in caught.value.message
