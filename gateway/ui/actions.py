"""What the buttons of a job's page do. Each form has been checked before (`gateway.ui.routes`)."""

from collections.abc import Mapping

from aiohttp import web

from gateway import changes, queries
from gateway.clock import now
from gateway.jobs import known_id
from gateway.queries import JobRow
from gateway.submission import Refused
from gateway.ui.visit import Visit
from publisher import dead
from schemas.json_text import dump_json
from schemas.messages import Job


async def cancel(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    row = await _row(visit)
    if not await visit.service.store.write(changes.cancel, row.job_id, now()):
        raise Refused("This job has ended already.")
    return visit.see(f"job/{row.job_id}?said=cancelled")


async def resubmit(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    """The same again as a new job, with a fresh API key where one is given."""
    row, service = await _row(visit), visit.service
    if row.job_type not in service.job_types:
        raise Refused(f"This installation does not run jobs of type {row.job_type} any more.")
    job = Job(
        job_id=row.job_id,
        job_type=row.job_type,
        api_key=row.api_key or "",
        result_url=row.result_url,
        metadata=row.metadata,
        data=row.sent_data,
    )
    fresh = fields.get("api_key", "").strip()
    submission = service.desk.resubmission(job, dump_json({"api_key": fresh}) if fresh else b"", "")
    await service.accept(submission)
    return visit.see(f"job/{submission.job.job_id}?said=resubmitted")


async def replay(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    """Puts the job's message back from the dead."""
    row = await _row(visit)
    if not await visit.bus.replay(dead.chosen(message_id=row.job_id), callbacks=False):
        raise Refused("The dead letters have no message of this job any more; resubmit it instead.")
    return visit.see(f"job/{row.job_id}?said=replayed")


async def _row(visit: Visit) -> JobRow:
    row = await visit.service.store.read(queries.job, known_id(visit.request))
    if row is None:
        raise Refused("There is no such job any more.", 404)
    return row
