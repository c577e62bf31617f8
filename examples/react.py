"""React to tables that are loaded: prints one line for each, with nothing but pika.

    python examples/react.py

The queue is this program's own and goes on collecting while the program is away. Events come at least once: what must not
be done twice is remembered by the event's `id`.
"""

import json
import os
from typing import Any

import pika

BROKER = os.environ.get("DATAPUSHER_BROKER_URL", "amqp://guest:guest@localhost:5672/")
PREFIX = os.environ.get("DATAPUSHER_VHOST_PREFIX", "datapusher")
#: One name for each program that reacts.
QUEUE = f"{PREFIX}.example-react"


def main() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind(QUEUE, f"{PREFIX}.events", "job.complete.push_to_datastore")
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(QUEUE, handle)
    print("listening", flush=True)
    channel.start_consuming()


def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
    """Acknowledged when done: what was not is given to the next one who reads the queue."""
    event = json.loads(body)
    told = event["data"]
    report = told["data"]
    if "rows" in report:  # else the table stays as it is, and report["skipped"] says why: "unchanged"
        print(f"{event['subject']}: {report['rows']} rows in {told['resource_id']} of {told['ckan_url']}", flush=True)
    channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
