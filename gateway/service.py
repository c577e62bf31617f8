"""What the handlers work with: everything one gateway has, made and ended in one place."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from sqlalchemy import Engine

from gateway.accept import Intake, commits_at_once
from gateway.auth import Doorman
from gateway.events import EventHub
from gateway.legacy import LegacyShape
from gateway.metrics import Metrics
from gateway.outbox import Outbox
from gateway.store_threads import Store, StoreThreads
from gateway.submission import Desk, Submission
from publisher.bus import Bus
from publisher.watch import Watch
from schemas.logs import about
from schemas.sealing import Sealer, message_keys
from schemas.settings import Settings, words
from schemas.topology import Names

logger = logging.getLogger(__name__)

#: Threads for reads, and for writes that are no new jobs; SQLite and a small PostgreSQL have no use for more.
THREADS = 4
#: Threads that only look at single jobs, so that nobody who asks for one waits for commits or for searches. Four instead of two
#: made the slowest answer in a hundred wait a quarter longer: there are no more processors for them.
LOOKING_THREADS = 2
RESTART_S = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """One gateway at work."""

    settings: Settings
    #: Job type -> whether it is synchronous.
    job_types: Mapping[str, bool]
    bus: Bus
    store: Store
    #: The same store, for quick looks at single jobs.
    jobs: Store
    desk: Desk
    intake: Intake
    outbox: Outbox
    hub: EventHub
    doorman: Doorman
    shape: LegacyShape
    metrics: Metrics
    watch: Watch
    #: Requests that may last: streams of events, and those that wait for a synchronous job.
    waiting: "set[asyncio.Task[object]]" = field(default_factory=set)

    async def accept(self, submission: Submission) -> None:
        """Returns when the job is on disk. Raises: JobExists, StoreUnavailable."""
        with about(job_id=submission.job.job_id):
            await self.intake.accept(submission)
        self.metrics.accepted(submission.job.job_type)

    @contextlib.contextmanager
    def waits(self) -> Iterator[None]:
        """Around what may last longer than the gateway has time for when it has to end."""
        task = asyncio.current_task()
        assert task is not None
        self.waiting.add(task)
        try:
            yield
        finally:
            self.waiting.discard(task)


SERVICE = web.AppKey("service", Service)


def service_of(request: web.Request) -> Service:
    return request.app[SERVICE]


async def _for_ever(run: Callable[[], Awaitable[None]]) -> None:
    """Starts it again after a bug: a gateway that goes on answering must not have stopped publishing."""
    while True:
        try:
            await run()
        except Exception:  # the edge of a background task
            logger.exception("%s failed and starts again", run.__qualname__)
            await asyncio.sleep(RESTART_S)


@contextlib.asynccontextmanager
async def at_work(
    settings: Settings, engine: Engine, bus: Bus, job_types: Mapping[str, bool], watch: Watch
) -> AsyncIterator[Service]:
    """A service whose tasks run. Afterwards they have ended; what was not published by then waits in the outbox."""
    names = Names(settings.vhost_prefix)
    threads, intake_threads = StoreThreads("store", THREADS), StoreThreads("accept", commits_at_once(engine))
    looking_threads = StoreThreads("look", LOOKING_THREADS)
    store = Store(engine, threads)
    outbox = Outbox(bus, store, names)
    sealer = Sealer(message_keys(settings.secret_key, words(settings.message_keys)))
    service = Service(
        settings=settings,
        job_types=job_types,
        bus=bus,
        store=store,
        jobs=Store(engine, looking_threads),
        desk=Desk(job_types, settings.secret_key, sealer),
        intake=Intake(engine, intake_threads, outbox),
        outbox=outbox,
        hub=EventHub(bus, names.events, asyncio.get_running_loop()),
        doorman=Doorman(settings.secret_key, settings.username, settings.password),
        shape=LegacyShape(settings.legacy_timezone),
        metrics=Metrics(watch.figures, job_types),
        watch=watch,
    )
    for job_type in (name for name, synchronous in job_types.items() if synchronous):
        service.hub.open_tap(job_type)
    tasks = [asyncio.create_task(_for_ever(run)) for run in (service.intake.run, outbox.flush, outbox.sweep)]
    try:
        yield service
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        service.hub.close()
        for each in (threads, looking_threads, intake_threads):
            each.close()
