"""Waits for a synchronous job: it runs on a worker like any other, only its sender gets the result at once."""

import asyncio

from aiohttp import web

from gateway import queries
from gateway.answers import answer
from gateway.events import Listener
from gateway.queries import JobRow, Log
from gateway.service import Service
from gateway.submission import Refused, Submission
from schemas.errors import StoreUnavailable
from schemas.messages import STATE_AFTER

#: The end of a job is heard, then written by the recorder some milliseconds later; what is not heard is found by looking.
SOON_S, LOOK_S = 0.02, 1.0
LOG_LINES = 1000


async def finished(service: Service, submission: Submission) -> web.Response:
    """The answer to `POST /job`: the finished job, or its bare result where the function gave a stream.

    Raises: Refused with 409 when it takes longer than SYNC_TIMEOUT; the job goes on.
    """
    job = submission.job
    with service.waits(), service.hub.listening(job.job_id, job.job_type) as listener:
        await service.accept(submission)
        try:
            async with asyncio.timeout(service.settings.sync_timeout):
                row, log, raw = await _end(service, job.job_id, listener)
        except TimeoutError:
            raise Refused(
                f"The job takes longer than {service.settings.sync_timeout:g} seconds and goes on: "
                f"see GET /job/{job.job_id} with the header Authorization: {submission.job_key}"
            ) from None
    if raw:
        return web.Response(body=str(row.data).encode(), content_type="application/json")
    return answer(service.shape.finished(row, log))


async def _end(service: Service, job_id: str, listener: Listener) -> tuple[JobRow, Log, bool]:
    pause_s = LOOK_S
    while True:
        event = await listener.next(pause_s)
        if event is not None and event.kind not in STATE_AFTER:
            continue
        if event is not None and STATE_AFTER[event.kind].final:
            pause_s = SOON_S
        if found := await _if_ended(service, job_id):
            return found


async def _if_ended(service: Service, job_id: str) -> tuple[JobRow, Log, bool] | None:
    try:
        return await service.store.read(queries.ended_job, job_id, LOG_LINES)
    except StoreUnavailable:  # it may come back before the time is up
        return None
