"""Traces: how a job's way from the request over the message to its stages is told to whoever collects spans.

The context travels as the header `traceparent` (https://www.w3.org/TR/trace-context/), with or without a collector. Spans are
made where OpenTelemetry is installed (`pip install data-pusher[otel]`) and its usual variables say where to send them
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/); otherwise nothing of it is imported.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

from publisher.bus import Message

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


Fact = str | int | float | bool


class Span(Protocol):
    """Something that takes time, while it lasts."""

    #: The context for what comes after it; that of its parent where nothing is traced.
    traceparent: str

    def note(self, **facts: Fact) -> None:
        """Facts known only now, as `datapusher.<name>`."""

    def fail(self, why: str) -> None:
        """It did not end well."""

    def stage(self, name: str, started_s: float, seconds: float) -> None:
        """A part of it that is over; *started_s* in seconds since 1970."""


class Tracer(Protocol):
    def span(
        self, name: str, kind: Literal["server", "consumer", "client"], parent: str, **facts: Fact
    ) -> AbstractContextManager[Span]:
        """A span around the block, child of the context *parent* ("" or nonsense for none). An exception makes it fail."""

    def close(self) -> None:
        """Sends what was not sent yet."""


class Untraced:
    """Makes no spans, and passes contexts on."""

    @contextmanager
    def span(
        self, name: str, kind: Literal["server", "consumer", "client"], parent: str, **facts: Fact
    ) -> Iterator["UntracedSpan"]:
        yield UntracedSpan(parent)

    def close(self) -> None:
        pass


class UntracedSpan:
    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def note(self, **facts: Fact) -> None:
        pass

    def fail(self, why: str) -> None:
        pass

    def stage(self, name: str, started_s: float, seconds: float) -> None:
        pass


def context_of(message: Message) -> str:
    """The trace context that *message* carries; "" for none."""
    value = message.headers.get("traceparent")
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else ""


def trace_id(traceparent: str) -> str:
    """The id that all spans of one job share; "" for none."""
    return traceparent[3:35] if TRACEPARENT.fullmatch(traceparent) else ""
