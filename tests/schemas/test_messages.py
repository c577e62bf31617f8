"""The dataclasses and the JSON Schemas say the same."""

import json
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.errors import InvalidMessage
from schemas.messages import Callback, Event, Job, Kind, State, load_object

PLAIN = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=20)
IDS = st.from_regex(r"[A-Za-z0-9_.:~-]{1,40}", fullmatch=True)
TYPES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
URLS = st.none() | st.just("https://ckan.example/hook")
OBJECTS = st.dictionaries(st.text(max_size=10), PLAIN, max_size=4)
JOBS = st.builds(Job, job_id=IDS, job_type=TYPES, api_key=st.text(max_size=20), result_url=URLS, metadata=OBJECTS, data=PLAIN)
EVENTS = st.builds(
    Event, job_id=IDS, job_type=TYPES, kind=st.sampled_from(Kind), sequence=st.integers(0, 2**31 - 1), data=OBJECTS,
    time=st.datetimes(timezones=st.just(UTC)), source=st.text(max_size=20),
)  # fmt: skip


def validator(name: str) -> Draft202012Validator:
    schema = json.loads(files("schemas").joinpath(f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@given(JOBS)
def test_every_job_is_valid_and_comes_back_as_it_was(job: Job) -> None:
    body = job.encode()
    validator("job").validate(json.loads(body))
    assert Job.decode(body) == job


@given(EVENTS)
def test_every_event_is_valid_and_comes_back_as_it_was(event: Event) -> None:
    body = event.encode()
    validator("event").validate(json.loads(body))
    assert Event.decode(body) == event


def test_a_callback_is_valid_and_comes_back_as_it_was() -> None:
    callback = Callback(
        job_id="a", job_type="t", result_url="http://x", api_key="k", sequence=3, payload={"status": "complete"}
    )
    validator("callback").validate(json.loads(callback.encode()))
    assert Callback.decode(callback.encode()) == callback


ALMOST_JOBS = st.fixed_dictionaries(
    {},
    optional={
        "job_id": PLAIN | IDS, "job_type": PLAIN | TYPES, "api_key": PLAIN, "result_url": PLAIN | URLS,
        "metadata": PLAIN | OBJECTS, "data": PLAIN, "more": PLAIN,
    },
)  # fmt: skip


@given(ALMOST_JOBS)
def test_the_schema_and_decode_refuse_the_same_jobs(body: dict[str, object]) -> None:
    try:
        Job.decode(json.dumps(body).encode())
        decodes = True
    except InvalidMessage:
        decodes = False
    assert decodes == validator("job").is_valid(body)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_message_or_invalid(body: bytes) -> None:
    for decode in (Job.decode, Event.decode, Callback.decode):
        try:
            decode(body)
        except InvalidMessage:
            pass


def test_deep_nesting_is_refused_not_a_crash() -> None:
    with pytest.raises(InvalidMessage, match="not JSON"):
        load_object(b"[" * 200_000)


def test_a_direct_publisher_may_leave_the_id_to_the_message() -> None:
    body = b'{"job_type": "push_to_datastore"}'
    assert Job.decode(body, message_id="m-1").job_id == "m-1"
    assert len(Job.decode(body).job_id) == 36


def test_an_api_key_never_shows_in_a_repr() -> None:
    assert "sesame" not in repr(Job(job_id="a", job_type="t", api_key="sesame"))


def test_events_keep_microseconds_and_say_utc() -> None:
    event = Event(job_id="a", job_type="t", kind=Kind.LOG, sequence=1, time=datetime(2026, 1, 2, tzinfo=UTC))
    assert load_object(event.encode())["time"] == "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("state", "legacy"),
    [("queued", "pending"), ("running", "pending"), ("retrying", "pending"), ("complete", "complete"), ("error", "error"),
     ("cancelled", "error"), ("dead", "error")],
)  # fmt: skip
def test_old_clients_see_one_of_three_statuses(state: str, legacy: str) -> None:
    assert State(state).legacy_status == legacy
