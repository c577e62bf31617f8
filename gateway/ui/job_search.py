"""Finds jobs among a million: keyset paging along an index, window by window, and never for longer than BUDGET_S.

One condition leads: its index gives the jobs in the order of the page. The others are checked on what comes. Where that
does not fill a page in time, the page says how far it has looked, and the next one goes on there.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, DateTime, Subquery, func, literal, select, tuple_, union_all

from schemas.messages import JOB_ID, Json, State
from schemas.tables import ckan_key, jobs

PAGE = 50
#: Rows looked at in one query: a few milliseconds, and some tens where each is on a page that the disk has to fetch.
WINDOW = 250
#: A page is answered in less than 100 ms (bench/dashboard.py), however rare what is searched for.
BUDGET_S = 0.03
#: Words of the filter for several states at once.
GROUPS = {
    "unfinished": (State.QUEUED.value, State.RUNNING.value, State.RETRYING.value),
    "failed": (State.ERROR.value, State.DEAD.value),
}
#: As `schemas.tables.ckan_key` has it.
CKAN_LENGTH = 200

#: The columns of a table or subquery by name: SQLAlchemy types them by table, not by query.
Columns = Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins or ends: jobs are in the order of these two."""

    requested_at: datetime
    job_id: str

    def __str__(self) -> str:
        return f"{self.requested_at.isoformat(timespec='microseconds')}_{self.job_id}"

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """None for what no page has ever linked to."""
        moment, _, job_id = text.partition("_")
        try:
            requested_at = datetime.fromisoformat(moment)
        except ValueError:
            return None
        return cls(requested_at, job_id) if JOB_ID.fullmatch(job_id) and requested_at.tzinfo is None else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs: those that fit all of it. Empty fits all. Times are naive UTC."""

    #: A state, or one of GROUPS.
    state: str = ""
    resource_id: str = ""
    ckan_url: str = ""
    #: Somewhere in the error.
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None
    #: Older than this place, or newer than that one; not both.
    before: Place | None = None
    after: Place | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """Their names, one by one."""
        return GROUPS.get(self.state) or ((self.state,) if self.state else ())


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the list of jobs. Times are naive UTC."""

    job_id: str
    job_type: str
    state: str
    attempt: int
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    resource_id: str | None
    ckan_url: str | None
    error_text: str | None
    progress: Json

    @property
    def place(self) -> Place:
        return Place(self.requested_at, self.job_id)


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, newest first."""

    jobs: tuple[Found, ...]
    #: Whether there are older ones, and newer ones, to link to.
    older: Place | None = None
    newer: Place | None = None
    #: The search has stopped here although it had found less than a page: nothing beyond has been looked at.
    stopped_at: Place | None = None


_KEYS = (jobs.c.requested_at, jobs.c.job_id)
_COLUMNS = (
    jobs.c.job_id, jobs.c.job_type, jobs.c.state, jobs.c.attempt, jobs.c.requested_at, jobs.c.started_at, jobs.c.finished_at,
    jobs.c.resource_id, jobs.c.ckan_url, jobs.c.error_text, jobs.c.progress,
)  # fmt: skip


def find(connection: Connection, wanted: Wanted) -> Page:
    """One page of the jobs that are *wanted*; more than BUDGET_S it does not search for."""
    deadline, at, found = time.monotonic() + BUDGET_S, wanted, list[Place]()
    rest = _rest(wanted)
    most = WINDOW if rest else PAGE + 1
    while True:
        found += _fitting(connection, at, most, PAGE + 1 - len(found))
        # Where nothing is left to check, fewer than a page are all that there are.
        end = None if not rest or len(found) > PAGE else _end_of_window(connection, at)
        if end is None or time.monotonic() > deadline:
            return _page(connection, wanted, found, end)
        at = replace(wanted, before=None, after=end) if wanted.after else replace(wanted, before=end)


def _fitting(connection: Connection, wanted: Wanted, most: int, limit: int) -> list[Place]:
    """Of the next *most* jobs along the leading index those that fit the rest, at most *limit*."""
    seen, rest = _seen(wanted, (*_KEYS, *(jobs.c[name] for name in _checks(wanted, jobs.c))), most), _rest(wanted)
    checks = [check for name, check in _checks(wanted, seen.c).items() if name in rest]
    query = select(seen.c.requested_at, seen.c.job_id).where(*checks).order_by(*_order(wanted, seen.c)).limit(limit)
    return [Place(*row) for row in connection.execute(query)]


def _end_of_window(connection: Connection, wanted: Wanted) -> Place | None:
    """The last of the next WINDOW jobs along the leading index; None where there are fewer."""
    seen = _seen(wanted, _KEYS, WINDOW)
    query = select(seen).order_by(*_order(wanted, seen.c)).offset(WINDOW - 1).limit(1)
    return next((Place(*row) for row in connection.execute(query)), None)


def _checks(wanted: Wanted, columns: Columns) -> dict[str, ColumnElement[bool]]:
    """The conditions by the column they ask, the most selective first; nearly all jobs are complete."""
    checks: dict[str, ColumnElement[bool]] = {}
    if wanted.resource_id:
        checks["resource_id"] = columns.resource_id == wanted.resource_id
    if wanted.error:
        checks["error_text"] = columns.error_text.icontains(wanted.error, autoescape=True)
    if wanted.state and wanted.state != State.COMPLETE:
        checks["state"] = columns.state.in_(wanted.states)
    if wanted.ckan_url:
        checks["ckan_url"] = func.substr(columns.ckan_url, 1, CKAN_LENGTH) == wanted.ckan_url[:CKAN_LENGTH]
    if wanted.state == State.COMPLETE:
        checks["state"] = columns.state == wanted.state
    return checks


def _rest(wanted: Wanted) -> set[str]:
    """What the lead does not answer."""
    names = list(_checks(wanted, jobs.c))
    return set(names if names[:1] == ["error_text"] else names[1:])


def _lead(wanted: Wanted) -> Sequence[tuple[ColumnElement[bool], ...]]:
    """The conditions whose index is walked along; several for several states, which are walked side by side."""
    match next(iter(_checks(wanted, jobs.c)), ""):
        case "error_text":
            return [(jobs.c.error_text.is_not(None),)]
        case "state":
            return [(jobs.c.state == state,) for state in wanted.states]
        case "ckan_url":
            return [(ckan_key == wanted.ckan_url[:CKAN_LENGTH],)]
        case "resource_id":
            return [(jobs.c.resource_id == wanted.resource_id,)]
    return [()]


def _seen(wanted: Wanted, columns: Sequence[ColumnElement[Any]], most: int) -> Subquery:
    """The first *most* jobs that fit the lead."""
    lead, limits = _lead(wanted), tuple(_limits(wanted))
    walks = [select(*columns).where(*each, *limits).order_by(*_order(wanted, jobs.c)).limit(most) for each in lead]
    if len(walks) == 1:
        return walks[0].subquery()
    both = union_all(*(select(walk.subquery()) for walk in walks)).subquery()
    return select(both).order_by(*_order(wanted, both.c)).limit(most).subquery()


def _limits(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    place = tuple_(jobs.c.requested_at, jobs.c.job_id)
    if wanted.since:
        yield jobs.c.requested_at >= wanted.since
    if wanted.until:
        yield jobs.c.requested_at < wanted.until
    if wanted.before:
        yield place < _tuple(wanted.before)
    if wanted.after:
        yield place > _tuple(wanted.after)


def _tuple(place: Place) -> ColumnElement[Any]:
    return tuple_(literal(place.requested_at, DateTime), literal(place.job_id))


def _order(wanted: Wanted, columns: Columns) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    keys = columns.requested_at, columns.job_id
    return keys if wanted.after else (keys[0].desc(), keys[1].desc())


def _page(connection: Connection, wanted: Wanted, found: Sequence[Place], stopped_at: Place | None) -> Page:
    more, ids = len(found) > PAGE, [place.job_id for place in found[:PAGE]]
    # Only these rows are read whole: in SQLite a long report comes before `error_text`.
    query = select(*_COLUMNS).where(jobs.c.job_id.in_(ids)).order_by(jobs.c.requested_at.desc(), jobs.c.job_id.desc())
    rows = tuple(Found(*row) for row in connection.execute(query)) if ids else ()
    first, last = (rows[0].place, rows[-1].place) if rows else (None, None)
    if wanted.after:
        return Page(rows, older=last or wanted.after, newer=first if more else None, stopped_at=stopped_at)
    return Page(rows, older=last if more else None, newer=wanted.before and (first or wanted.before), stopped_at=stopped_at)
