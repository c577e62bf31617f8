"""Somebody else who listens to the ends of jobs: what the service tells the world."""

from collections import defaultdict
from collections.abc import Mapping

import pika

from schemas.messages import Event

ENDS = ("complete", "error", "cancelled", "dead")


class Witness:
    """A durable queue bound to the events of *prefix*; made before the first job, read after the last."""

    def __init__(self, broker_url: str, prefix: str) -> None:
        self._url = broker_url
        self._queue = f"{prefix}.witness"
        with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
            channel = connection.channel()
            channel.queue_declare(self._queue, durable=True)
            for end in ENDS:
                channel.queue_bind(self._queue, f"{prefix}.events", f"job.{end}.#")

    def ends(self) -> Mapping[str, set[str]]:
        """The ids of the events that ended each job: copies of one event have the same id."""
        ends: dict[str, set[str]] = defaultdict(set)
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            while (got := channel.basic_get(self._queue, auto_ack=True))[0] is not None:
                event = Event.decode(got[2])
                ends[event.job_id].add(event.id)
        return ends
