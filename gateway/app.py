"""The gateway as an aiohttp application: its whole URL table, and what each request passes through."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp import web
from sqlalchemy import Engine

from gateway import health, jobs, listing, pages, stream
from gateway.answers import edge
from gateway.service import SERVICE, at_work
from gateway.ui.routes import add_ui
from publisher.bus import Bus
from publisher.watch import Watch
from schemas.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Every route; each is served at the root and under URL_PREFIX, with and without a slash at the end, never by a redirect:
#: a POST that is redirected arrives as a GET.
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", pages.index),
    ("GET", "/status", pages.status),
    ("GET", "/login", pages.login),
    ("POST", "/login", pages.login),
    ("GET", "/logout", pages.logout),
    ("GET", "/user", pages.user),
    ("GET", "/job", listing.listing),
    ("POST", "/job", jobs.submit),
    ("DELETE", "/job", listing.delete_old),
    ("GET", "/job/{job_id}", jobs.show),
    ("POST", "/job/{job_id}", jobs.submit),
    ("DELETE", "/job/{job_id}", jobs.delete),
    ("GET", "/job/{job_id}/data", jobs.data),
    ("GET", "/job/{job_id}/events", stream.events),
    ("GET", "/job/{job_id}/rejects.csv", jobs.rejects),
    ("POST", "/job/{job_id}/cancel", jobs.cancel),
    ("POST", "/job/{job_id}/resubmit", jobs.resubmit),
    ("GET", "/health/live", health.live),
    ("GET", "/health/ready", health.ready),
    ("GET", "/metrics", health.metrics),
    ("GET", "/openapi.json", pages.openapi),
    ("GET", "/asyncapi.json", pages.asyncapi),
)


def make_app(
    settings: Settings, engine: Engine, bus: Bus, job_types: Mapping[str, bool], watch: Watch | None = None
) -> web.Application:
    """The gateway. *job_types* says which of them are synchronous; `secret_key` and `password` of *settings* are not empty."""
    app = web.Application(middlewares=[edge], client_max_size=settings.max_body)
    for prefix in {"", settings.url_prefix.rstrip("/")}:
        for path in dict.fromkeys(path for _, path, _ in ROUTES):
            _add(app, prefix + path.rstrip("/"), {method: handler for method, of, handler in ROUTES if of == path})

    async def service(app: web.Application) -> AsyncIterator[None]:
        async with at_work(settings, engine, bus, job_types, watch or Watch()) as running:
            app[SERVICE] = running
            yield

    app.cleanup_ctx.append(service)
    add_ui(app, settings, bus, job_types)
    app.on_shutdown.append(_end_waiting)
    return app


def _add(app: web.Application, path: str, handlers: Mapping[str, Handler]) -> None:
    for written in (path, f"{path}/") if path else ("/",):
        resource = app.router.add_resource(written)
        for method, handler in handlers.items():
            resource.add_route(method, handler)
            if method == "GET" and handler is not stream.events:  # a stream has nothing but its body
                resource.add_route("HEAD", handler)


async def _end_waiting(app: web.Application) -> None:
    for task in list(app[SERVICE].waiting):
        task.cancel()
