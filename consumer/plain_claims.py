"""Taking and ending a claim that nobody contests, and taking its callback, each in one statement with a fixed text: what
every job costs.

Anything else (started before, cancelled, its resource busy) changes no row here, and `claims` looks at it closely.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import JSON, Connection, text

from consumer.memory import Kept
from consumer.outcome import Outcome
from schemas.json_text import dump_json

_TAKE = """
    INSERT INTO claims (job_id, resource_key, starts, owner, lease_until, running, changed_at)
    SELECT :job_id, :key, 1, :owner, {lease_until}, true, {now}
    WHERE NOT EXISTS (SELECT 1 FROM cancellations WHERE job_id = :job_id) ON CONFLICT DO NOTHING
    RETURNING (SELECT kept FROM claims AS noted WHERE noted.resource_key = :key AND kept IS NOT NULL
               ORDER BY noted.changed_at DESC LIMIT 1) AS kept
"""
_FINISH = """
    UPDATE claims SET outcome = :outcome, running = false, owner = NULL, lease_until = NULL, changed_at = {now}
    WHERE job_id = :job_id AND owner = :owner AND starts = :starts AND running
"""
_TAKE_CALLBACK = """
    UPDATE claims SET callback_until = {until}
    WHERE job_id = :job_id AND NOT callback_delivered AND (callback_until IS NULL OR callback_until < {now})
"""
#: See `store_now` for whose clock it is.
_NOW = {"postgresql": "timezone('UTC', clock_timestamp())", "sqlite": ":now"}
_UNTIL = {"postgresql": f"{_NOW['postgresql']} + :for_s * interval '1 s'", "sqlite": ":until"}
TAKE = {name: text(_TAKE.format(now=_NOW[name], lease_until=_UNTIL[name])).columns(kept=JSON) for name in _NOW}
FINISH = {name: text(_FINISH.format(now=_NOW[name])) for name in _NOW}
TAKE_CALLBACK = {name: text(_TAKE_CALLBACK.format(now=_NOW[name], until=_UNTIL[name])) for name in _NOW}


def take_plainly(connection: Connection, job_id: str, key: str, owner: str, lease_s: float) -> tuple[Kept] | None:
    """What was kept for the resource, in a tuple, when the job has its first claim now; else None."""
    given = {"job_id": job_id, "key": key, "owner": owner, **_times_until(connection, lease_s)}
    taken = connection.execute(TAKE[connection.dialect.name], given).first()
    return None if taken is None else (taken.kept,)


def take_callback_plainly(connection: Connection, job_id: str, for_s: float) -> bool:
    """True: the callback is ours to send for *for_s* seconds. False: delivered, another's, or of a job without a claim."""
    given = {"job_id": job_id, **_times_until(connection, for_s)}
    return connection.execute(TAKE_CALLBACK[connection.dialect.name], given).rowcount == 1


def finish_plainly(connection: Connection, job_id: str, owner: str, starts: int, outcome: Outcome) -> bool:
    """Whether the claim was held until now."""
    given: dict[str, object] = {"job_id": job_id, "owner": owner, "starts": starts}
    if connection.dialect.name == "sqlite":
        given["now"] = _moment(datetime.now(UTC).replace(tzinfo=None))
    given["outcome"] = dump_json(outcome.as_dict()).decode()
    return connection.execute(FINISH[connection.dialect.name], given).rowcount == 1


def _times_until(connection: Connection, for_s: float) -> dict[str, object]:
    """Parameters that say until when, in *for_s* seconds."""
    if connection.dialect.name == "postgresql":
        return {"for_s": for_s}
    now = datetime.now(UTC).replace(tzinfo=None)
    return {"now": _moment(now), "until": _moment(now + timedelta(seconds=for_s))}


def _moment(moment: datetime) -> str:
    """As SQLAlchemy writes it for SQLite."""
    return moment.isoformat(" ", "microseconds")
