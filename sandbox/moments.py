"""Date and time literals as PostgreSQL reads them (DateStyle ISO, MDY; zone UTC): the ones files really hold.

Not modelled: BC, infinity, epoch, "now", Julian days, zone names other than UTC and GMT.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

_ZONE = r"(?P<z>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
_TIME = rf"(?P<h>\d{{1,2}}):(?P<mi>\d{{2}})(?::(?P<s>\d{{2}})(?:\.(?P<f>\d*))?)?\s*(?P<ap>[ap]m)?\s*{_ZONE}"
_TIME_ONLY = re.compile(_TIME, re.IGNORECASE)
_DATES = (
    r"(?P<y>\d{4,5})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
    r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    r"(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{4}|\d{2})",
    r"(?P<d>\d{1,2})[- ](?P<mon>[A-Za-z]{3,9})[- ,]+(?P<y>\d{4}|\d{2})",
    r"(?P<mon>[A-Za-z]{3,9})[- ](?P<d>\d{1,2})[- ,]+(?P<y>\d{4}|\d{2})",
    r"(?P<y>\d{4})[- ](?P<mon>[A-Za-z]{3,9})[- ](?P<d>\d{1,2})",
)
_MOMENTS = tuple(re.compile(rf"{shape}(?:[T\s]\s*{_TIME})?", re.IGNORECASE) for shape in _DATES)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PIVOT_YEAR = 70  # two-digit years: 70..99 are 19xx, 00..69 are 20xx


class NotAMoment(ValueError):
    """The text has no shape PostgreSQL knows."""


class OutOfRange(ValueError):
    """The shape is right, but there is no such day or hour."""


def parse_moment(text: str) -> datetime:
    """The moment *text* names; aware only when it names an offset.

    Raises NotAMoment or OutOfRange, as PostgreSQL tells the two apart.
    """
    for shape in _MOMENTS:
        match = shape.fullmatch(text.strip())
        if match is not None:
            return _built(match.groupdict())
    clock = _TIME_ONLY.fullmatch(text.strip())
    if clock is not None:
        _clock(clock.groupdict())  # PostgreSQL looks at the hour before it misses the day
    raise NotAMoment(text)


def parse_time(text: str) -> time:
    """The time of day; an offset is read and dropped."""
    match = _TIME_ONLY.fullmatch(text.strip())
    if match is None:
        return parse_moment(text).time()
    return (datetime.min + _clock(match.groupdict())).time()


def in_utc(moment: datetime) -> datetime:
    """*moment* in UTC; a naive one is taken to be UTC already (the session's zone)."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _built(parts: dict[str, str | None]) -> datetime:
    midnight = datetime.combine(_day(parts), time(), _zone(parts["z"]))
    return midnight if parts["h"] is None else midnight + _clock(parts)


def _clock(parts: dict[str, str | None]) -> timedelta:
    """The time since midnight; 24:00:00 is allowed and is the next midnight."""
    hour, half = int(parts["h"] or 0), (parts["ap"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise OutOfRange(f"{hour} {half}")
    hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
    minute, second = int(parts["mi"] or 0), int(parts["s"] or 0)
    if minute > 59 or second > 60 or (hour, minute, second) > (24, 0, 0):
        raise OutOfRange(f"{hour}:{minute}:{second}")
    microsecond = int(((parts["f"] or "") + "000000")[:6])
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _day(parts: dict[str, str | None]) -> date:
    year = int(parts["y"] or 0)
    if len(parts["y"] or "") == 2:
        year += 1900 if year >= _PIVOT_YEAR else 2000
    try:
        return date(year, _month(parts), int(parts["d"] or 0))
    except ValueError as error:
        raise OutOfRange(str(error)) from error


def _month(parts: dict[str, str | None]) -> int:
    name = parts.get("mon")
    if name is None:
        return int(parts["m"] or 0)
    if name[:3].lower() not in _MONTHS:
        raise NotAMoment(name)
    return _MONTHS.index(name[:3].lower()) + 1


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
