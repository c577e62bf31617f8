"""PostgreSQL's errors are either worth another try or told in words; never both, never raw."""

import psycopg2
import pytest

from consumer.push.pg_errors import translated
from schemas.errors import JobError, Transient
from tests.push.datastore_database import Datastore


def error_of(ds: Datastore, statement: str) -> Exception:
    with pytest.raises(psycopg2.Error) as caught:
        ds.run(statement)
    return caught.value


def raising(code: str, message: str = "the reason") -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{code}', DETAIL = 'more', HINT = 'do'; END $$"


@pytest.mark.parametrize(
    "code", ["40001", "40P01", "55P03", "57P01", "57014", "53100", "53200", "53300", "08006", "58030", "57P03"]
)
def test_what_may_pass_is_tried_again(ds: Datastore, code: str) -> None:
    found = translated(error_of(ds, raising(code)))
    assert isinstance(found, Transient)
    assert "the reason" in found.message


def test_a_full_disk_says_so(ds: Datastore) -> None:
    assert "disk" in translated(error_of(ds, raising("53100"))).message


@pytest.mark.parametrize("code", ["42501", "54000", "P0001", "23514", "42P07", "2BP01", "42601"])
def test_what_will_not_pass_ends_the_job_with_detail_and_hint(ds: Datastore, code: str) -> None:
    found = translated(error_of(ds, raising(code)))
    assert isinstance(found, JobError)
    assert found.message.endswith(": the reason")
    assert found.details == {"Detail": "more", "Hint": "do", "PostgreSQL": code}


def test_a_lost_connection_is_tried_again(ds: Datastore) -> None:
    connection = psycopg2.connect(ds.url)
    ds.run(f"SELECT pg_terminate_backend({connection.info.backend_pid})")
    with pytest.raises(psycopg2.OperationalError) as caught:
        connection.cursor().execute("SELECT 1")
    connection.close()
    assert isinstance(translated(caught.value), Transient)


def test_a_message_that_psycopg2_cannot_decode_is_tried_again() -> None:
    assert isinstance(translated(SystemError("error return without exception set")), Transient)
