"""The routes on /job itself: which jobs there are, and removing old ones."""

import asyncio

from aiohttp import web

from gateway import changes, queries
from gateway.answers import answer, sorted_answer
from gateway.clock import now
from gateway.queries import JobFilter
from gateway.service import service_of
from gateway.submission import Refused

MAX_LISTED = 1000
#: More jobs than any installation has; PostgreSQL takes no number without end.
MAX_OFFSET = 2**31 - 1
#: Some 270 years: no job is older, and a date of the year 0 is none.
MAX_DAYS = 100_000
MAX_FILTERS = 20


async def listing(request: web.Request) -> web.Response:
    """`GET /job`: paths of jobs, newest first; how many there are in all is in the headers."""
    service = service_of(request)
    if service.settings.list_requires_auth and not service.doorman.is_administrator(request):
        raise Refused("not authorized", 403)
    wanted = job_filter(request)
    page = await service.store.read(queries.listing, wanted)
    base = request.path.rstrip("/")
    return sorted_answer({"list": [f"{base}/{job_id}" for job_id in page.job_ids]}, _paging(request, wanted, page.total))


async def delete_old(request: web.Request) -> web.Response:
    """`DELETE /job?days=n`: jobs that ended longer ago than that."""
    service = service_of(request)
    if not service.doorman.is_administrator(request):
        raise Refused("not authorized", 403)
    days = _days(request.query.get("days"), service.settings.keep_jobs_age)
    await service.store.write(changes.forget_tombstones, now())
    while await service.store.write(changes.delete_old, now(), days):
        await asyncio.sleep(0)
    return answer({"success": True})


def job_filter(request: web.Request) -> JobFilter:
    """`_limit`, `_offset`, `_status`; every other parameter is a metadata key. Raises: Refused."""
    query = {key.replace("\0", ""): value.replace("\0", "") for key, value in request.query.items()}
    limit, offset = _number("_limit", query.pop("_limit", "100")), _number("_offset", query.pop("_offset", "0"))
    status = query.pop("_status", "")
    if len(query) > MAX_FILTERS:
        raise Refused(f"More than {MAX_FILTERS} metadata filters")
    return JobFilter(status, query, min(limit, MAX_LISTED), min(offset, MAX_OFFSET))


def _number(name: str, text: str) -> int:
    """A count; longer ones than any count are as good as the largest."""
    if not (text.isascii() and text.isdigit()):
        raise Refused(f"{name} has to be a whole number, 0 or more")
    return int(text[-18:]) if len(text.lstrip("0")) < 19 else MAX_OFFSET


def _days(text: str | None, default: int) -> int:
    """As `int` reads it, and in its words (ckanserviceprovider/web.py, `_clear_jobs`)."""
    try:
        days = default if text is None else int(text[:40])
    except ValueError as error:
        raise Refused(str(error)) from None
    if not 0 <= days <= MAX_DAYS:
        raise Refused(f"days has to be from 0 to {MAX_DAYS}")
    return days


def _paging(request: web.Request, wanted: JobFilter, total: int) -> dict[str, str]:
    headers = {"X-Total-Count": str(total)}
    after = wanted.offset + wanted.limit
    if wanted.limit and after < total:
        following = request.rel_url.update_query({"_offset": str(after), "_limit": str(wanted.limit)})
        headers["Link"] = f'<{following}>; rel="next"'
    return headers
