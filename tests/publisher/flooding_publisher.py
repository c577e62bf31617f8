"""A process for tests to kill: publishes jobs as fast as it can, and tells the id of each that was accepted."""

import itertools
import os
import sys
from collections import deque
from concurrent.futures import Future

from publisher.bus import Message
from publisher.connect import connect
from tests.publisher.lab import JOB_TYPE, topology_of


def main(store_url: str, prefix: str) -> None:
    topology = topology_of(prefix)
    bus = connect("embedded:", topology, store_url)
    waiting: deque[tuple[str, Future[None]]] = deque()
    for number in itertools.count():
        job = Message(exchange=topology.names.jobs, routing_key=JOB_TYPE, body=b"{}", message_id=f"j{number}")
        waiting.append((job.message_id, bus.publish(job)))
        if len(waiting) > 32:
            identity, future = waiting.popleft()
            future.result()
            os.write(1, f"{identity}\n".encode())  # whole lines: a kill must not cut one


if __name__ == "__main__":
    main(*sys.argv[1:])
