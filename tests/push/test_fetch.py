import gzip
import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumer.push.download import Download, FetchSettings, Progress
from consumer.push.fetch import fetch
from consumer.push.http_get import NotModified
from schemas.errors import FileError, JobError, Transient
from tests.push.file_server import Answer, FileServer, running

BODY = b"id,name\n1,Ann\n2,Bob\n"


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    server.answers["/file.csv"] = Answer(BODY, headers={"Content-Type": "text/csv", "ETag": '"v1"'})
    with running(server):
        yield server


def settings(**changes: Any) -> FetchSettings:
    return FetchSettings(**{"allowed_networks": ("127.0.0.0/8", "::1"), "timeout_s": 2.0, **changes})


def got(server: FileServer, tmp_path: Path, path: str = "/file.csv", **changes: Any) -> Download:
    return fetch(server.url(path), tmp_path / "body", settings(**changes))


def test_a_file_is_on_disk_with_its_hashes_and_what_the_server_said(server: FileServer, tmp_path: Path) -> None:
    download = got(server, tmp_path)

    assert download.path.read_bytes() == BODY
    assert (download.size_bytes, download.status) == (len(BODY), 200)
    assert download.md5 == hashlib.md5(BODY).hexdigest()
    assert download.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (download.content_type, download.etag) == ("text/csv", '"v1"')
    assert download.final_url == server.url()


def test_progress_ends_with_all_bytes_and_100_percent(server: FileServer, tmp_path: Path) -> None:
    told: list[Progress] = []

    fetch(server.url(), tmp_path / "body", settings(), on_progress=told.append)

    assert (told[-1].done_bytes, told[-1].percent) == (len(BODY), 100.0)
    assert told[-1].bytes_per_s > 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://h/1", "data:text/csv,a", "upload.csv", "//h/x", ""])
def test_other_schemes_are_never_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"Only http, https, and ftp resources may be fetched\."):
        fetch(url, tmp_path / "body", settings())


def test_a_redirect_to_a_file_url_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.answers["/r"] = Answer(status=302, headers={"Location": "file:///etc/passwd"})

    with pytest.raises(JobError, match="Only http, https, and ftp"):
        got(server, tmp_path, "/r")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_relative_ones_too(server: FileServer, tmp_path: Path, status: int) -> None:
    server.answers["/old"] = Answer(status=status, headers={"Location": "file.csv"})

    download = got(server, tmp_path, "/old")

    assert download.final_url == server.url("/file.csv")


def test_a_redirect_loop_ends(server: FileServer, tmp_path: Path) -> None:
    server.answers["/r"] = Answer(status=302, headers={"Location": "/r"})

    with pytest.raises(JobError, match="more than 10 times"):
        got(server, tmp_path, "/r")
    assert len(server.asked) == 11


def test_a_file_over_the_limit_is_refused_by_its_declared_length(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"20 bytes.*limit is 10 bytes.*DATAPUSHER_MAX_CONTENT_LENGTH") as caught:
        got(server, tmp_path, max_bytes=10)

    assert caught.value.code == "too-large"
    assert (tmp_path / "body").stat().st_size == 0


def test_a_file_over_the_limit_is_refused_while_it_comes(server: FileServer, tmp_path: Path) -> None:
    server.answers["/endless"] = Answer(lambda: (b"x" * 1000 for _ in iter(int, 1)))

    with pytest.raises(FileError, match="DATAPUSHER_MAX_CONTENT_LENGTH"):
        got(server, tmp_path, "/endless", max_bytes=50_000)


def test_a_gzip_encoded_body_is_undone_and_its_bomb_refused(server: FileServer, tmp_path: Path) -> None:
    headers = {"Content-Encoding": "gzip"}
    server.answers["/small"] = Answer(gzip.compress(BODY), headers=headers)
    server.answers["/bomb"] = Answer(gzip.compress(b"0" * 50_000_000), headers=headers)

    assert got(server, tmp_path, "/small").path.read_bytes() == BODY
    with pytest.raises(FileError, match="DATAPUSHER_MAX_CONTENT_LENGTH"):
        got(server, tmp_path, "/bomb", max_bytes=1_000_000)
    assert (tmp_path / "body").stat().st_size <= 1_000_000


def test_a_silent_server_is_given_up_after_the_timeout(server: FileServer, tmp_path: Path) -> None:
    server.answers["/stuck"] = Answer(lambda: _slowly(b"a,b\n", 1.0))

    with pytest.raises(Transient, match="DATAPUSHER_DOWNLOAD_TIMEOUT"):
        got(server, tmp_path, "/stuck", timeout_s=0.2)


def test_a_server_that_drips_is_given_up_after_the_total_time(server: FileServer, tmp_path: Path) -> None:
    server.answers["/drip"] = Answer(lambda: _slowly(b"x", 0.05))

    with pytest.raises(JobError, match="DATAPUSHER_DOWNLOAD_TOTAL_TIMEOUT"):
        got(server, tmp_path, "/drip", total_time_s=0.3)


def test_a_server_that_drips_is_given_up_for_its_speed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.push.download.SPEED_WINDOW_S", 0.3)
    server.answers["/drip"] = Answer(lambda: _slowly(b"x", 0.05))

    with pytest.raises(Transient, match=r"the least is 1,024.*DATAPUSHER_DOWNLOAD_MIN_SPEED"):
        got(server, tmp_path, "/drip")


def _slowly(chunk: bytes, pause_s: float) -> Iterator[bytes]:
    for _ in range(40):
        yield chunk
        time.sleep(pause_s)


def test_a_body_shorter_than_its_length_is_tried_again(server: FileServer, tmp_path: Path) -> None:
    server.answers["/short"] = Answer(BODY, length=len(BODY) + 5)

    with pytest.raises(Transient, match="broke off"):
        got(server, tmp_path, "/short")


