"""For other systems: send jobs to Data Pusher over the broker, without its gateway.

    with Publisher("amqp://user:password@one;amqp://user:password@two", waits=True) as publisher:
        job_id = publisher.push(resource_id="…", ckan_url="https://ckan.example", api_key="…")
        end = publisher.wait(job_id, timeout_s=600)

On kombu, whose connections fail over and come in pools. Imports nothing of Data Pusher but the message and the names.
"""

import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from kombu.exceptions import KombuError
from kombu.messaging import Producer

from publisher.ended import Ended, asked
from publisher.endings import Endings
from publisher.kombu_connection import Pool, checked, connection_to
from publisher.refusals import in_our_words
from schemas.errors import DataPusherError, InvalidMessage, Unroutable
from schemas.messages import JOB_TYPE, SCHEMA_VERSION, Job, Json, dump, new_id
from schemas.sealing import Sealer
from schemas.topology import Names

#: For one address; then the next URL has its turn.
CONNECT_S = 5.0
#: A quorum queue confirms in milliseconds, a minority of it never.
CONFIRM_S = 10.0
#: Between questions to a gateway.
ASK_EVERY_S = 2.0
#: Waits between tries, seconds: the first, what each adds, the longest. A try goes to the next URL.
FIRST_WAIT_S, MORE_WAIT_S, LONGEST_WAIT_S = 0.1, 0.4, 2.0


