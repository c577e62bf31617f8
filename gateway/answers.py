"""HTTP answers: JSON in the two layouts the old service had, and refusals, which are always `{"error": "<string>"}`."""

import json
import logging
import re
import time
from collections.abc import Mapping

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.service import service_of
from gateway.submission import Refused
from schemas.errors import StoreUnavailable
from schemas.json_text import dump_json

logger = logging.getLogger(__name__)

#: Seconds after which a refused client may try again.
RETRY_AFTER_S = "2"
MIMETYPE = re.compile(r"[a-zA-Z0-9][\w.+-]{0,80}/[a-zA-Z0-9][\w.+-]{0,80}", re.ASCII)
HARMLESS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}


def answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON without blanks."""
    body = dump_json(value)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def sorted_answer(value: Mapping[str, object], headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON as Flask's `jsonify` writes it: keys sorted, a newline at the end."""
    body = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, headers=headers, content_type="application/json")


def raw_answer(data: object, mimetype: object) -> web.Response:
    """A job's bare result: text as it is, anything else as JSON. It may come from a stranger's file: no script in it runs."""
    text = data if isinstance(data, str) else json.dumps(data)
    if not isinstance(mimetype, str) or not MIMETYPE.fullmatch(mimetype):
        mimetype = "text/html" if isinstance(data, str) else "application/json"
    charset = "utf-8" if mimetype.startswith("text/") else None
    return web.Response(body=text.encode(), headers=HARMLESS, content_type=mimetype, charset=charset)


def refusal(message: object, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """CKAN reads `error` as text (ckanext/datapusher/logic/action.py), so everywhere but in `/data` it is text."""
    body = json.dumps({"error": message}).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The edge of every request: what is raised becomes a refusal, and what was answered is counted."""
    started = time.perf_counter()
    try:
        response = await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = refusal(_words(error), error.status, _kept_headers(error))
    except Exception as error:  # the last place before the client
        response = _refused(request, error)
    service_of(request).metrics.answered(request, response.status, time.perf_counter() - started)
    return response


def _refused(request: web.Request, error: Exception) -> web.StreamResponse:
    match error:
        case Refused():
            return refusal(error.message, error.status)
        case StoreUnavailable():
            return refusal(error.message, 503, {"Retry-After": RETRY_AFTER_S})
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return refusal("Internal error; see the gateway's log.", 500)


def _words(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "The request is too large; the limit is the setting DATAPUSHER_MAX_BODY"
    return error.reason


def _kept_headers(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
