"""Jobs as CKAN Service Provider told them: the keys, their order, the times (ckanserviceprovider/db.py, `get_job`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.queries import JobRow, Log, LogRow
from gateway.submission import Submission
from schemas.errors import BadSetting
from schemas.messages import Json, State

#: What old clients look for when a job's callback could not be delivered (ckan/ckan#4515).
UNDELIVERED = "Process completed but unable to post to result_url"

JobDict = dict[str, object]


class LegacyShape:
    """Makes job objects, with times in one time zone and without its name: CKAN reads them as its own local time."""

    def __init__(self, zone: str) -> None:
        self._zone = None if zone == "UTC" else _zone(zone)

    def time(self, moment: datetime | None) -> str | None:
        """Always with six digits of fraction: CKAN's page fails without (ckanext/datapusher, `datapusher_status`)."""
        if moment is None:
            return None
        if self._zone is not None:
            moment = moment.replace(tzinfo=UTC).astimezone(self._zone).replace(tzinfo=None)
        return moment.isoformat(timespec="microseconds")

    def accepted(self, submission: Submission) -> JobDict:
        """The answer to `POST /job`, made without reading anything back."""
        job = submission.job
        return {
            "job_id": job.job_id,
            "job_type": job.job_type,
            "status": "pending",
            "data": None,
            "error": None,
            "requested_timestamp": self.time(submission.requested_at),
            "finished_timestamp": None,
            "sent_data": sent_data(job.data),
            "aps_job_id": submission.aps_job_id,
            "result_url": job.result_url,
            "job_key": submission.job_key,
            "metadata": dict(sorted(job.metadata.items())),
            "logs": [],
        }

    def job(self, row: JobRow, log: Log) -> JobDict:
        """The answer to `GET /job/<id>`, and after the old keys the ones that tell more."""
        return {
            **self._old_keys(row),
            "metadata": dict(sorted(row.metadata.items())),
            "logs": self._log(log),
            "state": row.state,
            "attempt": row.attempt,
            "progress": row.progress,
            "callback": row.callback,
        }

    def finished(self, row: JobRow, log: Log) -> JobDict:
        """The answer to `POST /job` for a synchronous job."""
        metadata = dict(sorted(row.metadata.items()))
        return {**self._old_keys(row), "job_key": row.job_key, "metadata": metadata, "logs": self._log(log)}

    def _old_keys(self, row: JobRow) -> JobDict:
        return {
            "job_id": row.job_id,
            "job_type": row.job_type,
            "status": State(row.state).legacy_status,
            "data": row.data,
            "error": shown_error(row),
            "requested_timestamp": self.time(row.requested_at),
            "finished_timestamp": self.time(row.finished_at),
            "sent_data": sent_data(row.sent_data),
            "aps_job_id": row.aps_job_id,
            "result_url": row.result_url,
        }

    def _log(self, log: Log) -> list[JobDict]:
        lines = [self.log_line(line) for line in log.lines]
        if log.omitted and lines:
            lines.insert(0, {**lines[0], "message": f"{log.omitted} lines omitted", "level": "INFO", **_NO_PLACE})
        return lines

    def log_line(self, line: LogRow) -> JobDict:
        return {
            "timestamp": self.time(line.timestamp),
            "message": line.message,
            "level": line.level,
            "module": line.module,
            "funcName": line.func_name,
            "lineno": line.lineno,
        }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadSetting("DATAPUSHER_LEGACY_TIMEZONE", f"{name!r} is no time zone here; try Europe/Berlin") from error


_NO_PLACE: Mapping[str, Json] = {"module": "gateway", "funcName": "logs", "lineno": 0}


def sent_data(value: Json) -> Json:
    """`{}` where nothing was sent, as it was; 0, "" and [] are something."""
    return {} if value is None else value


def job_error(row: JobRow) -> Json:
    """The job's own error: None, or an object with `message`."""
    if row.error is not None:
        return row.error if isinstance(row.error, dict) else {"message": str(row.error)}
    if State(row.state).legacy_status != "error":
        return None
    return {"message": row.error_text or ("The job was cancelled." if row.state == State.CANCELLED else "The job failed.")}


def shown_error(row: JobRow) -> Json:
    """The job's own error; without one, that nobody could be told of its success."""
    error = job_error(row)
    if error is None and isinstance(row.callback, dict) and row.callback.get("state") == "dead":
        return {"message": UNDELIVERED}
    return error
