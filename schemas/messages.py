"""The messages on the bus: frozen values with `encode` and `decode`, no I/O.

`job.schema.json`, `event.schema.json` and `callback.schema.json` beside this file say the same as JSON Schemas (2020-12);
a test holds both to each other.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from schemas.errors import InvalidMessage
from schemas.json_text import dump_json, load_json

SCHEMA_VERSION = 1
JOB_TYPE, EVENT_TYPE, CALLBACK_TYPE = "datapusher.job", "datapusher.event", "datapusher.callback"
EVENT_CONTENT_TYPE = "application/cloudevents+json"
EVENT_TYPE_PREFIX = "org.ckan.datapusher.job."
#: Event sequences of one start of a job: start number × 1,000,000 + count.
A_START = 1_000_000
#: Ids stand in URLs, routing keys and file names.
JOB_ID = re.compile(r"[A-Za-z0-9_.:~-]{1,128}")
JOB_TYPE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
#: The keys that `POST /job` takes (ckanserviceprovider/web.py, `job`), and `job_id`.
JOB_KEYS = ("job_id", "job_type", "api_key", "result_url", "metadata", "data")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class State(StrEnum):
    """Where a job is. The legacy `status` knows three of them only: see `legacy_status`."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def final(self) -> bool:
        return self in (State.COMPLETE, State.ERROR, State.CANCELLED, State.DEAD)

    @property
    def legacy_status(self) -> str:
        """`pending`, `complete` or `error`: the words ckanserviceprovider has."""
        if self is State.COMPLETE:
            return "complete"
        return "error" if self.final else "pending"


class Kind(StrEnum):
    """What an event tells; the last part of its CloudEvents `type` and the second of its routing key."""

    QUEUED = "queued"
    STARTED = "started"
    PROGRESS = "progress"
    LOG = "log"
    RETRYING = "retrying"
    LOADED = "loaded"
    REJECTS = "rejects"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"
    DEAD = "dead"
    CALLBACK = "callback"


