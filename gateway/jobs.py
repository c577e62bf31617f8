"""The routes under /job: each reads its request, asks, and answers."""

import csv
import io

from aiohttp import web

from gateway import changes, queries
from gateway.answers import answer, raw_answer, refusal
from gateway.clock import now
from gateway.legacy import job_error
from gateway.queries import JobRow, Log
from gateway.service import Service, service_of
from gateway.submission import Refused, Submission
from gateway.synchronous import finished
from gateway.traced import traced
from schemas.messages import JOB_ID, Job

#: Lines of a job's log in one answer: CKAN shows them on one page, and waits 5 s for it.
MAX_LOG_LINES = 1000
DONE = {"success": True}


async def submit(request: web.Request) -> web.StreamResponse:
    """`POST /job` and `POST /job/<id>`."""
    service = service_of(request)
    content_type, body = request.headers.get("Content-Type", ""), await body_of(request)
    with traced(request) as context:
        submission = service.desk.submission(content_type, body, request.match_info.get("job_id"), context)
        return await _accept(service, submission)


async def resubmit(request: web.Request) -> web.StreamResponse:
    """`POST /job/<id>/resubmit`: the same again, as a new job with a new key."""
    service = service_of(request)
    row = await authorised_job(request)
    job = Job(
        job_id=row.job_id,
        job_type=row.job_type,
        api_key=row.api_key or "",
        result_url=row.result_url,
        metadata=row.metadata,
        data=row.sent_data,
    )
    if row.job_type not in service.job_types:
        raise Refused(f"Job type {row.job_type} not available. Available job types are {', '.join(sorted(service.job_types))}")
    body = await body_of(request)
    with traced(request) as context:
        return await _accept(service, service.desk.resubmission(job, body, context))


async def _accept(service: Service, submission: Submission) -> web.StreamResponse:
    if service.job_types[submission.job.job_type]:
        return await finished(service, submission)
    await service.accept(submission)
    return answer(service.shape.accepted(submission))


async def show(request: web.Request) -> web.Response:
    """`GET /job/<id>`."""
    service = service_of(request)
    newest = _log_limit(request)
    found = await service.jobs.look(queries.job_and_log, known_id(request), min(newest or MAX_LOG_LINES, MAX_LOG_LINES))
    row = _authorised(request, found[0] if found else None)
    log = found[1] if found else Log(())
    return answer(service.shape.job(row, log if newest is None or newest > MAX_LOG_LINES else Log(log.lines[:newest])))


async def data(request: web.Request) -> web.Response:
    """`GET /job/<id>/data`: the bare result."""
    row = await authorised_job(request)
    if error := job_error(row):
        return refusal(error, 409)
    return raw_answer(row.data, row.metadata.get("mimetype"))


async def delete(request: web.Request) -> web.Response:
    """`DELETE /job/<id>`: a job that waits or runs is cancelled, too."""
    row = await authorised_job(request)
    await service_of(request).store.write(changes.delete_job, row.job_id, now())
    return answer(DONE)


async def cancel(request: web.Request) -> web.Response:
    """`POST /job/<id>/cancel`."""
    row = await authorised_job(request)
    if not await service_of(request).store.write(changes.cancel, row.job_id, now()):
        raise Refused(f"job_id {row.job_id} has ended already")
    return answer(DONE)


async def rejects(request: web.Request) -> web.Response:
    """`GET /job/<id>/rejects.csv`: the rows that were not loaded, and why."""
    row = await authorised_job(request)
    found = await service_of(request).store.read(queries.rejected_rows, row.job_id)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([("row", "reason", "text"), *found])
    name = {"Content-Disposition": f'attachment; filename="rejects-{row.job_id}.csv"'}
    return web.Response(text=text.getvalue(), headers=name, content_type="text/csv", charset="utf-8")


async def body_of(request: web.Request) -> bytes:
    """The whole body. Raises: Refused for one that is not packed as it says; aiohttp's own for one that is too large."""
    try:
        return await request.read()
    except (web.RequestPayloadError, ValueError):
        raise Refused("Malformed json") from None


async def authorised_job(request: web.Request) -> JobRow:
    """The job of this path. Raises: Refused, 404 before 403 as the old service did."""
    return _authorised(request, await service_of(request).jobs.look(queries.job, known_id(request)))


def _authorised(request: web.Request, row: JobRow | None) -> JobRow:
    if row is None:
        raise Refused("job_id not found", 404)
    if not service_of(request).doorman.may_see(request, row):
        raise Refused("not authorized", 403)
    return row


def known_id(request: web.Request) -> str:
    """The id in the path; one that no job can have was never found."""
    job_id = request.match_info["job_id"]
    if not JOB_ID.fullmatch(job_id):
        raise Refused("job_id not found", 404)
    return job_id


def _log_limit(request: web.Request) -> int | None:
    """How many of the newest lines are wanted; None, which is all, where `limit` is no number, as it was."""
    limit = request.query.get("limit", "")
    return int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 10 else None
