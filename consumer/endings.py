"""How the end of a job is told, and its message settled, in this order: event, callback, settlement.

Killed in between, the worker leaves the message to be delivered again; whoever gets it finds the outcome in the claim, and
tells the same under the same ids.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from consumer.dead import known_id, sealed_body
from consumer.outcome import FINAL, Outcome, legacy_job
from consumer.outgoing import Outgoing, event_message
from publisher.bus import Delivery, Message
from publisher.tracing import context_of
from schemas.errors import InvalidMessage
from schemas.messages import CALLBACK_TYPE, JOB_TYPE, Callback, Event, Job, Json, Kind
from schemas.sealing import Sealer
from schemas.settings import Settings
from schemas.topology import Names

logger = logging.getLogger(__name__)


class Endings:
    """May be used by several threads. *requested* gives what the store knows of a job: when it was asked, its aps_job_id."""

    def __init__(
        self,
        settings: Settings,
        names: Names,
        outgoing: Callable[[], Outgoing],
        requested: Callable[[str], tuple[datetime | None, str | None]],
        sealer: Sealer,
        source: str,
    ) -> None:
        self._zone = ZoneInfo(settings.legacy_timezone)
        self._names = names
        self._outgoing = outgoing
        self._requested = requested
        self._sealer = sealer
        self._source = source

    def settle(
        self, delivery: Delivery, job: Job, outcome: Outcome, callback_delivered: bool = False, traceparent: str = ""
    ) -> None:
        """Tells *outcome*, which is in the claim, and forgets the message; gives it back when it could not be told.

        *traceparent* is the context of the attempt, if there was one just now: the callback is its child.
        """
        traceparent = traceparent or context_of(delivery.message)
        event = outcome.event(job.job_id, job.job_type, self._source)
        event = replace(event, data={**event.data, **_about(job)})
        told = self._sent(event_message(event, self._names))
        if told and job.result_url and not callback_delivered:
            told = self._sent(*self._callback(job, job.result_url, outcome, traceparent))
        if not told:
            delivery.release()
        elif outcome.kind is Kind.DEAD:
            reason = str(outcome.data.get("reason"))
            delivery.dead_letter(reason, routing_key=f"job.{job.job_type}", body=self._sealed(job).encode())
        else:
            delivery.ack()

    def refuse(self, delivery: Delivery, error: InvalidMessage) -> None:
        """What is no job lies with the dead; an event says so where it names one."""
        logger.error("message %s is no job: %s", delivery.message.message_id or "without an id", error.message)
        job_id = known_id(delivery.message)
        events = []
        if job_id:
            data: dict[str, Json] = {"reason": error.message, "error": {"message": f"The message is no job: {error.message}"}}
            events = [self._event(job_id, self._type_of(delivery), Kind.DEAD, FINAL, data)]
        if self._sent(*events):
            body = sealed_body(delivery.message.body, self._sealer)
            delivery.dead_letter(error.message, routing_key="job.invalid", body=body)
        else:
            delivery.release()

    def send_with_id(self, delivery: Delivery, job: Job) -> None:
        """A job without an id would be another one at each delivery: it comes back under one, which the recorder hears."""
        message = Message(
            exchange=self._names.jobs,
            routing_key=self._type_of(delivery),
            body=self._sealed(job).encode(),
            message_id=job.job_id,
            type=JOB_TYPE,
        )
        if self._sent(message):
            delivery.ack()
        else:
            delivery.release()

    def _callback(self, job: Job, url: str, outcome: Outcome, traceparent: str) -> tuple[Message, Message]:
        """The event that a callback waits, and the callback."""
        requested_at, aps_job_id = self._requested(job.job_id)
        callback = Callback(
            job_id=job.job_id,
            job_type=job.job_type,
            result_url=url,
            api_key=self._sealer.seal(job.api_key),
            sequence=outcome.callback_sequence,
            payload=legacy_job(job, outcome, requested_at=requested_at, aps_job_id=aps_job_id, zone=self._zone),
        )
        message = Message(
            exchange=self._names.callbacks,
            routing_key=job.job_type,
            body=callback.encode(),
            message_id=f"{job.job_id}/{callback.sequence}",
            type=CALLBACK_TYPE,
            headers={"traceparent": traceparent} if traceparent else {},
        )
        waiting: dict[str, Json] = {"state": "waiting", "attempts": 0, "last_error": None, "status": None}
        return self._event(job.job_id, job.job_type, Kind.CALLBACK, callback.sequence, waiting), message

    def _event(self, job_id: str, job_type: str, kind: Kind, sequence: int, data: Mapping[str, Json]) -> Message:
        event = Event(job_id=job_id, job_type=job_type, kind=kind, sequence=sequence, data=data, source=self._source)
        return event_message(event, self._names)

    def _sent(self, *messages: Message) -> bool:
        """Whether the bus has them all."""
        outgoing = self._outgoing()
        for message in messages:
            outgoing.send(message)
        return outgoing.confirmed()

    def _sealed(self, job: Job) -> Job:
        return replace(job, api_key=self._sealer.seal(job.api_key))

    def _type_of(self, delivery: Delivery) -> str:
        return delivery.queue.removeprefix(self._names.work(""))


def _about(job: Job) -> dict[str, Json]:
    """What whoever hears of the end needs to find the table: the resource and its CKAN, where the job names them."""
    return {key: value for key in ("resource_id", "ckan_url") if isinstance(value := job.metadata.get(key), str)}
