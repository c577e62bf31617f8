"""What a process shows of itself to those who watch: figures and traces, passed to each role as one value."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from publisher.tracing import Tracer, Untraced
from schemas.metrics import Figures

logger = logging.getLogger(__name__)

#: One of them has to be set for traces to be sent.
WHERE_TO = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")


@dataclass(frozen=True)
class Watch:
    """By default everything is counted and nothing is traced."""

    figures: Figures = field(default_factory=Figures)
    tracer: Tracer = field(default_factory=Untraced)


def start_tracing(environ: Mapping[str, str], role: str) -> Tracer:
    """What the OTEL_… variables in *environ* ask for; *role* tells the processes of one service apart."""
    if not _wanted(environ):
        return Untraced()
    try:
        from publisher.otel import otlp_tracer
    except ImportError:
        logger.warning(
            "traces are configured (%s), but OpenTelemetry is not installed: pip install data-pusher[otel]", WHERE_TO
        )
        return Untraced()
    return otlp_tracer(environ, role)


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return False
    return any(environ.get(name) for name in WHERE_TO)
