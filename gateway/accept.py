"""Accepts jobs durably: concurrent requests share one transaction, so that a hundred of them cost one disk sync.

On PostgreSQL several such transactions are under way at once, since most of the time each only waits for that sync.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from gateway.changes import insert_jobs, take_back
from gateway.outbox import Outbox
from gateway.store_threads import StoreThreads
from gateway.submission import Refused, Submission
from schemas.errors import StoreUnavailable
from schemas.store import writing, writing_alone

logger = logging.getLogger(__name__)

#: From the request to its answer, of the 2 s that are promised.
LIMIT_S = 1.6
#: Jobs in one transaction.
GROUP = 500
#: Transactions under way at once, by SQLAlchemy's name of the dialect; SQLite has room for one writer.
COMMITS = {"postgresql": 2}
LATE = "The store did not answer in time; try again later."


class JobExists(Refused):
    """The id is taken."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job_id {job_id} already exists")


@dataclass(slots=True)
class _Waiting:
    submission: Submission
    #: On the clock of `time.monotonic`.
    deadline: float
    done: "asyncio.Future[None]"


class Intake:
    """The only writer of new jobs in this process. `run` has to run for `accept` to get anywhere."""

    def __init__(self, engine: Engine, threads: StoreThreads, outbox: Outbox) -> None:
        self._engine = engine
        self._threads = threads
        self._outbox = outbox
        self._waiting: deque[_Waiting] = deque()
        self._somebody_waits = asyncio.Event()

    async def accept(self, submission: Submission) -> None:
        """Returns when the job is on disk; from here on it cannot be lost. Raises: JobExists, StoreUnavailable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(submission, time.monotonic() + LIMIT_S, done))
        self._somebody_waits.set()
        await done  # `run` sees to it that this ends in time; a timer for each request costs more than the rest of it

    async def run(self) -> None:
        """Commits one group after the other; whoever comes while no more can be under way is in the next.

        A group that takes too long is given up at its first deadline, so nobody waits much longer than LIMIT_S.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(commits_at_once(self._engine)):
                group.create_task(self._commit_for_ever())

    async def _commit_for_ever(self) -> None:
        while True:
            await self._somebody_waits.wait()
            group = self._next_group()
            if group:
                await self._commit_or_tell(group)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._waiting and len(group) < GROUP:
            waiting = self._waiting.popleft()
            if not waiting.done.done():  # else its client has gone, and must not find it accepted after all
                group.append(waiting)
        if not self._waiting:
            self._somebody_waits.clear()
        # Ordered, so that two groups that name the same ids never wait for each other crosswise.
        return sorted(group, key=lambda waiting: waiting.submission.job.job_id)

    async def _commit_or_tell(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._commit(group)
        except StoreUnavailable as error:
            logger.warning("%d jobs were refused: %s", len(group), error)
            _fail(group, error)
        except Exception as error:  # whatever the driver says of a value; nobody may wait for ever because of it
            await self._one_by_one(group, error)

    async def _one_by_one(self, group: Sequence[_Waiting], error: Exception) -> None:
        """The store refused the group for what is in it: only the job it refuses must suffer."""
        if len(group) > 1:
            for waiting in group:
                await self._commit_or_tell([waiting])
        else:
            logger.error("job %s cannot be stored: %s", group[0].submission.job.job_id, error)
            _fail(group, Refused("The store refuses this job; see the gateway's log."))

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        direct = self._outbox.open
        due_at = self._outbox.due_at(direct=direct)
        deadline = min(waiting.deadline for waiting in group)
        submissions = [waiting.submission for waiting in group]
        alone = direct and not any(each.named for each in submissions)
        insert = partial(self._insert, submissions, due_at, deadline, alone=alone)
        free = await self._threads.run(insert, limit_s=max(deadline - time.monotonic(), 0.01))
        for waiting in group:
            self._settle(waiting, free, direct)

    def _insert(self, submissions: Sequence[Submission], due_at: datetime, deadline: float, *, alone: bool) -> set[str]:
        """On a thread. What comes too late is not kept: its sender has been told that it failed.

        *alone*: no transaction around it. What is committed so is taken back, before sweepers may take its message.
        """
        with (writing_alone if alone else writing)(self._engine) as connection:
            limit_s = deadline - time.monotonic()
            if limit_s <= 0:
                raise StoreUnavailable(LATE)
            free = insert_jobs(connection, submissions, due_at, limit_s)
            if time.monotonic() > deadline:
                take_back(connection, free)
                raise StoreUnavailable(LATE)
        return free

    def _settle(self, waiting: _Waiting, free: set[str], direct: bool) -> None:
        job_id = waiting.submission.job.job_id
        if job_id not in free:
            _fail([waiting], JobExists(job_id))
            return
        free.remove(job_id)  # a second one with this id, in the same group, comes too late
        if not waiting.done.done():
            waiting.done.set_result(None)
        if direct:
            self._outbox.publish_job(waiting.submission)


def commits_at_once(engine: Engine) -> int:
    """How many groups are committed at the same time; each takes a thread."""
    return COMMITS.get(engine.dialect.name, 1)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
