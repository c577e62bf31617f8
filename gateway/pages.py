"""The small routes of CKAN Service Provider: help, status, and the administrator's login."""

from pathlib import Path

from aiohttp import web

from gateway import auth, queries
from gateway.answers import refusal, sorted_answer
from gateway.auth import COOKIE, SESSION_S
from gateway.queries import STATES_OF_STATUS
from gateway.service import Service, service_of
from gateway.submission import Refused
from schemas import documents

#: Word for word what the old service said, up to the address.
HELP = "\n        Get help at:\n        http://ckan-service-provider.readthedocs.org/."
VERSION = 0.1
ADMINISTRATOR = {"id": "0", "name": "Admin", "is_active": True, "is_anonymous": False}
NOBODY = {"id": None, "name": "Anonymous", "is_active": False, "is_anonymous": True}
OPENAPI = Path(__file__).parent.parent / "schemas" / "openapi.json"


async def index(request: web.Request) -> web.Response:
    return sorted_answer({"help": HELP})


async def status(request: web.Request) -> web.Response:
    """`GET /status`."""
    service = service_of(request)
    counts = await service.store.read(queries.counts_by_state)
    stats = {status: sum(counts[state] for state in states) for status, states in STATES_OF_STATUS.items()}
    return sorted_answer(
        {"version": VERSION, "job_types": sorted(service.job_types), "name": service.settings.name, "stats": stats}
    )


async def user(request: web.Request) -> web.Response:
    """`GET /user`: who the session belongs to."""
    return sorted_answer(ADMINISTRATOR if service_of(request).doorman.has_session(request) else NOBODY)


async def login(request: web.Request) -> web.Response:
    """`GET|POST /login`: basic credentials, or a form's."""
    service = service_of(request)
    form = await _form(request) if request.method == "POST" else None
    if service.doorman.has_session(request):
        return _redirect(request)
    address = request.remote or ""
    if wait_s := service.doorman.throttle.wait_s(address):
        words = "Too many failed logins; wait a few minutes."
        return refusal(words, 429, {"Retry-After": str(int(wait_s) + 1)})
    given = auth.basic_credentials(request.headers) or form
    if given is None or not all(given):
        return _unknown("No username or password.")
    if not service.doorman.knows(*given):
        service.doorman.throttle.failed(address)
        return _unknown("Wrong username or password.")
    service.doorman.throttle.succeeded(address)
    return _logged_in(request, service)


async def logout(request: web.Request) -> web.Response:
    response = _redirect(request)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
    return response


async def openapi(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(OPENAPI, headers={"Content-Type": "application/json"})


async def asyncapi(request: web.Request) -> web.Response:
    return web.json_response(documents.asyncapi())


async def _form(request: web.Request) -> tuple[str, str]:
    """User name and password of a posted form. Raises: Refused, 400 where they are not in it."""
    try:
        fields = await request.post()
    except (ValueError, LookupError, web.RequestPayloadError):
        fields = None
    username, password = (fields.get("username"), fields.get("password")) if fields else (None, None)
    if not isinstance(username, str) or not isinstance(password, str):
        if auth.basic_credentials(request.headers):
            return "", ""
        raise Refused("The form needs the fields username and password.", 400)
    return username, password


def _logged_in(request: web.Request, service: Service) -> web.Response:
    response = _redirect(request)
    https = request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    cookie = service.doorman.sessions.new()
    response.set_cookie(COOKIE, cookie, path="/", max_age=SESSION_S, httponly=True, samesite="Lax", secure=https)
    return response


def _redirect(request: web.Request) -> web.Response:
    """To `next` if that is a path of this server, else to /user."""
    target = auth.local_path(request.query.get("next", ""))
    here = request.path.rstrip("/").rpartition("/")[0]
    return web.Response(status=302, headers={"Location": target or f"{here}/user"})


def _unknown(reason: str) -> web.Response:
    """The old service's words, in its text/html: a browser asks for a password then."""
    text = f"Could not verify your access level for that URL.\n {reason}"
    headers = {"WWW-Authenticate": 'Basic realm="Login Required"'}
    return web.Response(text=text, status=401, headers=headers, content_type="text/html")
