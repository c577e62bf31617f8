"""What PostgreSQL's errors mean for a job: try again later, or tell the publisher or the administrator."""

import psycopg2
from psycopg2 import errorcodes as codes

from schemas.errors import DataPusherError, JobError, Transient

#: SQLSTATEs, or their first two characters, that a later attempt may not meet.
_PASSING = {
    "08": "The connection to the DataStore's database was lost.",
    "57": "The DataStore's database is going down or was told to stop.",
    "40": "The DataStore's database undid the load because of another transaction.",
    codes.DISK_FULL: "The disk of the DataStore's database is full. Nothing was changed; free some room there.",
    codes.OUT_OF_MEMORY: "The DataStore's database has no memory left for this load.",
    codes.TOO_MANY_CONNECTIONS: "The DataStore's database takes no more connections.",
    codes.LOCK_NOT_AVAILABLE: "The table is in use and did not become free in time.",
    codes.QUERY_CANCELED: "The DataStore's database cancelled the load (a time limit, or an administrator).",
    "58": "The DataStore's database has trouble with its files.",
}
_LASTING = {
    "42501": "DATAPUSHER_DATASTORE_WRITE_URL's role is not allowed to do this in the DataStore's database",
    codes.PROGRAM_LIMIT_EXCEEDED: "PostgreSQL cannot hold this table",
    codes.TOO_MANY_COLUMNS: "PostgreSQL cannot hold this table",
    codes.UNIQUE_VIOLATION: "Two rows have the same key",
    codes.DUPLICATE_TABLE: "A name is taken in the DataStore",
    codes.DEPENDENT_OBJECTS_STILL_EXIST: "Something in the DataStore's database depends on the old table; drop it first",
    "P0": "A trigger of the table refused a row",
    "23": "The table refused a row",
}  # fmt: skip


def translated(error: Exception) -> DataPusherError:
    """*error* as one of ours. psycopg2 raises SystemError where it cannot decode a message (its CONTEXT quotes data and
    may be cut inside a character), and then nobody knows what it was: worth another try."""
    if isinstance(error, SystemError):
        return Transient("PostgreSQL refused the load with a message that could not be read.")
    code = getattr(error, "pgcode", None)
    if code is None:
        return Transient(f"The DataStore's database cannot be reached or broke off: {_first_line(error)}")
    passing = _PASSING.get(code) or _PASSING.get(code[:2])
    if passing:
        return Transient(f"{passing} ({_primary(error)})")
    lasting = _LASTING.get(code) or _LASTING.get(code[:2]) or "The DataStore's database refused the load"
    return JobError(f"{lasting}: {_primary(error)}", details=_details(error))


def _primary(error: Exception) -> str:
    message = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    return message or _first_line(error)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _details(error: Exception) -> dict[str, object]:
    if not isinstance(error, psycopg2.Error):
        return {}
    told = {"Detail": error.diag.message_detail, "Hint": error.diag.message_hint, "PostgreSQL": error.pgcode}
    return {label: text for label, text in told.items() if text}
