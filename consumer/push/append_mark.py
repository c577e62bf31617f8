"""Which job appended to a table last, kept where the rows are: a line in the table's comment, which CKAN does not read.

It is written in the transaction that appends. So a job whose attempt was killed after the commit, but before anybody
heard of it, sees at its next attempt that its rows are there.
"""

from psycopg2.extensions import cursor as Cursor

from consumer.push.sql_text import literal, qualified

_MARK = "Data Pusher: last append by job "


def appended_by(comment: str | None) -> str | None:
    """The id of the job that appended last, by the table's *comment*."""
    lines = (comment or "").splitlines()
    return next((line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)), None)


def without_mark(comment: str | None) -> str:
    """What people wrote into the table's *comment*."""
    return "\n".join(line for line in (comment or "").splitlines() if not line.startswith(_MARK))


def mark_append(cursor: Cursor, resource_id: str, comment: str | None, job_id: str) -> None:
    """Writes *job_id* into the table's *comment*; what people wrote there stays."""
    text = "\n".join(filter(None, (without_mark(comment), _MARK + " ".join(job_id.split()))))
    cursor.execute(f"COMMENT ON TABLE {qualified(resource_id)} IS {literal(text)}")
