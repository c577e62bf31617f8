"""A worker, a recorder and what delivers callbacks, over one bus and one store, with short delays."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

from kombu.connection import Connection
from sqlalchemy import Engine, select

from consumer.callback import run_callbacks
from consumer.recorder import run_recorder
from consumer.worker import run_worker
from publisher.bus import Bus, Delivery, HeaderValue, Message
from publisher.connect import connect
from schemas.messages import EVENT_TYPE, JOB_TYPE, Event, Json, Kind, new_id
from schemas.sealing import job_key
from schemas.settings import Settings, numbers
from schemas.store import open_store, reading
from schemas.tables import jobs
from schemas.topology import Topology, topology

ROOT = Path(__file__).parents[2]
MODULE = "tests.consumer.jobs_for_tests"
API_KEY = "the-token-of-a-site"
PATIENCE_S = 20.0
ENDS = (Kind.COMPLETE, Kind.ERROR, Kind.CANCELLED, Kind.DEAD)
#: As short as it goes without failing on a busy machine.
QUICK = Settings(
    job_modules=MODULE, slots=2, secret_key="a secret", lease=2.0, busy_delay=0.2, retry_delays="0.2,0.5",
    callback_delays="0.2,0.5", callback_timeout=0.5, max_starts=2, max_attempts=3, job_timeout=20, drain_timeout=5,
    allowed_networks="127.0.0.0/8",
)  # fmt: skip
JOB_TYPES = (
    "echo", "logs", "stream", "refuses", "stumbles", "never_ready", "has_bug", "exits", "segfaults", "loops", "eats_memory",
    "sleeps", "works_alone", "starts_a_program", "tells_secrets", "unregistered",
)  # fmt: skip


def eventually(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Returns as soon as it holds; an AssertionError when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def topology_of(settings: Settings) -> Topology:
    delays = (*numbers(settings.retry_delays), *numbers(settings.callback_delays), settings.busy_delay)
    return topology(settings.vhost_prefix, JOB_TYPES, delays)


class Workshop:
    def __init__(self, settings: Settings, store_url: str) -> None:
        self.settings = settings
        self.store_url = store_url
        self.topology = topology_of(settings)
        self.names = self.topology.names
        self.engine: Engine = open_store(store_url)
        self.bus: Bus = connect(settings.broker_url, self.topology, store_url)
        self.events: list[Event] = []
        self._stops: list[tuple[threading.Event, threading.Thread]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Workshop":
        eventually(lambda: self.bus.connected)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.stop()
        self.bus.close()
        self.engine.dispose()
        if self.settings.broker_url.startswith("amqp"):
            self._delete_queues()

    def _delete_queues(self) -> None:
        """Each quorum queue keeps files open; with those of all tests a broker comes to its limit, and accepts nobody."""
        with Connection(self.settings.broker_url) as connection:  # type: ignore[no-untyped-call]
            channel = connection.channel()
            for queue in self.topology.queues:
                channel.queue_delete(queue.name)

    def stop(self) -> None:
        """All that runs in threads of the test."""
        for stop, _ in self._stops:
            stop.set()
        for _, thread in self._stops:
            thread.join()
        self._stops.clear()

    def listen(self) -> "Workshop":
        """Keeps the events instead of recording them."""

        def handle(delivery: Delivery) -> None:
            if delivery.message.type == EVENT_TYPE:
                self.events.append(Event.decode(delivery.message.body))
            delivery.ack()

        self.bus.consume(self.names.recorder, handle, prefetch=100)
        return self

    def worker(self, **changed: object) -> threading.Event:
        """A worker in a thread of this process; the event stops it."""
        return self._start(run_worker, **changed)

    def recorder(self) -> threading.Event:
        return self._start(run_recorder)

    def callbacks(self, **changed: object) -> threading.Event:
        return self._start(run_callbacks, **changed)

    def worker_process(self, **changed: object) -> "subprocess.Popen[bytes]":
        """A worker in a process of its own, to be killed."""
        told = json.dumps({"settings": asdict(self._changed(changed)), "store": self.store_url})
        process = subprocess.Popen([sys.executable, "-m", "tests.consumer.worker_process", told], cwd=ROOT)
        self._processes.append(process)
        return process

    def send(self, job_type: str, data: Json = None, **fields: Json) -> str:
        """Publishes a job, as any client of the bus may; gives its id."""
        job_id = str(fields.pop("job_id", None) or new_id())
        body = {"job_id": job_id, "job_type": job_type, "api_key": API_KEY, "data": data, **fields}
        self.publish(job_type, json.dumps(body).encode(), message_id=job_id)
        return job_id

    def publish(self, job_type: str, body: bytes, message_id: str = "", **headers: HeaderValue) -> None:
        message = Message(
            exchange=self.names.jobs, routing_key=job_type, body=body, message_id=message_id, type=JOB_TYPE, headers=headers
        )
        self.bus.publish(message).result(PATIENCE_S)

    def told(self, job_id: str, *kinds: Kind) -> list[Event]:
        """What was told of the job so far, without copies, in the order of its sequence."""
        found = {each.sequence: each for each in self.events if each.job_id == job_id and (each.kind in kinds or not kinds)}
        return [found[sequence] for sequence in sorted(found)]

    def await_told(self, job_id: str, *kinds: Kind, times: int = 1) -> Event:
        """The last of the first *times* such events, once they are there."""
        eventually(lambda: len(self.told(job_id, *kinds)) >= times)
        return self.told(job_id, *kinds)[times - 1]

    def end(self, job_id: str) -> Event:
        return self.await_told(job_id, *ENDS)

    def row(self, job_id: str) -> Mapping[str, object]:
        """The job's row, empty where there is none."""
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().one_or_none()
        return dict(row) if row else {}

    def dead(self, queue: str = "") -> "Dead":
        return Dead(self.bus, queue or self.names.dead)

    def job_key(self, job_id: str) -> str:
        return job_key(self.settings.secret_key, job_id)

    def _start(self, run: Callable[..., None], **changed: object) -> threading.Event:
        stop = threading.Event()
        arguments = (self._changed(changed), self.engine, self.bus, self.topology, stop)
        thread = threading.Thread(target=run, args=arguments, name=run.__name__)
        self._stops.append((stop, thread))
        thread.start()
        return stop

    def _changed(self, changed: Mapping[str, object]) -> Settings:
        return replace(self.settings, **changed)  # type: ignore[arg-type]


class Dead:
    """What lies in a queue of the dead."""

    def __init__(self, bus: Bus, queue: str) -> None:
        self.messages: list[Message] = []
        bus.consume(queue, self._handle, prefetch=10)

    def first(self) -> Message:
        eventually(lambda: self.messages)
        return self.messages[0]

    def of(self, job_id: str) -> Message:
        eventually(lambda: any(each.message_id == job_id for each in self.messages))
        return next(each for each in self.messages if each.message_id == job_id)

    def _handle(self, delivery: Delivery) -> None:
        self.messages.append(delivery.message)
        delivery.ack()


def end_politely(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)
