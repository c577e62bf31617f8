"""The sandbox as a web application: CKAN's URLs, its envelope round each answer, and the sandbox's own admin URLs."""

import asyncio
import json
import logging
from collections.abc import Mapping
from concurrent.futures import Executor

import orjson
from aiohttp import BodyPartReader, web
from aiohttp.typedefs import Handler, Middleware

from sandbox.actions import Actions
from sandbox.call import Call, Caller, Site
from sandbox.catalog import Upload
from sandbox.faults import KEPT_BODY_BYTES, Fault, Faults, Recorded
from sandbox.files import Shelf, answer_plain, answer_upload
from sandbox.refusals import BadRequest, InternalError, Refusal

logger = logging.getLogger(__name__)

#: CKAN and Flask set no limit of their own on a body.
MAX_BODY_BYTES = 2**31
_HEADERS = {"Cache-Control": "public, max-age=0, must-revalidate", "Vary": "Cookie"}
_JSON = "application/json;charset=utf-8"


class Ckan:
    """Answers requests for one site. Actions run in *executor*, since they wait for SQLite and for DataPusher."""

    def __init__(self, site: Site, shelf: Shelf, faults: Faults, token: str, executor: Executor) -> None:
        self._site = site
        self._actions = Actions(site)
        self._shelf = shelf
        self._faults = faults
        self._token = token
        self._executor = executor

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_meddling(self._faults)], client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/api/3", self._version),
                web.route("*", "/api/3/action/{action}", self._act),
                web.route("*", "/api/action/{action}", self._act),
                web.get("/dataset/{package}/resource/{resource}/download/{name}", self._download),
                web.get("/files/{name}", self._file),
                web.get("/sandbox/requests", self._list_requests),
                web.post("/sandbox/faults", self._add_fault),
                web.delete("/sandbox/faults", self._clear_faults),
            ]
        )
        return app

    def call(self, action: str, params: Mapping[str, object], upload: Upload | None = None) -> object:
        """One action, called from inside as the user. Raises Refusal."""
        return self._run(action, Call(Caller(authorized=True), params, upload))

    def _run(self, action: str, call: Call) -> object:
        work = self._actions.reads.get(action) or self._actions.writes[action]
        try:
            return work(call)
        except Refusal:
            raise
        except Exception as error:  # the edge of a request: CKAN answers 500 for whatever it did not foresee
            logger.info("%s broke as CKAN's would: %r", action, error)
            raise InternalError from error

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": 3})

    async def _act(self, request: web.Request) -> web.Response:
        action = request.match_info["action"]
        try:
            self._check_method(request, action)
            call = await self._read_call(request)
        except BadRequest as refusal:
            return web.json_response(f"Bad request: {refusal.reason}", status=400)
        # "127.0.0.1:5000" and the like come from the site's URL, not from the request
        help_url = f"{self._site.catalog.site_url}/api/3/action/help_show?name={action}"
        loop = asyncio.get_running_loop()
        status, body = await loop.run_in_executor(self._executor, self._answer, action, call, help_url)
        return web.Response(status=status, body=body, headers={**_HEADERS, "Content-Type": _JSON})

    def _answer(self, action: str, call: Call, help_url: str) -> tuple[int, bytes]:
        try:
            result = self._run(action, call)
        except Refusal as refusal:
            return refusal.status, orjson.dumps({"help": help_url, "error": refusal.error, "success": False})
        return 200, orjson.dumps({"help": help_url, "success": True, "result": result})

    def _check_method(self, request: web.Request, action: str) -> None:
        if action not in self._actions.reads and action not in self._actions.writes:
            raise BadRequest(f"Action name not known: {action}")
        if request.method == "GET" and action not in self._actions.reads:
            raise BadRequest("JSON Error: Invalid request. Please use POST method for your request")

    async def _read_call(self, request: web.Request) -> Call:
        caller = Caller(self._is_authorized(request))
        if request.method == "GET":
            return Call(caller, dict(request.query))
        if request.content_type == "multipart/form-data":
            params, upload = await _read_form(request)
            return Call(caller, params, upload)
        return Call(caller, _parsed(await request.read()))

    def _is_authorized(self, request: web.Request) -> bool:
        """The token must stand alone in the header: `Bearer x` is nobody's token."""
        return request.headers.get("Authorization") == self._token

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return answer_upload(request, self._site.catalog, authorized=self._is_authorized(request))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return answer_plain(request, self._shelf)

    async def _list_requests(self, request: web.Request) -> web.Response:
        seen = [{"method": one.method, "path": one.path, "size_bytes": one.size_bytes} for one in self._faults.requests()]
        return web.json_response(seen)

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            self._faults.add(Fault.from_json(await request.json()))
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"success": True})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({"success": True})


def _meddling(faults: Faults) -> Middleware:
    """Writes each request down and lets the faults happen."""

    @web.middleware
    async def meddle(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/sandbox/"):
            return await handler(request)
        action = _action_of(request)
        faults.record(await _recorded(request, action))
        fault = faults.take(action)
        return await handler(request) if fault is None else await _suffer(fault, request, handler)

    return meddle


async def _suffer(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    await asyncio.sleep(fault.delay_s)
    if fault.cut_after_bytes is not None:
        return await _cut(await handler(request), fault.cut_after_bytes, request)
    if fault.after:
        await handler(request)
    if fault.drop:
        _hang_up(request)
        return web.Response()
    if fault.status is None:
        return await handler(request)
    return web.Response(status=fault.status, body=fault.payload(), headers={"Content-Type": _JSON, **fault.headers})


async def _cut(whole: web.StreamResponse, length: int, request: web.Request) -> web.StreamResponse:
    body = bytes(whole.body) if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else b""
    part = web.StreamResponse(headers={"Content-Type": whole.content_type, "Content-Length": str(len(body))})
    await part.prepare(request)
    await part.write(body[:length])
    _hang_up(request)
    return part


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


async def _recorded(request: web.Request, action: str) -> Recorded:
    """The body of an upload is left to the handler: it can be read only once."""
    is_form = request.content_type == "multipart/form-data"
    body = b"" if is_form else await request.read()
    size = int(request.headers.get("Content-Length", "0")) if is_form else len(body)
    return Recorded(request.method, request.path_qs, action, dict(request.headers), body[:KEPT_BODY_BYTES], size)


def _action_of(request: web.Request) -> str:
    info = request.match_info
    if "action" in info:
        return info["action"]
    return "download" if "resource" in info else "files" if "name" in info else request.path


def _parsed(body: bytes) -> dict[str, object]:
    try:
        data = json.loads(body or b"{}")  # not orjson: it knows no NaN and cuts long numbers
    except ValueError:
        raise BadRequest("JSON Error: Error decoding JSON data.") from None
    if not isinstance(data, dict):
        raise BadRequest(f"JSON Error: Request data JSON decoded to {data!r} but it needs to be a dictionary.")
    return data


async def _read_form(request: web.Request) -> tuple[dict[str, object], Upload | None]:
    params: dict[str, object] = {}
    upload: Upload | None = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            continue
        data = bytes(await part.read())
        if part.filename:
            upload = Upload(part.filename, data)
        else:
            params[part.name] = data.decode()
    return params, upload
