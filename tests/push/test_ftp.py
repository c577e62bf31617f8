from pathlib import Path

import pytest

from consumer.push.download import FetchSettings, Progress
from consumer.push.fetch import fetch
from schemas.errors import FileError, JobError, Transient
from tests.push.file_server import FtpServer, running

BODY = b"id,name\n1,Ann\n" * 1000
LOCAL = FetchSettings(allowed_networks=("127.0.0.0/8",), timeout_s=2.0)


def test_a_file_comes_by_ftp_and_tells_its_progress(tmp_path: Path) -> None:
    told: list[Progress] = []
    with running(server := FtpServer({"/pub/data file.csv": BODY})):
        download = fetch(server.url("/pub/data%20file.csv"), tmp_path / "body", LOCAL, on_progress=told.append)

    assert download.path.read_bytes() == BODY
    assert (download.last_modified, told[-1].percent) == ("20240131102030", 100.0)


def test_user_and_password_of_the_url_log_in(tmp_path: Path) -> None:
    with running(server := FtpServer({"/x.csv": BODY}, password="p w")):
        fetch(server.url("/x.csv", "ann:p%20w@"), tmp_path / "body", LOCAL)

        with pytest.raises(JobError, match="does not accept the user") as caught:
            fetch(server.url("/x.csv", "ann:wrong@"), tmp_path / "body", LOCAL)
    assert "wrong" not in str(caught.value.as_dict())


def test_a_missing_file_is_a_final_error(tmp_path: Path) -> None:
    with running(server := FtpServer({})), pytest.raises(JobError, match="no such file"):
        fetch(server.url("/x.csv"), tmp_path / "body", LOCAL)


def test_a_transfer_that_breaks_off_is_tried_again(tmp_path: Path) -> None:
    with running(server := FtpServer({"/x.csv": BODY}, cut=100)), pytest.raises(Transient, match="after 100 of 14,000"):
        fetch(server.url("/x.csv"), tmp_path / "body", LOCAL)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    settings = FetchSettings(allowed_networks=("127.0.0.0/8",), max_bytes=1000)
    with running(server := FtpServer({"/x.csv": BODY})), pytest.raises(FileError, match="MAX_CONTENT_LENGTH"):
        fetch(server.url("/x.csv"), tmp_path / "body", settings)


def test_line_breaks_in_the_path_send_no_command(tmp_path: Path) -> None:
    with running(server := FtpServer({})), pytest.raises(JobError, match="control characters"):
        fetch(server.url("/x%0d%0aDELE%20y"), tmp_path / "body", LOCAL)


def test_line_breaks_in_the_user_are_refused(tmp_path: Path) -> None:
    with running(server := FtpServer({})), pytest.raises(JobError, match="control characters"):
        fetch(server.url("/x.csv", "a%0d%0aDELE%20y:b@"), tmp_path / "body", LOCAL)


def test_a_host_that_cannot_be_is_a_final_error(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="is no FTP server"):
        fetch(f"ftp://{'a' * 64}.example/x.csv", tmp_path / "body", LOCAL)


def test_nobody_listening_is_transient(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="cannot be reached"):
        fetch("ftp://127.0.0.1:1/x.csv", tmp_path / "body", LOCAL)