@pytest.mark.parametrize("status", [202, 408, 425, 429, 500, 502, 503, 504, 522])
def test_passing_failures_are_transient_and_keep_retry_after(server: FileServer, tmp_path: Path, status: int) -> None:
    server.answers["/busy"] = Answer(b"wait", status, {"Retry-After": "7"})

    with pytest.raises(Transient, match=f"HTTP {status}") as caught:
        got(server, tmp_path, "/busy")
    assert caught.value.retry_after_s == 7.0


def test_retry_after_may_be_a_date(server: FileServer, tmp_path: Path) -> None:
    server.answers["/busy"] = Answer(b"", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})

    with pytest.raises(Transient) as caught:
        got(server, tmp_path, "/busy")
    assert caught.value.retry_after_s == 0.0


@pytest.mark.parametrize("header", ["²", "soon", ""])
def test_a_retry_after_that_says_nothing_is_none(server: FileServer, tmp_path: Path, header: str) -> None:
    server.answers["/busy"] = Answer(b"", 503, {"Retry-After": header})

    with pytest.raises(Transient) as caught:
        got(server, tmp_path, "/busy")
    assert caught.value.retry_after_s is None


def test_a_redirect_to_no_address_is_a_final_error(server: FileServer, tmp_path: Path) -> None:
    server.answers["/lost"] = Answer(b"", 302, {"Location": "http://[x/"})

    with pytest.raises(JobError, match="is not a web address"):
        got(server, tmp_path, "/lost")


def test_the_signature_in_a_redirects_address_is_not_shown(server: FileServer, tmp_path: Path) -> None:
    server.answers["/upload"] = Answer(b"", 302, {"Location": "/store?X-Amz-Signature=secret"})
    server.answers["/store?X-Amz-Signature=secret"] = Answer(b"no", 403)

    with pytest.raises(JobError) as caught:
        got(server, tmp_path, "/upload")
    assert caught.value.details["Requested URL"] == server.url("/store")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451])
def test_final_failures_say_status_and_url(server: FileServer, tmp_path: Path, status: int) -> None:
    server.answers["/gone?x=1"] = Answer(b"no", status)

    with pytest.raises(JobError, match=f"HTTP {status}") as caught:
        got(server, tmp_path, "/gone?x=1")
    assert caught.value.details == {"HTTP status code": status, "Requested URL": server.url("/gone?x=1")}


def test_nobody_listening_is_transient(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"

        with pytest.raises(Transient, match=r"cannot be reached: Connection refused\."):
            fetch(url, tmp_path / "body", settings())


@pytest.mark.parametrize("url", ["http://h:port/", "http://[::1", "http:///x", "http://a b/"])
def test_a_link_that_is_no_address_says_so(url: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="The link of the resource"):
        fetch(url, tmp_path / "body", settings())


def test_a_304_that_was_not_asked_for_is_an_error(server: FileServer, tmp_path: Path) -> None:
    server.answers["/file.csv"] = Answer(status=304)

    with pytest.raises(JobError, match="HTTP 304"):
        got(server, tmp_path)


def test_user_agent_and_headers_of_the_host_are_sent(server: FileServer, tmp_path: Path) -> None:
    for_hosts = {"127.0.0.1": {"X-Pass": "yes"}, "other.example": {"X-Other": "no"}}

    got(server, tmp_path, user_agent="Our portal", host_headers=for_hosts)

    sent = server.asked[0][1]
    assert (sent["User-Agent"], sent["X-Pass"], "X-Other" in sent) == ("Our portal", "yes", False)


def test_the_proxy_gets_the_request(server: FileServer, tmp_path: Path) -> None:
    server.answers["http://127.0.0.9:1/file.csv"] = Answer(BODY)

    fetch("http://127.0.0.9:1/file.csv", tmp_path / "body", settings(proxy=server.url("")))

    assert server.asked[0][0] == "http://127.0.0.9:1/file.csv"


def test_private_addresses_are_refused_behind_a_proxy_too(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="DATAPUSHER_ALLOWED_NETWORKS"):
        fetch("http://169.254.169.254/latest", tmp_path / "body", settings(proxy=server.url(""), allowed_networks=()))
    assert server.asked == []


def test_the_environment_names_no_proxy(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert got(server, tmp_path).size_bytes == len(BODY)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="data.xlsx"', "data.xlsx"),
        ("attachment; filename=data.csv; size=3", "data.csv"),
        ("attachment; filename=\"x.csv\"; filename*=UTF-8''St%C3%A4dte.csv", "Städte.csv"),
        ('attachment; filename="../../etc/a \\"b\\".csv"', 'a "b".csv'),
        ("inline", None),
    ],
)
def test_the_file_name_of_content_disposition(server: FileServer, tmp_path: Path, header: str, name: str) -> None:
    server.answers["/d"] = Answer(BODY, headers={"Content-Disposition": header})

    assert got(server, tmp_path, "/d").filename == name


def test_a_server_whose_etag_is_the_known_md5_need_not_send_the_file(server: FileServer, tmp_path: Path) -> None:
    server.answers["/r"] = Answer(status=302, headers={"Location": "/file.csv"})
    server.answers["/file.csv"] = Answer(status=304, headers={"ETag": '"0cc175b9c0f1b6a831c399e269772661"'})

    with pytest.raises(NotModified):
        fetch(server.url("/r"), tmp_path / "body", settings(), known_md5="0cc175b9c0f1b6a831c399e269772661")

    assert server.asked[-1][1]["If-None-Match"] == '"0cc175b9c0f1b6a831c399e269772661"'
