"""What an answer of CKAN's API means: its result, or the error that says what to do about it.

Details of an error carry the labels that DataPusher's had: `HTTP status code`, `Requested URL`, `Response`.
"""

from collections.abc import Mapping

import requests

from consumer.push.retry_after import retry_after_s
from schemas.errors import JobError, Transient
from schemas.messages import Json

#: Characters of an answer that are shown with an error.
SHOWN_CHARACTERS = 2000
#: Calls that only read; all others need the right to edit.
READING = ("resource_show", "datastore_search", "datastore_info", "status_show")
#: From here on, a proxy's plain 400 is taken for its way to say 413.
LARGE_BYTES = 65_536
#: Keys of CKAN's error objects that say nothing to a reader.
_NOISE = ("__type", "records_row")


class Refused(JobError):
    """CKAN refused what was sent (409). *error* is its whole error object."""

    def __init__(self, message: str, *, error: Mapping[str, Json], details: Mapping[str, object]) -> None:
        super().__init__(message, details=details)
        self.error = dict(error)


class NotFound(JobError):
    """CKAN has no such resource, or the DataStore no such table."""


class NotCkan(JobError):
    """What answers is not CKAN's API: a wrong address, or a server in front of CKAN that has its own page for a moment."""


class TooLarge(JobError):
    """CKAN or the server in front of it does not take a request of this size."""


class Unanswered(Transient):
    """No answer, or one of a server that gave up: what was asked may have been done, or may still be going on."""


def result_of(response: requests.Response, action: str, sent_bytes: int) -> Json:
    """The `result` of an answer.

    Raises: Refused, NotFound, NotCkan, TooLarge or a plain JobError; Transient (429) or Unanswered (5xx, broken answers).
    """
    body = _parsed(response)
    if response.status_code == 200 and body is not None and body.get("success") is True:
        return body.get("result")
    raise _error(response, body, action, sent_bytes)


def readable(error: object) -> str:
    """CKAN's error object as one line: `fields: "a b" is not a valid field name; type: Missing value`."""
    if isinstance(error, Mapping):
        parts = {str(key): readable(value) for key, value in error.items() if key not in _NOISE}
        return "; ".join(text if key == "message" else f"{key}: {text}" for key, text in parts.items() if text)
    if isinstance(error, list | tuple):
        return ", ".join(filter(None, map(readable, error)))
    return "" if error is None else " ".join(str(error).split())


def _is_json(response: requests.Response) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _parsed(response: requests.Response) -> dict[str, Json] | None:
    """The JSON object in *response*; None where there is none: a proxy's page, a log-in form."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error(response: requests.Response, body: Mapping[str, Json] | None, action: str, sent_bytes: int) -> JobError | Transient:
    status, details = response.status_code, _details(response)
    if status == 413 or (status == 400 and sent_bytes > LARGE_BYTES and not _is_json(response)):
        return TooLarge(_too_large(sent_bytes), details=details)
    if status in (401, 403):
        return JobError(_not_allowed(action), details=details)
    if status == 429:
        return Transient(_passing(response, action), retry_after_s=retry_after_s(response.headers.get("Retry-After")))
    if status >= 500 or status == 408:
        return Unanswered(_passing(response, action), retry_after_s=retry_after_s(response.headers.get("Retry-After")))
    if body is None or "success" not in body:
        return NotCkan(_not_ckan(response, action), details=details)
    return _refusal(status, body.get("error"), action, details)


def _refusal(status: int, error: Json, action: str, details: Mapping[str, object]) -> JobError:
    text = readable(error) or f"HTTP {status}"
    if status == 404:
        return NotFound(f"CKAN does not have what {action} was asked for: {text}", details=details)
    known = error if isinstance(error, dict) else {"message": error}
    return Refused(f"CKAN refused the call {action}: {text}", error=known, details=details)


def _details(response: requests.Response) -> dict[str, object]:
    text = response.text
    shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return {"HTTP status code": response.status_code, "Requested URL": response.url, "Response": shown}


def _too_large(sent_bytes: int) -> str:
    return (
        f"The server in front of CKAN does not take a request of {sent_bytes:,} bytes. Its limit has to be raised (nginx:"
        " client_max_body_size), or DATAPUSHER_CHUNK_INSERT_BYTES lowered."
    )


def _not_allowed(action: str) -> str:
    right = "see the resource" if action in READING else "edit the dataset (resource_update)"
    return (
        f"CKAN does not allow {action} with the API token of this job: the token's user needs the right to {right}, and"
        " the token must not have expired. An administrator sets it in CKAN as ckan.datapusher.api_token."
    )


def _passing(response: requests.Response, action: str) -> str:
    return f"CKAN could not do {action} just now: HTTP {response.status_code} {response.reason or ''}".rstrip() + "."


def _not_ckan(response: requests.Response, action: str) -> str:
    kind = response.headers.get("Content-Type", "").partition(";")[0] or "no content type"
    return (
        f"What answers at {response.url} is not CKAN's API: HTTP {response.status_code} with {kind} instead of JSON"
        f" ({action}). Check ckan.site_url and ckan.datapusher.callback_url_base in CKAN, or DATAPUSHER_CKAN_URL_MAP here."
    )
