"""The files a CKAN serves: uploads of resources, and plain files on some other site."""

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from mimetypes import guess_type
from urllib.parse import quote

from aiohttp import web

from sandbox.catalog import Catalog, Upload
from sandbox.refusals import NotFound


@dataclass(frozen=True)
class PlainFile:
    """A file under `/files/`; *moved_to* makes it a redirect instead."""

    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    moved_to: str | None = None
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


class Shelf:
    """The plain files by name; thread-safe, changed while the server runs."""

    def __init__(self) -> None:
        self._files: dict[str, PlainFile] = {}
        self._lock = threading.Lock()

    def put(self, name: str, file: PlainFile) -> str:
        """Serves *file* under the path returned."""
        with self._lock:
            self._files[name] = file
        return f"/files/{quote(name)}"

    def get(self, name: str) -> PlainFile | None:
        with self._lock:
            return self._files.get(name)


def answer_plain(request: web.Request, shelf: Shelf) -> web.StreamResponse:
    """GET /files/<name>"""
    file = shelf.get(request.match_info["name"])
    if file is None:
        return web.Response(status=404, text="no such file")
    if file.moved_to is not None:
        return web.Response(status=302, headers={"Location": file.moved_to})
    return _file_answer(request, Upload(request.match_info["name"], file.data, file.modified), file.headers)


def answer_upload(request: web.Request, catalog: Catalog, *, authorized: bool) -> web.StreamResponse:
    """GET /dataset/<pid>/resource/<rid>/download/<name>

    CKAN ignores <name>; it answers 403 with an HTML page for a private resource, and a linked one is a redirect.
    """
    resource_id = request.match_info["resource"]
    try:
        resource = catalog.resource(resource_id)
    except NotFound:
        return web.Response(status=404, text="<!DOCTYPE html>\n<h1>404 Not Found</h1>", content_type="text/html")
    if catalog.is_private(resource_id) and not authorized:
        return web.Response(status=403, text="<!DOCTYPE html>\n<h1>403 Forbidden</h1>", content_type="text/html")
    upload = catalog.uploads.get(resource_id)
    if upload is None:
        return web.Response(status=302, headers={"Location": str(resource["url"])})
    return _file_answer(request, upload, {"Content-Disposition": f"inline; filename={upload.name}"})


def _file_answer(request: web.Request, upload: Upload, headers: dict[str, str]) -> web.Response:
    etag = f'"{hashlib.md5(upload.data, usedforsecurity=False).hexdigest()}"'
    common = {"ETag": etag, "Last-Modified": format_datetime(upload.modified, usegmt=True), **headers}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=common)
    common.setdefault("Content-Type", guess_type(upload.name)[0] or "application/octet-stream")
    return web.Response(body=upload.data, headers=common)
