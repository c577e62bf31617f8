"""`GET /job/<id>/events`: what happens to a job, as server-sent events (https://html.spec.whatwg.org/#server-sent-events).

What has happened comes from the store, what happens comes from the bus, and now and then the store is asked for what the bus
may not have brought. An event's id is its sequence: a client that comes back with `Last-Event-ID` goes on after that one.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

from aiohttp import web

from gateway import queries
from gateway.events import Listener
from gateway.jobs import authorised_job
from gateway.legacy import job_error
from gateway.queries import JobRow, LogRow
from gateway.service import Service, service_of
from gateway.submission import Refused
from schemas.errors import StoreUnavailable
from schemas.messages import A_START, STATE_AFTER, Event, Json, Kind, State

#: Proxies cut connections on which nothing has moved for 30 s or more.
HEARTBEAT_S = 10.0
#: How often the store is asked.
LOOK_S = 4.0
MAX_STREAMS = 500
REPLAYED_AT_ONCE = 1000
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
SOURCE = "/gateway"
KIND_OF_STATE = {state: kind for kind, state in STATE_AFTER.items()}


async def events(request: web.Request) -> web.StreamResponse:
    """Ends after the job's last event; who asks again after that one gets 204, which tells a browser to stop."""
    service = service_of(request)
    row = await authorised_job(request)
    seen = _last_seen(request)
    if row.final and seen >= row.sequence:
        return web.Response(status=204)
    if len(service.waiting) >= MAX_STREAMS:
        raise Refused("Too many requests wait for events: ask GET /job/<id> instead.", 503)
    with service.waits(), service.hub.listening(row.job_id, row.job_type) as listener:
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the client has gone
            await _Stream(service, row.job_id, response, seen).run(listener)
    return response


def _last_seen(request: web.Request) -> int:
    """The sequence the client has; -1 for none, since the first event of a job may have sequence 0."""
    text = request.headers.get("Last-Event-ID") or request.query.get("last_event_id", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


class _Stream:
    """One client's view of one job. *seen* is the sequence up to which it knows everything."""

    def __init__(self, service: Service, job_id: str, response: web.StreamResponse, seen: int) -> None:
        self._service = service
        self._job_id = job_id
        self._response = response
        self._seen = seen
        self._sent: set[int] = set()
        self._top = seen
        self._stored = seen
        self._ended = False
        self._told_at = time.monotonic()

    async def run(self, listener: Listener) -> None:
        await self._look()
        looked_at = time.monotonic()
        while not self._ended:
            event = await listener.next(LOOK_S)
            if event is not None:
                await self._hear(event)
            if time.monotonic() - looked_at >= LOOK_S:
                await self._look()
                looked_at = time.monotonic()
            await self._beat()

    async def _hear(self, event: Event) -> None:
        if _is_last(event):
            await self._look()  # nothing may come after it
        await self._send(event)

    async def _look(self) -> None:
        """Sends what the store knows and the client does not."""
        with contextlib.suppress(StoreUnavailable):  # the bus goes on telling, and the next look may succeed
            row = await self._service.store.read(queries.job, self._job_id)
            if row is None:  # deleted meanwhile
                self._ended = True
                return
            states = sorted(_events_of(row), key=lambda event: event.sequence)
            async for line in self._new_lines():
                while states and states[0].sequence < line.sequence:
                    await self._send(states.pop(0))
                await self._send(_log_event(row, line))
            for event in states:
                await self._send(event)

    async def _new_lines(self) -> AsyncIterator[LogRow]:
        """The log's lines that were not read yet, oldest first."""
        read = self._service.store.read
        while lines := await read(queries.log_after, self._job_id, self._stored, REPLAYED_AT_ONCE):
            self._stored = lines[-1].sequence
            for line in lines:
                yield line

    async def _send(self, event: Event) -> None:
        """Once, whoever brings it. One that comes late goes without an id, so that the client's never falls back."""
        if self._ended or event.sequence <= self._seen or event.sequence in self._sent:
            return
        self._sent.add(event.sequence)
        number = f"id: {event.sequence}\n" if event.sequence > self._top else ""
        self._top = max(self._top, event.sequence)
        await self._write(f"{number}event: {event.kind}\ndata: ".encode() + event.encode() + b"\n\n")
        self._ended = _is_last(event)

    async def _beat(self) -> None:
        if not self._ended and time.monotonic() - self._told_at >= HEARTBEAT_S:
            await self._write(b": still here\n\n")

    async def _write(self, chunk: bytes) -> None:
        await self._response.write(chunk)
        self._told_at = time.monotonic()


def _is_last(event: Event) -> bool:
    return event.kind in STATE_AFTER and STATE_AFTER[event.kind].final


def _events_of(row: JobRow) -> Iterator[Event]:
    """What the store keeps of a job's events besides its log: the newest progress, then the newest state."""
    if isinstance(row.progress, dict) and not row.final:
        yield _event(row, Kind.PROGRESS, row.progress_sequence, row.progress, datetime.now(UTC))
    state = State(row.state)
    moment = row.finished_at if row.finished_at is not None else row.requested_at
    yield _event(row, KIND_OF_STATE[state], row.sequence, _told(row, state), moment.replace(tzinfo=UTC))


def _told(row: JobRow, state: State) -> dict[str, Json]:
    if state is State.COMPLETE:
        return {"data": row.data}
    if state is State.RUNNING:
        return {"attempt": row.attempt, "starts": row.sequence // A_START, "worker": row.worker}
    return {"error": job_error(row)} if state.final else {"attempt": row.attempt}


def _log_event(row: JobRow, line: LogRow) -> Event:
    data: dict[str, Json] = {
        "level": line.level, "message": line.message, "module": line.module, "funcName": line.func_name, "lineno": line.lineno,
    }  # fmt: skip
    return _event(row, Kind.LOG, line.sequence, data, line.timestamp.replace(tzinfo=UTC))


def _event(row: JobRow, kind: Kind, sequence: int, data: dict[str, Json], time: datetime) -> Event:
    return Event(job_id=row.job_id, job_type=row.job_type, kind=kind, sequence=sequence, data=data, time=time, source=SOURCE)
