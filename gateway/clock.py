"""The store's time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Naive UTC, as every time in the store."""
    return datetime.now(UTC).replace(tzinfo=None)