class Publisher:
    """Sends jobs; thread-safe. A job is on the broker's disk, in a queue that a worker reads, when its id is returned.

    A child of a fork has connections of its own, and hears of the ends of the jobs that it sends itself.

    *urls*: amqp:// or amqps://, several separated by `;`. *prefix*: Data Pusher's VHOST_PREFIX. *connections*: threads that
    can send at the same time. *tries*: connections and confirms that may fail before a job is given up. *seal_keys*: Data
    Pusher's MESSAGE_KEYS, when API keys shall not travel in the clear. *waits*: whether `wait` shall hear of the ends of the
    jobs it sends; costs a connection more.
    """

    def __init__(
        self,
        urls: str,
        *,
        prefix: str = "datapusher",
        connections: int = 4,
        tries: int = 6,
        seal_keys: Sequence[str] = (),
        waits: bool = False,
    ) -> None:
        self._urls, self._tls = checked(urls)
        self._connections, self._waits = connections, waits
        self._names = Names(prefix)
        self._connect()
        _in_each_child(weakref.WeakMethod(self._connect))
        self._seal: Callable[[str], str] = Sealer(seal_keys).seal if seal_keys else str
        self._retry = {
            "max_retries": tries, "interval_start": FIRST_WAIT_S, "interval_step": MORE_WAIT_S, "interval_max": LONGEST_WAIT_S,
        }  # fmt: skip

    def _connect(self) -> None:
        """Connections are made with the first job. Two processes on one would mix up its bytes, so each has its own."""
        options = {"confirm_publish": True}
        pattern = connection_to(self._urls, self._tls, connect_timeout=CONNECT_S, transport_options=options)
        self._pool: Any = Pool(pattern, limit=self._connections)  # type: ignore[no-untyped-call]
        self._endings = Endings(pattern, self._names) if self._waits else None

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def push(
        self,
        *,
        resource_id: str,
        ckan_url: str,
        api_key: str,
        result_url: str | None = None,
        job_id: str = "",
        **metadata: Json,
    ) -> str:
        """Have the file of a CKAN resource loaded into its DataStore; returns the job's id (*job_id*, or a new one).

        *metadata*: the options of such a job, such as `ignore_hash`. Raises: as `submit`.
        """
        for name, value in (("resource_id", resource_id), ("ckan_url", ckan_url), ("api_key", api_key)):
            if not isinstance(value, str) or not value.strip():
                raise InvalidMessage(f"{name} is missing, or not text")
        if not ckan_url.lower().startswith(("http://", "https://")):
            raise InvalidMessage(f"ckan_url does not start with http:// or https://: {ckan_url!r}")
        about = {**metadata, "resource_id": resource_id, "ckan_url": ckan_url}
        return self.submit("push_to_datastore", metadata=about, api_key=api_key, result_url=result_url, job_id=job_id)

    def submit(
        self,
        job_type: str,
        *,
        data: Json = None,
        metadata: Mapping[str, Json] | None = None,
        api_key: str = "",
        result_url: str | None = None,
        job_id: str = "",
    ) -> str:
        """Send a job of any type; returns its id (*job_id*, or a new one).

        Raises: InvalidMessage; Unroutable when no worker was ever there for the type; NotPublished when the broker cannot be
        reached or refuses, and the job may or may not be there: to send it again, give it the same *job_id*.
        """
        job_id = job_id or new_id()
        sealed = self._seal(api_key) if isinstance(api_key, str) else api_key
        fields: dict[str, object] = {"job_id": job_id, "job_type": job_type, "api_key": sealed}
        fields |= {"result_url": result_url, "metadata": metadata, "data": data}
        return self.send(fields)

    def send(self, fields: Mapping[str, object]) -> str:
        """Send what `POST /job` takes, as a dict; returns the job's id. Raises: as `submit`."""
        job = Job.decode(_as_json({"job_id": new_id(), **fields}))
        if self._endings is None:
            return self._send(job)
        self._endings.expect(job.job_id)
        try:
            return self._send(job)
        except DataPusherError:
            self._endings.forget(job.job_id)
            raise

    def wait(self, job_id: str, *, timeout_s: float, gateway: str = "", key: str = "") -> Ended:
        """How a job ends, once it has. Of what it is told by the bus and by `GET /job/<id>` of *gateway* the first counts.

        The bus tells it of the jobs that this publisher has sent with *waits*, of each once. A *gateway*
        (`http://host:8800/`, with SECRET_KEY as *key*) is asked every few seconds, and knows any job; it needs no *waits*.
        Raises: TimeoutError after *timeout_s* seconds (the job goes on); ValueError where neither can tell;
        DataPusherError where the gateway does not know the job or the key.
        """
        hears = self._endings is not None and self._endings.expects(job_id)
        if not hears and not gateway:
            not_ours = "was not sent by this publisher with waits=True, or its end was told already"
            raise ValueError(f"job {job_id} {not_ours}: name a gateway to ask")
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if gateway and (end := asked(gateway, key, job_id)):
                return end
            if end := self._heard(job_id, min(ASK_EVERY_S, left_s) if gateway else left_s):
                return end
        raise TimeoutError(f"job {job_id} has not ended within {timeout_s:g} s")

    def _heard(self, job_id: str, timeout_s: float) -> Ended | None:
        if self._endings is not None and self._endings.expects(job_id):
            return self._endings.wait(job_id, timeout_s)
        time.sleep(timeout_s)
        return None

    def _send(self, job: Job) -> str:
        with self._words(job), self._pool.acquire(block=True) as connection:
            returned: list[object] = []
            producer = Producer(connection, on_return=lambda *about: returned.append(about))  # type: ignore[no-untyped-call]
            try:
                self._publish(producer, job)
            except MessageNacked:
                _unhook(producer)
                raise
            _unhook(producer)
        if returned:
            raise Unroutable(f"no queue takes jobs of type {job.job_type}: no worker for it has ever been connected")
        return job.job_id

    def close(self) -> None:
        if self._endings is not None:
            self._endings.close()
        self._pool.force_close_all()

    def _publish(self, producer: Any, job: Job) -> None:
        producer.publish(
            job.encode(),
            exchange=self._names.jobs,
            routing_key=job.job_type,
            content_type="application/json",
            content_encoding="utf-8",
            type=JOB_TYPE,
            message_id=job.job_id,
            headers={"schema-version": SCHEMA_VERSION},
            mandatory=True,
            confirm_timeout=CONFIRM_S,
            retry=True,
            retry_policy=self._retry,
        )

    @contextmanager
    def _words(self, job: Job) -> Iterator[None]:
        """Errors of kombu and py-amqp as ours."""
        try:
            yield
        except (AMQPError, MessageNacked, KombuError, OSError) as error:
            raise in_our_words(error, job.job_id, self._names) from error


def _in_each_child(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    """Has *method* called in children of a fork, as long as its object is there."""

    def call() -> None:
        if alive := method():
            alive()

    os.register_at_fork(after_in_child=call)


def _as_json(fields: Mapping[str, object]) -> bytes:
    try:
        return dump(fields)
    except (TypeError, ValueError) as error:
        raise InvalidMessage(f"this is not JSON: {error}") from error


def _unhook(producer: Any) -> None:
    """The channel lives on for the next job, and its handlers with it. (One that failed otherwise is dropped by kombu.)"""
    producer.channel.events["basic_return"].discard(producer.on_return)
