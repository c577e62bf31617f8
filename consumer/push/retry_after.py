"""The header Retry-After: how long a server wants to be left alone."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None) -> float | None:
    """Seconds, whether *value* gives them or a date (RFC 9110, 10.2.3); None where it says nothing."""
    text = (value or "").strip()
    # `isdigit` alone would take `²` too, which float does not.
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
