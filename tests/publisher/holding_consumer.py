"""A process for tests to kill: takes the deliveries of the work queue, tells their ids, settles none."""

import sys
import threading

from publisher.bus import Delivery
from publisher.connect import connect
from tests.publisher.lab import JOB_TYPE, topology_of


def main(broker_url: str, store_url: str, prefix: str) -> None:
    topology = topology_of(prefix)
    bus = connect(broker_url, topology, store_url)
    bus.consume(topology.names.work(JOB_TYPE), _tell, prefetch=10)
    threading.Event().wait()


def _tell(delivery: Delivery) -> None:
    print(delivery.message.message_id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
