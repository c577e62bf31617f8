"""The recorder's statements: many rows at once, fixed texts, nothing that is put together at each call.

On PostgreSQL the rows come as one JSON text, since binding each value of each row costs many times the insert; SQLite's
driver binds faster than it parses. Both know `ON CONFLICT` in the same words.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from sqlalchemy import JSON, Connection, DateTime, Table, TextClause, text
from sqlalchemy.dialects import postgresql

from schemas.json_text import dump_json
from schemas.messages import State
from schemas.tables import jobs, logs, rejects

Row = Mapping[str, Any]

#: Ends that nothing changes but another of them.
ENDS = (State.COMPLETE, State.ERROR, State.CANCELLED)
_ENDS = ", ".join(f"'{state}'" for state in ENDS)
#: `:ids` of `Ids.of`, as a condition.
AMONG = {"postgresql": "= ANY(:ids)", "sqlite": "IN (SELECT value FROM json_each(:ids))"}


@dataclass(frozen=True)
class Upsert:
    """An INSERT of rows that have at least *columns*, and what becomes of one that is there already."""

    table: Table
    columns: tuple[str, ...]
    conflict: str

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            connection.execute(self._on_postgresql, {"rows": dump_json(rows).decode()})
        else:
            writers = tuple(self._writers.items())
            connection.exec_driver_sql(self._on_sqlite, [tuple(write(row[name]) for name, write in writers) for row in rows])

    @cached_property
    def _writers(self) -> dict[str, Callable[[Any], Any]]:
        """What SQLite's driver does not write by itself."""
        kinds: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = ((DateTime, _moment), (JSON, _json))
        return {name: next((write for kind, write in kinds if self._is(name, kind)), _same) for name in self.columns}

    def _is(self, name: str, kind: type[Any]) -> bool:
        return isinstance(self.table.c[name].type, kind)

    @cached_property
    def _on_postgresql(self) -> Any:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
        types = ", ".join(f'"{name}" {self.table.c[name].type.compile(dialect)}' for name in self.columns)
        return text(f"{self._into} SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS row ({types}) {self.conflict}")

    @cached_property
    def _on_sqlite(self) -> str:
        return f"{self._into} VALUES ({', '.join('?' * len(self.columns))}) {self.conflict}"

    @property
    def _into(self) -> str:
        names = ", ".join(f'"{name}"' for name in self.columns)
        return f"INSERT INTO {self.table.name} ({names})"


def _same(value: Any) -> Any:
    return value


def _moment(moment: datetime | None) -> str | None:
    """As SQLAlchemy writes it for SQLite."""
    return None if moment is None else moment.isoformat(" ", "microseconds")


def _json(value: Any) -> str | None:
    return None if value is None else dump_json(value).decode()


def _set(columns: Mapping[str, str]) -> str:
    return "ON CONFLICT (job_id) DO UPDATE SET " + ", ".join(f"{name} = {value}" for name, value in columns.items())


def _if(condition: str, name: str) -> str:
    return f"CASE WHEN {condition} THEN excluded.{name} ELSE jobs.{name} END"


# ------------------------------------------------------------------------------------------------- a job that was published

JOB_COLUMNS = (
    "job_id", "job_type", "state", "requested_at", "resource_id", "ckan_url", "result_url", "job_key", "metadata", "sent_data",
)  # fmt: skip
_KNOWN = ("job_type", "resource_id", "ckan_url", "result_url", "job_key", "metadata", "sent_data")
#: One that the gateway inserted stays, one that an event inserted is completed.
PUT_JOBS = Upsert(
    jobs,
    JOB_COLUMNS,
    _set(
        {name: f"excluded.{name}" for name in _KNOWN}
        | {"requested_at": _if("excluded.requested_at < jobs.requested_at", "requested_at")}
    )
    + " WHERE jobs.job_key IS NULL",
)

# ------------------------------------------------------------------------------------------------- what its events change

#: What an event that sets the state sets with it.
STATE_COLUMNS = ("state", "sequence", "finished_at", "data", "error", "error_text", "worker")
_WINS = (
    f"CASE WHEN excluded.state IN ({_ENDS}) AND jobs.state NOT IN ({_ENDS}) THEN true"
    f" WHEN jobs.state IN ({_ENDS}) AND excluded.state NOT IN ({_ENDS}) THEN false ELSE excluded.sequence > jobs.sequence END"
)
#: A job that was published directly was asked for before its first event, whenever the recorder heard of it. One that the
#: gateway accepted keeps the time that its client was told; of these alone the api_key is kept, be it empty.
_FIRST = {
    "started_at": "jobs.started_at IS NULL OR excluded.started_at < jobs.started_at",
    "requested_at": "jobs.api_key IS NULL AND excluded.requested_at < jobs.requested_at",
}
_CHANGES = tuple(f"excluded.{name} > jobs.{name}" for name in ("progress_sequence", "callback_sequence", "attempt"))
_LATER = {"progress_sequence": ("progress", "progress_sequence"), "callback_sequence": ("callback", "callback_sequence")}
#: See the first words of `recording` for which event wins.
PUT_CHANGES = Upsert(
    jobs,
    (
        "job_id",
        "job_type",
        "metadata",
        "attempt",
        *STATE_COLUMNS,
        *_FIRST,
        *(name for pair in _LATER.values() for name in pair),
    ),
    _set(
        {name: _if(_WINS, name) for name in STATE_COLUMNS}
        | {name: _if(f"excluded.{by} > jobs.{by}", name) for by, names in _LATER.items() for name in names}
        | {"attempt": _if("excluded.attempt > jobs.attempt", "attempt")}
        | {name: _if(condition, name) for name, condition in _FIRST.items()}
    )
    + f" WHERE {' OR '.join(f'({condition})' for condition in (_WINS, *_CHANGES, *_FIRST.values()))}",
)

# ------------------------------------------------------------------------------------------------------------ its lines

ADD_LOGS = Upsert(logs, tuple(logs.c.keys()), "ON CONFLICT DO NOTHING")
ADD_REJECTS = Upsert(rejects, tuple(rejects.c.keys()), "ON CONFLICT DO NOTHING")

# ------------------------------------------------------------------------------------------- deleted jobs, failed callbacks

DELETED = "SELECT job_id FROM cancellations WHERE deleted AND job_id "
#: A job that succeeded but could not be called back for shows the legacy message, until it is delivered after all.
CALLBACKS = """
    UPDATE jobs SET error = CASE WHEN callback ->> 'state' = 'dead' THEN {error} END,
                    error_text = CASE WHEN callback ->> 'state' = 'dead' THEN :text END
    WHERE state = 'complete' AND (
        callback ->> 'state' = 'dead' AND error IS NULL OR callback ->> 'state' = 'delivered' AND error_text = :text
    ) AND job_id """
_TYPED = {"postgresql": {"error": "CAST(:error AS json)"}, "sqlite": {"error": ":error"}}


def among(connection: Connection, statement: str, ids: Collection[str], **values: str) -> Any:
    """The result of *statement*, which ends before the condition that a value is among *ids*."""
    dialect = connection.dialect.name
    given = list(ids) if dialect == "postgresql" else dump_json(list(ids)).decode()
    return connection.execute(_statement(statement, dialect), {"ids": given, **values})


@cache
def _statement(statement: str, dialect: str) -> TextClause:
    """Put together once: SQLAlchemy takes as long for it as the database for the rest."""
    return text(statement.format(**_TYPED[dialect]) + AMONG[dialect])
