"""A gateway on a real socket, its event loop on a thread, over a real store and bus; and its client."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from aiohttp import web, web_app
from sqlalchemy import Engine

from gateway import queries
from gateway.app import make_app
from publisher.bus import Bus, Consumer, Delivery, Message
from publisher.connect import connect
from schemas.errors import NotPublished
from schemas.settings import Settings
from schemas.store import reading
from schemas.topology import Topology, topology

SECRET, PASSWORD = "the-secret-key", "sesame"
JOB_TYPES = {"push_to_datastore": False, "count": True}
JOB = {"job_type": "push_to_datastore", "api_key": "a-token", "metadata": {"resource_id": "r1"}}
SETTINGS = Settings(secret_key=SECRET, password=PASSWORD, url_prefix="/dp", max_body=100_000, sync_timeout=5.0)


class CuttableBus:
    """A bus that a test can take away, as when the broker is down."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.cut = False

    @property
    def connected(self) -> bool:
        return self.bus.connected and not self.cut

    @property
    def absence(self) -> str:
        return "cut by the test" if self.cut else self.bus.absence

    def publish(self, message: Message) -> "Future[None]":
        if not self.cut:
            return self.bus.publish(message)
        future: Future[None] = Future()
        future.set_exception(NotPublished("the broker is away"))
        return future

    def consume(self, queue: str, handle: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        return self.bus.consume(queue, handle, prefetch=prefetch)

    def subscribe(self, exchange: str, routing_key: str, handle: Callable[[Message], None]) -> Consumer:
        return self.bus.subscribe(exchange, routing_key, handle)

    def depth(self, queue: str) -> int:
        return self.bus.depth(queue)

    def consumers(self, queue: str) -> int | None:
        return self.bus.consumers(queue)

    def close(self, timeout_s: float = 5.0) -> None:
        self.bus.close(timeout_s)


def _nothing(topology: Topology) -> Message:
    return Message(exchange=topology.names.events, routing_key="nothing", body=b"{}", message_id="nothing")


def _forget_applications() -> None:
    """aiohttp keeps the last 1,024 applications that were asked. Of so many gateways Python's collector would look through
    millions of objects, and the gateway under test would stand still meanwhile for as long as its answers may take."""
    kept = getattr(web_app, "_cached_build_middleware", None)
    if kept is not None:
        kept.cache_clear()


class GatewayThread:
    """Usable as a context; `url` has no slash at its end. Job types that are not in *queues* have none on the bus."""

    def __init__(
        self, engine: Engine, folder: Path, queues: Iterable[str] = JOB_TYPES, broker_url: str = "", **settings: Any
    ) -> None:
        self.topology = topology(settings.get("vhost_prefix", "datapusher"), queues, [1.0])
        self.names = self.topology.names
        self.engine = engine
        self.bus = CuttableBus(connect(broker_url or "embedded:", self.topology, f"sqlite:///{folder}/bus.db"))
        if not broker_url:
            self.bus.publish(_nothing(self.topology)).result(10)  # the bus's file is there from then on
        self.settings = replace(SETTINGS, **settings)
        self.http = requests.Session()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "GatewayThread":
        self._thread.start()
        self._wait(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.bus.close()
        _forget_applications()

    def stop(self) -> None:
        """As SIGTERM does it; may be called again."""
        self._wait(self._runner.cleanup())

    def post(self, body: object, path: str = "/job", **options: Any) -> requests.Response:
        return self.http.post(self.url + path, json=body, timeout=20, allow_redirects=False, **options)

    def get(self, path: str, key: str | None = SECRET, **options: Any) -> requests.Response:
        return self._call("GET", path, key, options)

    def delete(self, path: str, key: str | None = SECRET, **options: Any) -> requests.Response:
        return self._call("DELETE", path, key, options)

    def accepted(self, body: Mapping[str, object] = JOB) -> dict[str, Any]:
        """The answer to a job that was accepted."""
        answer = self.post(body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def depth(self, job_type: str = "push_to_datastore") -> int:
        return self.bus.depth(self.names.work(job_type))

    def outbox_depth(self) -> int:
        """Accepted jobs that are not marked as published."""
        with reading(self.engine) as connection:
            return queries.outbox_depth(connection)[0]

    def _call(self, method: str, path: str, key: str | None, options: Mapping[str, Any]) -> requests.Response:
        headers = {**({"Authorization": key} if key else {}), **options.get("headers", {})}
        rest = {name: value for name, value in options.items() if name != "headers"}
        return self.http.request(method, self.url + path, headers=headers, timeout=20, allow_redirects=False, **rest)

    async def _start(self) -> None:
        app = make_app(self.settings, self.engine, self.bus, JOB_TYPES)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
