"""How values are written."""

from datetime import datetime, timedelta

import pytest

from gateway import clock
from gateway.ui import words
from schemas.messages import Json


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(None, ""), (0, "0 ms"), (-3, "0 ms"), (0.12, "120 ms"), (0.95, "0.9 s"), (3.25, "3.2 s"), (9.99, "10.0 s"),
     (59.6, "1 min"), (60, "1 min"), (75, "1 min 15 s"), (3600, "1 h"), (3605, "1 h"), (3660, "1 h 1 min"),
     (86400 * 2 + 3600 * 4, "2 d 4 h")],
)  # fmt: skip
def test_durations_have_at_most_two_units(seconds: float | None, written: str) -> None:
    assert words.span(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), [(0, "just now"), (61, "1 min ago"), (7200, "2 h ago"), (-5, "just now")])
def test_moments_are_told_by_how_long_ago_they_are(seconds: float, written: str) -> None:
    assert words.ago(clock.now() - timedelta(seconds=seconds)) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234567, "1,234,567"), (12.5, "12.5"), (None, ""), ("x", "x"), (True, "True"), (0.000125, "0.000125")],
)
def test_numbers_have_their_thousands_apart(value: object, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (429336, "429 kB"), (5e12, "5,000 GB"), (None, ""), ("x", ""),
     (True, "")],
)  # fmt: skip
def test_sizes_are_told_in_the_unit_that_fits(value: object, written: str) -> None:
    assert words.size(value) == written


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [("see https://user:pa55@host/x now", "@host/x now", "pa55"), ("https://h/f?a=1&token=s3c#x", "a=1", "s3c"),
     ("https://h/f?X-Amz-Signature=abcdef&x=1", "&x=1", "abcdef"), ("https://h/?sig=s%20x&y", "&y", "s%20x"),
     ("plain: a@b", "plain: a@b", "?"),
     ("?access_token=zz", "access_token", "zz")],
)  # fmt: skip
def test_secrets_in_addresses_are_hidden(text: str, kept: str, gone: str) -> None:
    assert kept in words.hidden(text) and gone not in words.hidden(text)


def test_what_is_named_as_a_secret_is_masked_at_any_depth() -> None:
    value: Json = {
        "a": [{"apiKey": "1", "Password": "2", "list": ["https://u:p@h"]}],
        "job_key": "3",
        "key": "kept",
        "token": "",
    }
    assert words.masked(value) == {
        "a": [{"apiKey": words.MASK, "Password": words.MASK, "list": [f"https://{words.MASK}@h"]}],
        "job_key": words.MASK, "key": "kept", "token": "",
    }  # fmt: skip


def test_a_file_is_called_by_the_end_of_its_address() -> None:
    assert words.file_name("https://h/a/b%20c.csv?x=/y#z") == "b c.csv"
    assert words.file_name("") == ""


def test_times_for_machines_say_that_they_are_utc() -> None:
    assert words.machine_time(datetime(2026, 3, 1, 12, 0, 0, 5)) == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://u:p@ckan.example/sub/", "ckan.example/sub"), ("", ""), ("nonsense", "nonsense"), ("http://[", "http://[")],
)
def test_a_ckan_is_called_by_its_host(url: str, shown: str) -> None:
    assert words.host(url) == shown
