"""`GET /job/<id>`, 200 a second, while 5,000 events a second are recorded, most of them of the jobs that are read."""

import asyncio
import random
import time

from bus_recording import accepted
from grounds import SECRET, Ground
from http_load import get, steadily
from telling import Plan, telling

from gateway.changes import forget_published
from schemas.store import writing

READS_PER_S, EVENTS_PER_S = 200, 5000
CONNECTIONS = 16
#: Jobs that run at the same time, and for how long their lines have come before the first of them is read.
JOBS, BEFORE_S = 200, 2.0


def measure(ground: Ground, *, seconds: float) -> dict[str, float]:
    with ground.engine() as engine:
        job_ids = [submission.job.job_id for submission in accepted(engine, JOBS)]
        with writing(engine) as connection:  # or our worker would begin to run them
            forget_published(connection, job_ids)
    plan = Plan(ground, job_ids, EVENTS_PER_S, seconds=BEFORE_S + seconds + 2)
    with ground.all_roles() as roles, ground.bus() as bus, telling(plan) as told:
        url = roles[ground.roles[0]].url
        time.sleep(BEFORE_S)
        reads = [get(f"{url}/job/{job_id}", SECRET) for job_id in job_ids]
        used, before, began = {name: role.cpu_s for name, role in roles.items()}, told.count, time.perf_counter()
        load = asyncio.run(
            steadily(url, lambda: random.choice(reads), per_s=READS_PER_S, seconds=seconds, connections=CONNECTIONS)
        )
        took = time.perf_counter() - began
        rate = (told.count - before) / took
        shares = ", ".join(f"{name} {(role.cpu_s - used[name]) / took:.0%}" for name, role in roles.items())
        told.stop()
        waiting = bus.depth(ground.topology.names.recorder)
    print(f"  of one processor: {shares}")
    print(f"  {load.per_s:.0f} reads/s, {rate:,.0f} events/s, of which {waiting} were not recorded in the end")
    if load.failed:
        raise RuntimeError(f"{load.failed} reads failed")
    return {"get_job_p50_ms": round(load.p50_ms, 1), "get_job_p99_ms": round(load.p99_ms, 1)}
