"""Imported by every Python that finds it on its path: the wall clock is off by the seconds in the file FAULTS_CLOCK.

`time.monotonic` goes on as if nothing had happened, as the kernel's does when somebody sets the clock.
"""

import datetime
import os
import time

_PATH = os.environ.get("FAULTS_CLOCK", "")
_true_time = time.time


def _off_s() -> float:
    try:
        with open(_PATH) as file:
            return float(file.read() or 0)
    except OSError:
        return 0.0


class _AnyDatetime(type):
    """What C code makes are true datetimes, and must be taken for ours."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _TRUE)


class _Skewed(datetime.datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Skewed":
        return cls.fromtimestamp(_true_time() + _off_s(), tz)


_TRUE = datetime.datetime

if _PATH:
    time.time = lambda: _true_time() + _off_s()
    datetime.datetime = _Skewed  # type: ignore[misc]
