"""The pages that are only looked at: overview, jobs, one job, one resource."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from gateway import queries as gateway_queries
from gateway.clock import now
from gateway.jobs import known_id
from gateway.submission import Refused
from gateway.ui import charts, drift, job_search, queries, words
from gateway.ui.attention import Facts, notices
from gateway.ui.job_search import GROUPS, Place, Wanted
from gateway.ui.queries import Activity, Ended
from gateway.ui.timeline import life
from gateway.ui.visit import Visit
from schemas.messages import State

#: Lines of a log on a page; the rest is at `GET /job/<id>`.
LOG_LINES, REJECTS, LOADS = 500, 100, 30
#: Longest text of a filter.
LONGEST = 500
STATES = tuple(state.value for state in State)
#: What was done, told on the page that comes after it.
SAID = {
    "cancelled": "The job is being cancelled; its worker stops it within seconds.",
    "resubmitted": "This is the same job again, as a new one.",
    "replayed": "The job is back in its queue.",
}


@dataclass(frozen=True, slots=True)
class Range:
    """A span that charts show, in buckets."""

    words: str
    span: timedelta
    width: timedelta


RANGES = {
    "hour": Range("the last hour", timedelta(hours=1), timedelta(minutes=1)),
    "day": Range("the last day", timedelta(days=1), timedelta(minutes=15)),
}


async def overview(visit: Visit) -> web.Response:
    """`/ui`: is all well, and if not, where to look."""
    shown, moment = RANGES.get(visit.request.query.get("range", ""), RANGES["hour"]), now()
    edges = charts.edges(moment - shown.span, moment, shown.width)
    activity, queues = await asyncio.gather(visit.service.store.read(queries.activity, moment, edges), visit.bus.queues())
    facts = Facts(moment, visit.bus.absence, queues, activity, visit.service.settings.job_timeout)
    values = {
        "facts": facts, "activity": activity, "notices": notices(facts), "counted": queries.COUNTED, "queues": queues,
        "rates": rates(activity), "ranges": RANGES, "shown": shown, "now": moment,
        **_drawn(activity.spans, shown),
    }  # fmt: skip
    return visit.render("overview.html", values)


def rates(activity: Activity) -> dict[str, tuple[float, float]]:
    """Job type -> (jobs accepted, jobs ended) in a minute."""
    minutes = queries.RATE_SPAN.total_seconds() / 60
    types = {*activity.accepted, *activity.ended}
    return {each: (activity.accepted.get(each, 0) / minutes, activity.ended.get(each, 0) / minutes) for each in types}


def _drawn(spans: Sequence[Ended], shown: Range) -> dict[str, object]:
    ended, failed = sum(each.all for each in spans), sum(each.failed for each in spans)
    complete = sum(each.complete for each in spans)
    per = words.span(shown.width.total_seconds())
    return {
        "ended": ended,
        "failed": failed,
        "most_ended": max(each.all for each in spans),
        "most_failed": max(each.failed for each in spans),
        "per": per,
        "ended_chart": charts.bars(f"Jobs ended in {shown.words}, per {per}: {complete} complete, {failed} failed",
                                   charts.ended_bars(spans)),
        "failed_chart": charts.bars(f"Jobs failed in {shown.words}, per {per}: {failed}", charts.failed_bars(spans)),
    }  # fmt: skip


async def jobs(visit: Visit) -> web.Response:
    """`/ui/jobs`: those that fit the filter, newest first."""
    wanted = wanted_of(visit)
    page, ckans = await asyncio.gather(
        visit.service.store.read(job_search.find, wanted), visit.service.store.read(queries.known_ckans)
    )
    kept = {key: value for key, value in visit.request.query.items() if key not in ("before", "after") and value}
    values = {
        "page": page, "wanted": wanted, "ckans": ckans, "kept": kept, "states": STATES, "groups": GROUPS,
    }  # fmt: skip
    return visit.render("jobs.html", values)


def wanted_of(visit: Visit) -> Wanted:
    """The filter in the address. Raises: Refused, 400."""
    given = {key: value.replace("\0", "").strip()[:LONGEST] for key, value in visit.request.query.items()}
    state = given.get("state", "")
    if state and state not in (*STATES, *GROUPS):
        raise Refused(f"There is no state {state!r}.", 400)
    before, after = (Place.parse(given.get(key, "")) for key in ("before", "after"))
    return Wanted(
        state=state,
        resource_id=given.get("resource", ""),
        ckan_url=given.get("ckan", ""),
        error=given.get("error", ""),
        since=_moment(given.get("since", "")),
        until=_moment(given.get("until", "")),
        before=before,
        after=None if before else after,
    )


def _moment(text: str) -> datetime | None:
    """As <input type=datetime-local> sends it; UTC. Raises: Refused."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise Refused(f"{text!r} is not a time; write it as 2026-01-31T12:00 (UTC).", 400) from None


async def job(visit: Visit) -> web.Response:
    """`/ui/job/<id>`: its life, its log, its report."""
    job_id, store = known_id(visit.request), visit.service.store
    found = await store.read(gateway_queries.job_and_log, job_id, LOG_LINES)
    if found is None:
        raise Refused("There is no such job: its id is wrong, or it was deleted.", 404)
    row, log = found
    facts, rejects = await asyncio.gather(
        store.read(queries.job_facts, job_id), store.read(queries.first_rejects, job_id, REJECTS)
    )
    steps = life(row, facts, now())
    values = {
        "job": row, "log": log, "facts": facts, "rejects": rejects, "most_rejects": REJECTS,
        "steps": steps, "total_s": max((step.start_s + step.seconds for step in steps), default=0.0) or 1.0,
        "report": row.data if isinstance(row.data, dict) else {},
        "error": row.error if isinstance(row.error, dict) else {"message": row.error_text} if row.error_text else {},
        "callback": row.callback if isinstance(row.callback, dict) else {},
        "progress": row.progress if isinstance(row.progress, dict) else {},
        "said": SAID.get(visit.request.query.get("said", ""), ""),
    }  # fmt: skip
    return visit.render("job.html", values)


async def resource(visit: Visit) -> web.Response:
    """`/ui/resource?id=…`: its loads, and how its columns changed."""
    resource_id = visit.request.query.get("id", "").replace("\0", "")[:LONGEST]
    loads = await visit.service.store.read(queries.newest_loads, resource_id, LOADS)
    if not loads:
        raise Refused("No job of this resource is known.", 404)
    lines = drift.lines(loads)
    complete = [line for line in reversed(lines) if line.rows is not None]
    chart = charts.bars(
        f"Rows of the last {len(complete)} loads",
        [
            charts.Bar(
                f"{words.moment(each.load.requested_at)}: {words.number(each.rows)} rows", (("complete", each.rows or 0),)
            )
            for each in complete
        ],
    )
    values = {
        "resource_id": resource_id, "lines": lines, "chart": chart, "complete": complete, "most_loads": LOADS,
        "most_rows": max((line.rows or 0 for line in complete), default=0),
        "columns": next((columns for load in loads if (columns := drift.columns_of(load.data))), {}),
    }  # fmt: skip
    return visit.render("resource.html", values)
