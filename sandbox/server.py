"""`Sandbox`: a CKAN in this process, for tests and for the demo."""

import asyncio
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

from sandbox.call import Site
from sandbox.catalog import Catalog, Json, Upload
from sandbox.ckan import Ckan
from sandbox.datastore import Datastore
from sandbox.faults import Fault, Faults, Recorded
from sandbox.files import PlainFile, Shelf
from sandbox.refusals import NotFound
from sandbox.search import Query
from sandbox.tasks import DatapusherPlugin, Tasks, now

#: CKAN's web workers; more requests wait. Generous, since one may wait 5 s for DataPusher.
THREADS = 32
_ALL_ROWS = 2**31


@dataclass(frozen=True)
class TableView:
    """A table as datastore_search would give it, all rows: *fields* `[{id, type, info?}]` with `_id` first, *rows* dicts."""

    fields: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    @property
    def types(self) -> dict[str, str]:
        """{column: type} without `_id`."""
        return {str(field["id"]): str(field["type"]) for field in self.fields if field["id"] != "_id"}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


class Sandbox:
    """A small CKAN 2.12 with DataStore and datapusher plugin on a free port of 127.0.0.1; a context manager.

        with Sandbox(datapusher_url="http://127.0.0.1:8800/") as ckan:
            resource = ckan.add_resource(upload=("a.csv", b"x\\n1\\n"))     # CKAN submits it to DataPusher at once
            ckan.wait_for(resource["id"])                                  # until the callback
            ckan.table(resource["id"]).rows                                # [{"_id": 1, "x": 1}]

    Where it is
        url                  CKAN's site_url, no slash at the end
        token                the API token of its only user; goes bare into `Authorization`
        datapusher_url       where jobs are posted (ends in `/`); may be set later. None: nothing is posted, the task
                             becomes `pending` and the body of POST /job is kept in `submissions` only
    What is put in
        add_resource(...)    a resource (upload or link) in a dataset of its own -> the resource as CKAN shows it
        put_file(name, data) a file elsewhere, for links -> its URL;  redirect(name, to) -> a URL that answers 302
        replace_upload(...)  a new file for a resource: CKAN submits it again
        call(action, **p)    any action as the user, without HTTP -> its result; raises sandbox.refusals.Refusal
    What came of it
        table(id), has_table(id), task(id), status(id), wait_for(id)
        submissions          bodies of POST /job, as sent (or as they would have been)
        hooks                bodies of datapusher_hook that were accepted
        requests             every HTTP request seen (`Recorded`), `calls(action)` those of one action
        job_for(id)          the body of POST /job CKAN would send now, for driving a worker without a gateway
    What goes wrong
        fail(action, ...)    see `faults.Fault`; action is an API action, `download` (uploads), `files` (links) or `*`
        heal()               forgets the faults still waiting

    All methods may be called from any thread. Nothing outlives it.
    """

    def __init__(
        self,
        datapusher_url: str | None = None,
        token: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        database: str = ":memory:",
        callback_base: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.token = token or f"sandbox-{uuid.uuid4().hex}"
        self._socket = socket.create_server((host, port))
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://{host}:{self._socket.getsockname()[1]}"
        self._catalog = Catalog(self.url)
        self._datastore = Datastore(database)
        self._tasks = Tasks()
        base = callback_base or self.url
        self._plugin = DatapusherPlugin(self._catalog, self._tasks, self.token, datapusher_url, base)
        self._faults = Faults()
        self._shelf = Shelf()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox")
        site = Site(self._catalog, self._datastore, self._tasks, self._plugin)
        self._ckan = Ckan(site, self._shelf, self._faults, self.token, self._executor)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sandbox-http", daemon=True)

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> "Sandbox":
        """Serves from now on. The port is taken, and `url` right, since the constructor."""
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """Answers nothing any more; returns when all threads have ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._executor.shutdown()
        self._datastore.close()
        self._socket.close()

    @property
    def datapusher_url(self) -> str | None:
        return self._plugin.url

    @datapusher_url.setter
    def datapusher_url(self, url: str | None) -> None:
        self._plugin.url = url

    def add_resource(
        self,
        url: str | None = None,
        *,
        upload: tuple[str, bytes] | None = None,
        format: str = "CSV",
        name: str | None = None,
        private: bool = False,
        **more: object,
    ) -> dict[str, Any]:
        """A resource in a dataset of its own, linked (*url*) or uploaded (file name, content).

        CKAN submits it to DataPusher inside this call when *format* is a tabular one. *more*: further keys of the resource.
        """
        package = self._add_package(private)
        params: Json = {"package_id": package["id"], "name": name, "format": format, **more}
        if url is not None:
            params["url"] = url
        return dict(self.call("resource_create", upload, **params))

    def replace_upload(self, resource_id: str, name: str, data: bytes) -> dict[str, Any]:
        """A new file for the resource, as its publisher would upload it."""
        return dict(self.call("resource_patch", (name, data), id=resource_id))

    def put_file(self, name: str, data: bytes, headers: Mapping[str, str] | None = None) -> str:
        return self.url + self._shelf.put(name, PlainFile(data, dict(headers or {})))

    def redirect(self, name: str, to: str) -> str:
        return self.url + self._shelf.put(name, PlainFile(moved_to=to))

    def call(self, action: str, upload: tuple[str, bytes] | None = None, /, **params: object) -> Any:
        """*action* as the user. Not recorded, meets no faults. Raises Refusal; KeyError for an unknown action."""
        result = self._ckan.call(action, params, Upload(*upload) if upload else None)
        return json.loads(orjson.dumps(result))

    def table(self, resource_id: str, *, exact: bool = False) -> TableView:
        """All of the table, by `_id`. *exact*: numbers with a fraction as Decimal, not float. Raises LookupError."""
        try:
            page = self._datastore.search(self._datastore.find(resource_id), Query(limit=_ALL_ROWS, include_total=False))
        except NotFound as error:
            raise LookupError(f"resource {resource_id} has no table") from error
        fields = self.call("datastore_search", resource_id=resource_id, limit=0, include_total=False)["fields"]
        rows = json.loads(orjson.dumps(page.records), parse_float=Decimal if exact else float)
        return TableView(fields, rows)

    def has_table(self, resource_id: str) -> bool:
        return resource_id in self._datastore.tables

    def task(self, resource_id: str) -> dict[str, Any] | None:
        """CKAN's task_status row; None when the resource was never submitted."""
        try:
            return self._tasks.show(resource_id)
        except NotFound:
            return None

    def status(self, resource_id: str) -> dict[str, Any]:
        """datapusher_status: asks the service, as CKAN's DataStore tab does."""
        return dict(self.call("datapusher_status", resource_id=resource_id))

    def wait_for(self, resource_id: str, *states: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """The task, once its state is one of *states* (`complete`, `error` by default). Raises TimeoutError."""
        wanted = states or ("complete", "error")
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            task = self.task(resource_id)
            if task is not None and task["state"] in wanted:
                return task
            time.sleep(0.02)
        raise TimeoutError(f"task of {resource_id} is not {' or '.join(wanted)} after {timeout_s} s: {self.task(resource_id)}")

    def job_for(self, resource_id: str) -> dict[str, Any]:
        """The body of POST /job for this resource; `task_created` is the task's, or now."""
        sent = [job for job in self.submissions if job["metadata"]["resource_id"] == resource_id]
        return sent[-1] if sent else self._plugin.job_for(resource_id, now())

    @property
    def submissions(self) -> list[dict[str, Any]]:
        return list(self._plugin.submissions)

    @property
    def hooks(self) -> list[dict[str, Any]]:
        return list(self._plugin.hooks)

    @property
    def requests(self) -> list[Recorded]:
        return self._faults.requests()

    def calls(self, action: str) -> list[Recorded]:
        """The requests of one action, oldest first."""
        return [request for request in self.requests if request.action == action]

    def forget_requests(self) -> None:
        self._faults.forget()

    def fail(self, action: str, status: int | None = 500, times: int = 1, **how: Any) -> None:
        """The next *times* calls of *action* go wrong; *how* as in `faults.Fault` (body, delay_s, drop, after, skip, …)."""
        self._faults.add(Fault(action, status, times, **how))

    def heal(self) -> None:
        self._faults.clear()

    def _add_package(self, private: bool) -> dict[str, Any]:
        params: Json = {"name": f"dataset-{uuid.uuid4().hex[:12]}", "private": private}
        if private:
            params["owner_org"] = self.call("organization_create", name=f"org-{uuid.uuid4().hex[:12]}")["id"]
        return dict(self.call("package_create", **params))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._ckan.app(), access_log=None, shutdown_timeout=0.2)
        self._loop.run_until_complete(self._listen(runner))
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    async def _listen(self, runner: web.AppRunner) -> None:
        await runner.setup()
        await web.SockSite(runner, self._socket, ssl_context=self._tls).start()
