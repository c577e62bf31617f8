"""Jobs that do nothing through the whole chain: POST, queue, worker and child, events, recorder.

First as many as the service takes, from the first POST to the last end in the store; then at a steady rate, to see how long
one takes from its POST until the store shows its end.
"""

import asyncio
import json
import time
from collections.abc import Iterator

from grounds import Ground
from http_load import Connection, percentile, post
from sqlalchemy import Engine, func, select

from schemas.store import reading
from schemas.tables import jobs

#: Connections that POST; CKAN's own workers are no more.
CONNECTIONS = 8
#: Steady jobs a second, and for how long.
STEADY_PER_S, STEADY_S = 50, 6
#: For single jobs; for all of them, since that count takes the processor from what is measured.
LOOK_EVERY_S, LOOK_AT_ALL_EVERY_S = 0.01, 0.05
WARM_UP = 50
#: Of the one worker. A job that does nothing waits most of its time for disk syncs, so that the cores take more than two.
SLOTS = "4"
PATIENCE_S = 60
BODY = json.dumps({"api_key": "a-token", "job_type": "noop", "metadata": {"ckan_url": "https://ckan.example.org"}}).encode()


def measure(ground: Ground, *, jobs: int) -> dict[str, float]:
    with ground.all_roles(DATAPUSHER_SLOTS=SLOTS) as roles, ground.engine() as engine:
        url = roles[ground.roles[0]].url
        asyncio.run(_posted(url, WARM_UP))
        _await_ended(engine, WARM_UP)
        used, began = {name: role.cpu_s for name, role in roles.items()}, time.perf_counter()
        asyncio.run(_posted(url, jobs))
        posted = time.perf_counter() - began
        _await_ended(engine, jobs + WARM_UP)
        took = time.perf_counter() - began
        shares = ", ".join(f"{name} {1000 * (role.cpu_s - used[name]) / jobs:.2f} ms" for name, role in roles.items())
        print(f"  processor time for each job: {shares}")
        print(f"  {jobs} jobs: accepted after {posted:.2f} s, ended after {took:.2f} s", flush=True)
        latencies = asyncio.run(_steady(url, engine))
    return {
        "chain_per_s": round(jobs / took),
        "chain_p50_ms": round(percentile(latencies, 50), 1),
        "chain_p99_ms": round(percentile(latencies, 99), 1),
    }


async def _posted(url: str, count: int) -> None:
    numbers = iter(range(count))

    async def one(connection: Connection) -> None:
        for _ in numbers:
            await _accepted(connection, url)
        connection.close()

    await asyncio.gather(*[one(await Connection.open(url)) for _ in range(CONNECTIONS)])


async def _accepted(connection: Connection, url: str) -> str:
    status, answer = await connection.ask(post(f"{url}/job", BODY))
    if status != 200:
        raise RuntimeError(f"refused with {status}: {answer.decode()}")
    return str(json.loads(answer)["job_id"])


def _await_ended(engine: Engine, count: int) -> None:
    deadline, ended = time.monotonic() + PATIENCE_S, 0
    while ended < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"of {count} jobs {ended} have ended")
        time.sleep(LOOK_AT_ALL_EVERY_S)
        with reading(engine) as connection:
            ended = connection.execute(select(func.count()).where(jobs.c.state == "complete")).scalar_one()


async def _steady(url: str, engine: Engine) -> list[float]:
    """Milliseconds from each POST until the store shows the job as complete."""
    asked: dict[str, float] = {}
    taken: list[float] = []
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await Connection.open(url))

    async def one() -> None:
        began, connection = time.perf_counter(), await free.get()
        asked[await _accepted(connection, url)] = began
        free.put_nowait(connection)

    began, number = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while number < STEADY_PER_S * STEADY_S or asked:
            while number < min(STEADY_PER_S * STEADY_S, (time.perf_counter() - began) * STEADY_PER_S):
                group.create_task(one())
                number += 1
            for job_id in await asyncio.to_thread(lambda: list(_ended(engine, list(asked)))):
                taken.append((time.perf_counter() - asked.pop(job_id)) * 1000)
            await asyncio.sleep(LOOK_EVERY_S)
    return taken


def _ended(engine: Engine, job_ids: list[str]) -> Iterator[str]:
    if job_ids:
        query = select(jobs.c.job_id).where(jobs.c.job_id.in_(job_ids), jobs.c.state == "complete")
        with reading(engine) as connection:
            yield from connection.execute(query).scalars()
