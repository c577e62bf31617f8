"""A worker as a program: `python -m tests.consumer.worker_process {"settings": …, "store": …}`; SIGTERM drains it."""

import json
import signal
import sys
import threading

from consumer.worker import run_worker
from publisher.connect import connect
from schemas.settings import Settings
from schemas.store import open_store
from tests.consumer.workshop import topology_of


def main() -> None:
    told = json.loads(sys.argv[1])
    settings, stop = Settings(**told["settings"]), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    bus = connect(settings.broker_url, topology_of(settings), told["store"])
    run_worker(settings, open_store(told["store"]), bus, topology_of(settings), stop)
    bus.close()


if __name__ == "__main__":
    main()
