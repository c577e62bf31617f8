"""How a job ended, as it is kept in its claim: the same events and the same callback can be told from it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from schemas.messages import A_START, STATE_AFTER, Event, Job, Json, Kind, State

#: What is told once a job has ended has fixed places among the sequences of a start, so that a process that takes
#: over after a crash tells it under the same ids.
FINAL, CALLBACK = 900_000, 910_000
#: Lines of the job's log that its callback carries.
CALLBACK_LOGS = 200


@dataclass(frozen=True, kw_only=True)
class Outcome:
    kind: Kind
    #: Data of the final event: {data, …} of a complete job, {error: {message, …}} of any other.
    data: Mapping[str, Json]
    #: The start it ended in; 0 when it ended before any.
    start: int
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    #: Lines of the job's log in the legacy form, for the callback.
    logs: tuple[Mapping[str, Json], ...] = ()
    #: Which replay of a dead job this was the end of (the message's header `replay`); empty for none.
    replay: str = ""

    @property
    def state(self) -> State:
        return STATE_AFTER[self.kind]

    @property
    def sequence(self) -> int:
        return self.start * A_START + FINAL

    @property
    def callback_sequence(self) -> int:
        return self.start * A_START + CALLBACK

    def event(self, job_id: str, job_type: str, source: str) -> Event:
        return Event(
            job_id=job_id,
            job_type=job_type,
            kind=self.kind,
            sequence=self.sequence,
            data=self.data,
            time=self.time,
            source=source,
        )

    def as_dict(self) -> dict[str, Json]:
        return {
            "kind": self.kind,
            "data": dict(self.data),
            "sequence": self.sequence,
            "start": self.start,
            "time": self.time.isoformat(),
            "logs": [dict(line) for line in self.logs],
            "replay": self.replay,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Json]) -> "Outcome":
        data, logs = kept["data"], kept["logs"]
        assert isinstance(data, dict) and isinstance(logs, list)
        return cls(
            kind=Kind(str(kept["kind"])),
            data=data,
            start=int(str(kept["start"])),
            time=datetime.fromisoformat(str(kept["time"])),
            logs=tuple(line for line in logs if isinstance(line, dict)),
            replay=str(kept["replay"]),
        )


def legacy_job(
    job: Job, outcome: Outcome, *, requested_at: datetime | None, aps_job_id: str | None, zone: ZoneInfo
) -> dict[str, Json]:
    """The job object that ckanserviceprovider POSTs to `result_url` (db.py, `get_job`), without `job_key`."""
    error = outcome.data.get("error")
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "status": outcome.state.legacy_status,
        "data": outcome.data.get("data"),
        "error": error,
        "requested_timestamp": legacy_time(requested_at or outcome.time, zone),
        "finished_timestamp": legacy_time(outcome.time, zone),
        "sent_data": {} if job.data is None else job.data,
        "aps_job_id": aps_job_id,
        "result_url": job.result_url,
        "metadata": dict(job.metadata),
        "logs": [
            {**line, "timestamp": legacy_time(datetime.fromisoformat(str(line["timestamp"])), zone)} for line in outcome.logs
        ],
        "state": outcome.state,
    }


def legacy_time(moment: datetime, zone: ZoneInfo) -> str:
    """Naive local time; always with a fraction, without which CKAN's upload-log page breaks (ckanext/datapusher, strptime)."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S.%f")
