"""`GET /job/<id>`, 200 a second, while 5,000 events a second are recorded, most of them of the jobs that are read."""

import asyncio
import random
import threading
import time
from collections.abc import Mapping
from itertools import count

from bus_recording import accepted
from grounds import SECRET, Ground
from http_load import get, steadily

from consumer.outgoing import event_message
from gateway.submission import Submission
from publisher.bus import Bus
from schemas.messages import A_START, Event, Json, Kind
from schemas.topology import Names

READS_PER_S, EVENTS_PER_S = 200, 5000
CONNECTIONS = 16
#: Jobs that run at the same time; each has this many lines of log before.
JOBS, EVENTS_AT_A_TIME = 200, 50
LINE: Mapping[str, Json] = {
    "level": "INFO",
    "message": "Wrote rows 5000 to 10000 of 100000",
    "module": "load",
    "funcName": "write",
    "lineno": 88,
}


def measure(ground: Ground, *, seconds: float) -> dict[str, float]:
    with ground.engine() as engine:
        submissions = accepted(engine, JOBS)
    stop = threading.Event()
    with ground.all_roles() as roles, ground.bus() as bus:
        url = roles[ground.roles[0]].url
        sent = _Telling(bus, ground.topology.names, submissions, stop)
        sent.start()
        time.sleep(2)
        reads = [get(f"{url}/job/{submission.job.job_id}", SECRET) for submission in submissions]
        before, began = sent.count, time.perf_counter()
        load = asyncio.run(
            steadily(url, lambda: random.choice(reads), per_s=READS_PER_S, seconds=seconds, connections=CONNECTIONS)
        )
        rate = (sent.count - before) / (time.perf_counter() - began)
        stop.set()
        sent.join()
        waiting = bus.depth(ground.topology.names.recorder)
    print(f"  {load.per_s:.0f} reads/s, {rate:,.0f} events/s, of which {waiting} were not recorded in the end")
    if load.failed:
        raise RuntimeError(f"{load.failed} reads failed")
    return {"get_job_p50_ms": round(load.p50_ms, 1), "get_job_p99_ms": round(load.p99_ms, 1)}


class _Telling(threading.Thread):
    """Publishes log lines and progress of the jobs, in small bursts at an even rate."""

    def __init__(self, bus: Bus, names: Names, submissions: list[Submission], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._bus = bus
        self._names = names
        self._submissions = submissions
        self._over = stop

    def run(self) -> None:
        began = time.perf_counter()
        for burst in count():
            due = began + burst * EVENTS_AT_A_TIME / EVENTS_PER_S
            if self._over.wait(max(0.0, due - time.perf_counter())):
                return
            for number in range(EVENTS_AT_A_TIME):
                self._tell(burst * EVENTS_AT_A_TIME + number)
            self.count += EVENTS_AT_A_TIME

    def _tell(self, number: int) -> None:
        job = self._submissions[number % JOBS].job
        kind = Kind.LOG if number % 5 else Kind.PROGRESS
        data: Mapping[str, Json] = LINE if kind is Kind.LOG else {"stage": "load", "rows": number}
        sequence = A_START + number
        event = Event(job_id=job.job_id, job_type=job.job_type, kind=kind, sequence=sequence, data=data)
        self._bus.publish(event_message(event, self._names))
