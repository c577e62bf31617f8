"""The dashboard's URL table, and what each of its requests passes through: the session, the form's token, errors as pages."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

import aiohttp_jinja2
from aiohttp import web
from jinja2 import FileSystemLoader, StrictUndefined

from gateway.service import SERVICE
from gateway.submission import Refused
from gateway.ui import actions, dead_letters, forms, login, pages, words
from gateway.ui.bus_view import BUS_VIEW, BusView
from gateway.ui.visit import HEADERS, MOUNT, Visit
from publisher.bus import Bus
from schemas.errors import BusError, StoreUnavailable
from schemas.settings import Settings, numbers
from schemas.topology import topology

Show = Callable[[Visit], Awaitable[web.Response]]
Change = Callable[[Visit, Mapping[str, str]], Awaitable[web.Response]]

PAGES: tuple[tuple[str, Show], ...] = (
    ("", pages.overview),
    ("/", pages.overview),
    ("/jobs", pages.jobs),
    ("/job/{job_id}", pages.job),
    ("/resource", pages.resource),
    ("/dead", dead_letters.jobs),
    ("/dead/callbacks", dead_letters.callbacks),
)
#: POST only.
CHANGES: tuple[tuple[str, Change], ...] = (
    ("/job/{job_id}/cancel", actions.cancel),
    ("/job/{job_id}/resubmit", actions.resubmit),
    ("/job/{job_id}/replay", actions.replay),
    ("/dead/replay", dead_letters.replay),
    ("/dead/purge", dead_letters.purge),
    ("/logout", login.leave),
)
FOLDER = Path(__file__).parent
STATIC = {"style.css": "text/css", "dashboard.js": "text/javascript", "icon.svg": "image/svg+xml"}
#: The address of a static file has its version in it.
KEPT = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
ASSETS = web.AppKey("assets", str)


def add_ui(app: web.Application, settings: Settings, bus: Bus, job_types: Iterable[str]) -> None:
    """Adds the dashboard to the gateway, at the root and under URL_PREFIX."""
    aiohttp_jinja2.setup(
        app,
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        filters=words.FILTERS,
    )
    delays = (*numbers(settings.retry_delays), *numbers(settings.callback_delays), settings.busy_delay)
    app[BUS_VIEW] = BusView(bus, topology(settings.vhost_prefix, job_types, delays))
    app[ASSETS] = _version()
    app.on_cleanup.append(_close)
    for prefix in {"", settings.url_prefix.rstrip("/")}:
        _add_routes(app.router, prefix + MOUNT)


def _add_routes(router: web.UrlDispatcher, mount: str) -> None:
    for path, show in PAGES:
        router.add_get(mount + path, partial(_shown, show))
    for path, change in CHANGES:
        router.add_post(mount + path, partial(_changed, change))
    router.add_get(mount + "/login", partial(_told, login.show))
    router.add_post(mount + "/login", _entered)
    router.add_get(mount + "/static/{name}", _static)
    router.add_get(mount + "/{rest:.*}", partial(_told, _nowhere))


async def _shown(show: Show, request: web.Request) -> web.StreamResponse:
    """A page that only the administrator sees; anybody else is asked to log in, and comes back."""
    visit = _visit(request)
    if not visit.session:
        return visit.see("login" + (f"?next={quote(visit.place, safe='')}" if visit.place else ""))
    return await _told(show, request)


async def _changed(change: Change, request: web.Request) -> web.StreamResponse:
    async def checked(visit: Visit) -> web.Response:
        fields = await forms.read(request)
        if not visit.session:
            raise Refused("You are not logged in (any more). Log in and try again.", 403)
        forms.check(fields, visit.service.settings.secret_key, visit.session)
        return await change(visit, fields)

    return await _told(checked, request)


async def _entered(request: web.Request) -> web.StreamResponse:
    async def checked(visit: Visit) -> web.Response:
        fields = await forms.read(request)
        forms.check(fields, visit.service.settings.secret_key, request.cookies.get(forms.LOGIN_COOKIE, ""))
        return await login.enter(visit, fields)

    return await _told(checked, request)


async def _told(show: Show, request: web.Request) -> web.StreamResponse:
    """What is refused becomes a page; a bug of ours is for `gateway.answers.edge`."""
    visit = _visit(request)
    try:
        return await show(visit)
    except Refused as error:
        return visit.message("Not possible" if error.status != 404 else "Not found", error.message, error.status)
    except StoreUnavailable as error:
        return visit.message("The store does not answer", error.message, 503)
    except BusError as error:
        return visit.message("The bus does not answer", error.message, 503)


async def _nowhere(visit: Visit) -> web.Response:
    raise Refused("There is no such page.", 404)


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in STATIC:
        return await _told(_nowhere, request)
    return web.FileResponse(FOLDER / "static" / name, headers={**KEPT, "Content-Type": STATIC[name]})


def _visit(request: web.Request) -> Visit:
    return Visit(request, request.app[SERVICE], request.app[BUS_VIEW], request.app[ASSETS])


def _version() -> str:
    digest = hashlib.sha256()
    for name in STATIC:
        digest.update((FOLDER / "static" / name).read_bytes())
    return digest.hexdigest()[:12]


async def _close(app: web.Application) -> None:
    app[BUS_VIEW].close()
