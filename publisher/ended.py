"""How a job ended, whoever tells it: the bus or a gateway."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from schemas.errors import DataPusherError
from schemas.messages import STATE_AFTER, Event, Json, State

#: For one answer of a gateway.
ANSWER_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a job. There is one, and only one, for each job that was published."""

    job_id: str
    #: Final: complete, error, cancelled or dead.
    state: State
    #: What the job gave back, where it is complete; for a push the report of docs/tables.md.
    data: Json = None
    #: `message`, and details under readable names; None where it is complete.
    error: Mapping[str, Json] | None = None

    @property
    def complete(self) -> bool:
        return self.state is State.COMPLETE


def told(event: Event) -> Ended | None:
    """The end that *event* tells; None where it tells something else."""
    state = STATE_AFTER.get(event.kind)
    if state is None or not state.final:
        return None
    return Ended(job_id=event.job_id, state=state, data=event.data.get("data"), error=_error(event.data.get("error")))


def asked(gateway: str, key: str, job_id: str) -> Ended | None:
    """What `GET /job/<id>` of a gateway says; None while the job goes on, and while the gateway does not answer.

    *key*: SECRET_KEY, or the job's own key. Raises: DataPusherError where the gateway does not know the job or the key;
    ValueError where its address is none.
    """
    try:
        answer = requests.get(f"{gateway.rstrip('/')}/job/{job_id}", headers={"Authorization": key}, timeout=ANSWER_S)
    except requests.RequestException as error:
        if isinstance(error, ValueError):  # no address that could ever answer
            raise
        return None
    if answer.status_code in (403, 404):
        raise DataPusherError(f"{gateway} answers {answer.status_code} for job {job_id}: {answer.text[:200]}")
    return _of(answer.json()) if answer.ok else None


def _of(job: Mapping[str, Any]) -> Ended | None:
    state = State(job["state"])
    if not state.final:
        return None
    error = None if state is State.COMPLETE else _error(job["error"])
    return Ended(job_id=job["job_id"], state=state, data=job["data"], error=error)


def _error(value: Any) -> Mapping[str, Json] | None:
    return dict(value) if isinstance(value, Mapping) else {"message": str(value)} if value else None
