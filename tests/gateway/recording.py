"""Stands in for worker and recorder: writes into the store what they would, and tells it on the bus."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, insert, select, update

from publisher.bus import Message
from schemas.messages import EVENT_CONTENT_TYPE, EVENT_TYPE, STATE_AFTER, Event, Kind
from schemas.tables import claims, jobs, logs, rejects
from tests.gateway.gateway_thread import GatewayThread

#: Has no fraction of a second: the one that Python's isoformat() writes without.
MOMENT = datetime(2026, 3, 1, 12, 0, 0)


class Recording:
    def __init__(self, engine: Engine, gateway: GatewayThread) -> None:
        self.engine = engine
        self.gateway = gateway

    def change(self, job_id: str, **columns: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(jobs).where(jobs.c.job_id == job_id).values(**columns))

    def end(self, job_id: str, state: str = "complete", **columns: Any) -> None:
        self.change(job_id, **{"state": state, "finished_at": MOMENT, "sequence": 1_900_000, **columns})

    def log(self, job_id: str, *messages: str, first: int = 1_000_001) -> None:
        rows = [
            {"job_id": job_id, "sequence": first + n, "timestamp": MOMENT, "level": "INFO", "message": message,
             "module": "jobs", "func_name": "push", "lineno": 7}
            for n, message in enumerate(messages)
        ]  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(insert(logs), rows)

    def reject(self, job_id: str, *rows: tuple[int, str, str | None], sequence: int = 1_000_050) -> None:
        values = [
            {"job_id": job_id, "sequence": sequence, "position": n, "row": row, "reason": reason, "text": text}
            for n, (row, reason, text) in enumerate(rows)
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(rejects), values)

    def claim(self, job_id: str, outcome: dict[str, Any] | None) -> None:
        row = {"job_id": job_id, "resource_key": job_id, "starts": 1, "running": outcome is None, "outcome": outcome}
        with self.engine.begin() as connection:
            connection.execute(insert(claims).values(**row, changed_at=MOMENT))

    def tell(self, job_id: str, kind: Kind, sequence: int, job_type: str = "push_to_datastore", **data: Any) -> None:
        """An event on the bus, which the store does not have."""
        event = Event(job_id=job_id, job_type=job_type, kind=kind, sequence=sequence, data=data, time=datetime.now(UTC))
        message = Message(
            exchange=self.gateway.names.events,
            routing_key=event.routing_key,
            body=event.encode(),
            message_id=event.id,
            type=EVENT_TYPE,
            content_type=EVENT_CONTENT_TYPE,
        )
        self.gateway.bus.publish(message).result(10)

    def tell_end(self, job_id: str, kind: Kind = Kind.COMPLETE, job_type: str = "push_to_datastore", **data: Any) -> None:
        self.end(job_id, STATE_AFTER[kind], data=data.get("data"))
        self.tell(job_id, kind, 1_900_000, job_type, **data)

    def rows(self, table: Any, job_id: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(table).where(table.c.job_id == job_id)))
