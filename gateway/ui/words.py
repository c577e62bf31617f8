"""How values are written in pages: times, durations, numbers, secrets. Filters of the templates."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from gateway.clock import now
from schemas.messages import Json

MASK = "•••"
SECRET_KEY = re.compile(r"api_?key|token|password|passwd|secret|authorization|credential|job_key|cookie", re.IGNORECASE)
#: A password, or a name and password, in a URL; a key or signature in its query.
IN_URL = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]*(?=@)")
IN_QUERY = re.compile(
    r"([?&](?:[\w-]*token|[\w-]*api_?key|key|sig|[\w-]*signature|password|secret|x-amz-credential)=)[^&#\s\"']+", re.IGNORECASE
)
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def moment(value: datetime | None) -> str:
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def machine_time(value: datetime | None) -> str:
    """For <time datetime>."""
    return "" if value is None else value.isoformat(timespec="seconds") + "Z"


def span(seconds: float | None) -> str:
    """A duration in at most two units: `0.4 s`, `12 s`, `3 min 20 s`, `2 d 4 h`."""
    if seconds is None:
        return ""
    if seconds < 0.95:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), list[tuple[int, str]]()
    for unit, size in UNITS:
        if left >= size or (parts and left):
            parts.append((left // size, unit))
            left %= size
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def ago(value: datetime | None) -> str:
    """How long ago, in one unit."""
    if value is None:
        return ""
    seconds = (now() - value).total_seconds()
    if seconds < 1:
        return "just now"
    unit, size = next((unit, size) for unit, size in UNITS if seconds >= size)
    return f"{seconds // size:.0f} {unit} ago"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds; clocks of two machines may differ, so never less than none."""
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)


def number(value: object) -> str:
    """With commas between thousands; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def count(amount: int, noun: str) -> str:
    """`1 job`, `1,204 jobs`."""
    return f"{amount:,} {noun}" + ("" if amount == 1 else "s")


def size(value: object) -> str:
    """Bytes in the largest unit that leaves 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    amount = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:,.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def capped(count: int, limit: int) -> str:
    return f"{limit:,} or more" if count >= limit else f"{count:,}"


def host(url: str | None) -> str:
    """What of a CKAN's URL tells it from others."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return hidden(url)
    return (parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")) or hidden(url)


def file_name(url: str) -> str:
    """The last part of a URL's path."""
    path = url.partition("?")[0].partition("#")[0].rstrip("/")
    return unquote(path.rpartition("/")[2]) or hidden(url)


def hidden(text: str | None) -> str:
    """The text without passwords and keys that stand in URLs."""
    return IN_QUERY.sub(rf"\1{MASK}", IN_URL.sub(MASK, text)) if text else ""


def masked(value: Json) -> Json:
    """The value without what looks like a secret, at any depth."""
    if isinstance(value, Mapping):
        return {key: MASK if SECRET_KEY.search(key) and each else masked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return hidden(value) if isinstance(value, str) else value


def pretty(value: Json) -> str:
    """As JSON, indented, secrets masked."""
    return orjson.dumps(masked(value), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode("utf-8", "replace")


def pretty_body(body: str) -> str:
    """A message's body: JSON as `pretty`, anything else as it is without secrets in URLs."""
    try:
        return pretty(orjson.loads(body))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return hidden(body)


FILTERS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (moment, machine_time, span, ago, number, size, capped, host, file_name, hidden, masked, pretty, pretty_body)
}
