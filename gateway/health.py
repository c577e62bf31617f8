"""For those who watch: whether the process lives, whether it can do its work and if not why, and figures for Prometheus."""

import time
from datetime import UTC

from aiohttp import web

from gateway import queries
from gateway.answers import answer
from gateway.metrics import CONTENT_TYPE
from gateway.service import Service, service_of
from gateway.submission import Refused
from schemas.errors import StoreUnavailable

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
    await _gauge(service)
    return web.Response(body=service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def _store_trouble(service: Service) -> str | None:
    try:
        await service.store.read(queries.answers)
    except StoreUnavailable as error:
        return error.message
    return None


async def _gauge(service: Service) -> None:
    figures = service.metrics
    figures.connected.set(service.bus.connected)
    try:
        counts = await service.store.read(queries.counts_by_state)
        depth, oldest = await service.store.read(queries.outbox_depth)
    except StoreUnavailable:
        figures.store_up.set(0)
        return
    figures.store_up.set(1)
    figures.outbox.set(depth)
    figures.outbox_age.set(0 if oldest is None else time.time() - oldest.replace(tzinfo=UTC).timestamp())
    for state, count in counts.items():
        figures.jobs.labels(state).set(count)
