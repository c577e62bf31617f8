"""For those who watch: whether the process lives, whether it can do its work and if not why, and figures for Prometheus."""

from aiohttp import web

from gateway import queries
from gateway.answers import answer
from gateway.gauges import Snapshot, snapshot
from gateway.service import Service, service_of
from gateway.submission import Refused
from gateway.ui.bus_view import BUS_VIEW
from schemas.errors import StoreUnavailable
from schemas.metrics import CONTENT_TYPE

BUS_AWAY = "The bus cannot be reached; jobs are accepted into the outbox and published when it is back."


async def live(request: web.Request) -> web.Response:
    """`GET /health/live`: the event loop turns."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /health/ready`: whether the store and the bus are there.

    Do not let a load balancer go by it: without the bus jobs are accepted all the same. `/health/live` is for that.
    """
    service = service_of(request)
    checks = {"store": await _store_trouble(service), "bus": None if service.bus.connected else BUS_AWAY}
    told = {name: {"ok": trouble is None, "reason": trouble} for name, trouble in checks.items()}
    reasons = " ".join(trouble for trouble in checks.values() if trouble)
    if reasons:
        return answer({"status": "unavailable", "error": reasons, "checks": told}, status=503)
    return answer({"status": "ok", "checks": told})


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`, in Prometheus's text format."""
    service = service_of(request)
    if not service.settings.metrics:
        raise Refused("Not Found", 404)
    figures = service.metrics
    figures.connected.set(service.bus.connected)
    figures.streams.set(len(service.waiting))
    figures.gauges.show_queues(await request.app[BUS_VIEW].queues())
    figures.gauges.show(await _snapshot(service))
    return web.Response(body=figures.figures.text(), headers={"Content-Type": CONTENT_TYPE})


async def _snapshot(service: Service) -> Snapshot | None:
    try:
        return await service.store.read(snapshot)
    except StoreUnavailable:
        return None


async def _store_trouble(service: Service) -> str | None:
    try:
        await service.store.read(queries.answers)
    except StoreUnavailable as error:
        return error.message
    return None
