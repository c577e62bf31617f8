"""The client's side of `GET /job/<id>/events`: what happens to a job, as it happens, over any number of connections."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import requests

from schemas.messages import STATE_AFTER, Kind

#: A gateway says at least every ten seconds that it is there.
SILENCE_S = 40.0
#: Between connections, and how many may fail one after the other.
PAUSE_S, TRIES = 1.0, 30
FINAL_KINDS = frozenset(kind.value for kind, state in STATE_AFTER.items() if state.final)

EventDict = Mapping[str, Any]


class StreamRefused(Exception):
    """The gateway refused the stream; *answer* says why."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(answer.reason)
        self.answer = answer


def events(session: requests.Session, url: str) -> Iterator[EventDict]:
    """CloudEvents of the job at *url* (`…/job/<id>/events`), the last one final; each once, as far as they have an id.

    Raises: StreamRefused; requests.RequestException once the gateway was away TRIES times in a row.
    """
    last, failed = "", 0
    while True:
        try:
            for number, event in _connection(session, url, last):
                last, failed = number or last, 0
                yield event
                if _kind(event) in FINAL_KINDS:
                    return
        except requests.RequestException:
            failed += 1
            if failed >= TRIES:
                raise
        except _Over:
            return
        time.sleep(PAUSE_S)


class _Over(Exception):
    """The client knows all there is."""


def _connection(session: requests.Session, url: str, last: str) -> Iterator[tuple[str, EventDict]]:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    with session.get(url, headers=headers, stream=True, timeout=SILENCE_S) as answer:
        if answer.status_code == 204:
            raise _Over
        if not answer.ok:
            _ = answer.content  # read while the connection is there
            raise StreamRefused(answer)
        yield from parsed(answer.iter_lines(chunk_size=1))


def parsed(lines: Iterable[bytes]) -> Iterator[tuple[str, EventDict]]:
    """(id, CloudEvent) of each message of a stream (https://html.spec.whatwg.org/#parsing-an-event-stream)."""
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        if line and name:  # one without a name is a comment
            fields[name] = value
        elif not line and b"data" in fields:
            yield fields.get(b"id", b"").decode(), json.loads(fields[b"data"])
            fields = {}


def _kind(event: EventDict) -> str:
    return str(event["type"]).rpartition(".")[2]


def log_line(event: EventDict) -> dict[str, Any] | None:
    """The line of the job's log that *event* tells, as `GET /job/<id>` has it; None for other events."""
    if _kind(event) != Kind.LOG or event["data"].get("level") == "DEBUG":
        return None
    return {"timestamp": str(event["time"]).removesuffix("Z"), **event["data"]}


def progress(event: EventDict) -> Mapping[str, Any] | None:
    return dict(event["data"]) if _kind(event) == Kind.PROGRESS else None


def state(event: EventDict) -> str | None:
    """The state the job is in from this event on; None where it changes none."""
    kind = _kind(event)
    return STATE_AFTER[Kind(kind)].value if kind in STATE_AFTER else None
