"""For other systems: send jobs to Data Pusher over the broker, without its gateway.

    with Publisher("amqp://user:password@one;amqp://user:password@two", waits=True) as publisher:
        job_id = publisher.push(resource_id="…", ckan_url="https://ckan.example", api_key="…")
        end = publisher.wait(job_id, timeout_s=600)

On kombu, whose connections fail over and come in pools. Imports nothing of Data Pusher but the message and the names.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked, NotFound
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.messaging import Producer

from publisher.ended import Ended, asked
from publisher.endings import Endings
from schemas.errors import BadSetting, DataPusherError, InvalidMessage, NotPublished, Unroutable
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
        if not all(url.strip().startswith(("amqp://", "amqps://")) for url in urls.split(";")):
            raise BadSetting("url", "must be amqp://user:password@host:5672/vhost, several separated by ;")
        options = {"confirm_publish": True}
        connection: Any = Connection(urls, connect_timeout=CONNECT_S, transport_options=options)  # type: ignore[no-untyped-call]
        self._pool = connection.Pool(limit=connections)
        self._names = Names(prefix)
        self._endings = Endings(connection, self._names) if waits else None
        self._seal: Callable[[str], str] = Sealer(seal_keys).seal if seal_keys else str
        self._retry = {
            "max_retries": tries, "interval_start": FIRST_WAIT_S, "interval_step": MORE_WAIT_S, "interval_max": LONGEST_WAIT_S,
        }  # fmt: skip

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def push(self, *, resource_id: str, ckan_url: str, api_key: str, result_url: str | None = None, **metadata: Json) -> str:
        """Have the file of a CKAN resource loaded into its DataStore; returns the job's id.

        *metadata*: the options of such a job, such as `ignore_hash`. Raises: as `submit`.
        """
        if not resource_id or not ckan_url.lower().startswith(("http://", "https://")):
            raise InvalidMessage("resource_id is empty, or ckan_url does not start with http")
        about = {**metadata, "resource_id": resource_id, "ckan_url": ckan_url}
        return self.submit("push_to_datastore", metadata=about, api_key=api_key, result_url=result_url)

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
        fields: dict[str, object] = {"job_id": job_id, "job_type": job_type, "api_key": self._seal(api_key)}
        fields |= {"result_url": result_url, "metadata": metadata, "data": data}
        return self.send(fields)

    def send(self, fields: Mapping[str, object]) -> str:
        """Send what `POST /job` takes, as a dict; returns the job's id. Raises: as `submit`."""
        job = Job.decode(dump({"job_id": new_id(), **fields}))
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
            raise ValueError(f"job {job_id} was not sent by this publisher with waits=True: name a gateway to ask")
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
        except NotFound as error:
            raise Unroutable(f"the broker has no exchange {self._names.jobs}: is the prefix right, and the vhost?") from error
        except MessageNacked as error:
            raise NotPublished(f"the broker refuses job {job.job_id}: the queue is full or unavailable") from error
        except (AMQPError, KombuError, OSError) as error:
            raise NotPublished(f"job {job.job_id} is not published: {error or type(error).__name__}") from error


def _unhook(producer: Any) -> None:
    """The channel lives on for the next job, and its handlers with it. (One that failed otherwise is dropped by kombu.)"""
    producer.channel.events["basic_return"].discard(producer.on_return)