#: The state a job is in after such an event; kinds that are absent change no state.
STATE_AFTER = {
    Kind.QUEUED: State.QUEUED,
    Kind.STARTED: State.RUNNING,
    Kind.RETRYING: State.RETRYING,
    Kind.COMPLETE: State.COMPLETE,
    Kind.ERROR: State.ERROR,
    Kind.CANCELLED: State.CANCELLED,
    Kind.DEAD: State.DEAD,
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is asked: one body of `POST /job`, or one message on the jobs exchange."""

    job_id: str
    #: Names the function that runs it, and is its routing key.
    job_type: str
    #: CKAN API token, sealed (`schemas.sealing`) by our gateway, maybe plain from other publishers. Never logged.
    api_key: str = field(default="", repr=False)
    #: Where the finished job is POSTed to; None for nowhere.
    result_url: str | None = None
    #: Comes back in the callback as it was sent, types and all.
    metadata: Mapping[str, Json] = field(default_factory=dict)
    #: Free input of the job function; `sent_data` in answers.
    data: Json = None

    def encode(self) -> bytes:
        body = {key: getattr(self, key) for key in JOB_KEYS}
        return dump(body)

    @property
    def input(self) -> dict[str, Json]:
        """What a job function gets as `input`: the body without `job_id`, as ckanserviceprovider gave it."""
        return {key: getattr(self, key) for key in JOB_KEYS if key != "job_id"}

    @classmethod
    def decode(cls, body: bytes, *, message_id: str = "") -> "Job":
        """A job from a message's body; without `job_id` in it the *message_id* is the id, else a new one.

        Raises: InvalidMessage, saying which key is wrong.
        """
        fields = load_object(body)
        extra = sorted(set(fields) - set(JOB_KEYS))
        if extra:
            raise InvalidMessage(f"unknown keys: {', '.join(extra)}")
        return cls(
            job_id=checked_job_id((message_id or new_id()) if fields.get("job_id") is None else fields["job_id"]),
            job_type=_checked_job_type(fields.get("job_type")),
            api_key=_text(fields, "api_key") or "",
            result_url=_checked_url(fields),
            metadata=_object(fields, "metadata"),
            data=fields.get("data"),
        )


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened to a job: a CloudEvent 1.0 in structured mode (https://github.com/cloudevents/spec/blob/v1.0.2)."""

    job_id: str
    job_type: str
    kind: Kind
    #: Rises within a job, over all its attempts: start number × 1,000,000 + count. Two events of a job never share one.
    sequence: int
    #: Depends on the kind; `asyncapi.json` has an example of each. Never holds a secret.
    data: Mapping[str, Json] = field(default_factory=dict)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    #: The process that tells, such as `/worker/host/1234`.
    source: str = "/datapusher"

    @property
    def id(self) -> str:
        """The same for each copy of the event, so that whoever counts can drop duplicates."""
        return f"{self.job_id}/{self.sequence}"

    @property
    def routing_key(self) -> str:
        return f"job.{self.kind}.{self.job_type}"

    def encode(self) -> bytes:
        return dump({
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": EVENT_TYPE_PREFIX + self.kind,
            "subject": self.job_id,
            "time": self.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "jobtype": self.job_type,
            "sequence": self.sequence,
            "data": dict(self.data),
        })  # fmt: skip

    @classmethod
    def decode(cls, body: bytes) -> "Event":
        """Raises: InvalidMessage."""
        fields = load_object(body)
        sequence = fields.get("sequence")
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            raise InvalidMessage("sequence is not a whole number")
        return cls(
            job_id=checked_job_id(fields.get("subject")),
            job_type=_checked_job_type(fields.get("jobtype")),
            kind=_checked_kind(fields.get("type")),
            sequence=sequence,
            data=_object(fields, "data"),
            time=_checked_time(fields.get("time")),
            source=_text(fields, "source") or "",
        )


@dataclass(frozen=True, kw_only=True)
class Callback:
    """A finished job on its way to its `result_url`."""

    job_id: str
    job_type: str
    result_url: str
    #: Sealed; goes into the request's header.
    api_key: str = field(repr=False)
    #: Of the event that says how the delivery went.
    sequence: int
    #: The body that is POSTed: the legacy job object without `api_key`; its `job_key` is put in on the way out only.
    payload: Mapping[str, Json]

    def encode(self) -> bytes:
        keys = ("job_id", "job_type", "result_url", "api_key", "sequence", "payload")
        return dump({key: getattr(self, key) for key in keys})

    @classmethod
    def decode(cls, body: bytes) -> "Callback":
        """Raises: InvalidMessage."""
        fields = load_object(body)
        sequence, url = fields.get("sequence"), _checked_url(fields)
        if not isinstance(sequence, int) or url is None:
            raise InvalidMessage("sequence or result_url is missing")
        return cls(
            job_id=checked_job_id(fields.get("job_id")),
            job_type=_checked_job_type(fields.get("job_type")),
            result_url=url,
            api_key=_text(fields, "api_key") or "",
            sequence=sequence,
            payload=_object(fields, "payload"),
        )


def new_id() -> str:
    return str(uuid.uuid4())


def dump(value: Mapping[str, object]) -> bytes:
    return dump_json(value)


def load_object(body: bytes) -> dict[str, Json]:
    """Raises: InvalidMessage where *body* is not a JSON object in UTF-8."""
    try:
        value = load_json(body)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidMessage("not a JSON object")
    return value


def checked_job_id(value: object) -> str:
    if not isinstance(value, str) or not JOB_ID.fullmatch(value):
        raise InvalidMessage("job_id is not 1 to 128 letters, digits, dots, colons, ~, - or _")
    return value


def _checked_job_type(value: object) -> str:
    if not isinstance(value, str) or not JOB_TYPE_NAME.fullmatch(value):
        raise InvalidMessage("job_type is missing, or not letters, digits, - and _")
    return value


_KINDS = {EVENT_TYPE_PREFIX + kind: kind for kind in Kind}


def _checked_kind(value: object) -> Kind:
    if isinstance(value, str) and value in _KINDS:
        return _KINDS[value]
    try:
        return Kind(str(value).removeprefix(EVENT_TYPE_PREFIX))
    except ValueError:
        raise InvalidMessage(f"type {str(value)[:80]!r} is not an event of ours") from None


def _checked_time(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidMessage("time is not an RFC 3339 timestamp") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checked_url(fields: Mapping[str, Json]) -> str | None:
    url = _text(fields, "result_url")
    if url and not url.lower().startswith(("http://", "https://")):
        raise InvalidMessage("result_url has to start with http")
    return url or None


def _text(fields: Mapping[str, Json], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidMessage(f"{key} is not text")
    return value


def _object(fields: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidMessage(f"{key} is not an object")
    return value
