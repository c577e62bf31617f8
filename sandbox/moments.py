"""Date and time literals as PostgreSQL 15 reads them (DateStyle ISO, MDY; zone UTC): the ones files really hold.

Not modelled: BC and years over 9999, infinity, epoch, now and today, Julian days, zone names other than those in `_ZONES`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

_ZONES = {"Z": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "PST": -8, "CET": 1, "CEST": 2}
_ZONE = rf"(?P<z>{'|'.join(sorted(_ZONES, reverse=True))}|[+-]\d{{2}}(?::?\d{{2}})?)?"
_CLOCK = r"(?P<h>\d{1,2}):(?P<mi>\d{1,2})(?::(?P<s>\d{1,2})(?:\.(?P<f>\d*))?)?\s*(?P<ap>[ap]m)?"
_PACKED_CLOCK = r"(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)?(?:\.(?P<f>\d*))?(?P<ap>)"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[\s,]+)?"
_DATES = (
    r"(?P<y>\d{4,5})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    r"(?P<y>\d{4})([/.])(?P<m>\d{1,2})\2(?P<d>\d{1,2})",
    r"(?P<y>\d{4})[-.](?P<doy>\d{3})",
    r"(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{4}|\d{2})",
    _WEEKDAY + r"(?P<d>\d{1,2})[- ](?P<mon>[a-z]{3,9})[- ,]+(?P<y>\d{4}|\d{2})",
    _WEEKDAY + r"(?P<mon>[a-z]{3,9})[- ](?P<d>\d{1,2})[- ,]+(?P<y>\d{4}|\d{2})",
    r"(?P<y>\d{4})[- ](?P<mon>[a-z]{3,9})[- ](?P<d>\d{1,2})",
)
_PACKED_DATES = (r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)", r"(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)")
_FLAGS = re.IGNORECASE | re.ASCII
_MOMENTS = tuple(
    re.compile(rf"{day}(?:[T\s]\s*{clock}\s*{_ZONE})?", _FLAGS)
    for days, clock in ((_DATES + _PACKED_DATES, _CLOCK), (_PACKED_DATES, _PACKED_CLOCK))
    for day in days
)
_TIMES = tuple(re.compile(rf"{clock}\s*{_ZONE}", _FLAGS) for clock in (_CLOCK, _PACKED_CLOCK))
#: Digits alone are taken for a date that cannot be; a day's number for a date that lacks the rest.
_MAX_DAY = 31
_ONLY_DIGITS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PIVOT_YEAR = 70  # two-digit years: 70..99 are 19xx, 00..69 are 20xx

Parts = dict[str, str | None]


class NotAMoment(ValueError):
    """The text has no shape PostgreSQL knows."""


class OutOfRange(ValueError):
    """The shape is right, but there is no such day or hour."""


def parse_moment(text: str) -> datetime:
    """The moment *text* names; aware only when it names an offset. 24:00 and second 60 roll over.

    Raises NotAMoment or OutOfRange, as PostgreSQL tells the two apart.
    """
    parts = _parts(text)
    midnight = datetime.combine(_day(parts), time(), _zone(parts["z"]))
    return midnight + _clock(parts)


def parse_day(text: str) -> date:
    """The day *text* names; a time of day is checked and dropped. Raises as `parse_moment`."""
    parts = _parts(text)
    _clock(parts)
    return _day(parts)


def parse_time(text: str) -> time:
    """The time of day; an offset is read and dropped. Raises as `parse_moment`."""
    for shape in _TIMES:
        match = shape.fullmatch(text.strip())
        if match is not None:
            return (datetime.min + _clock(match.groupdict())).time()
    raise NotAMoment(text)


def in_utc(moment: datetime) -> datetime:
    """*moment* in UTC; a naive one is taken to be UTC already (the session's zone)."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parts(text: str) -> Parts:
    for shape in _MOMENTS:
        match = shape.fullmatch(text.strip())
        if match is not None:
            return match.groupdict()
    if _ONLY_DIGITS.fullmatch(text.strip()) and len(text.strip()) != len("2021") and not 1 <= float(text) <= _MAX_DAY:
        raise OutOfRange(text)
    clock = _TIMES[0].fullmatch(text.strip())
    if clock is not None:
        _clock(clock.groupdict())  # PostgreSQL looks at the hour before it misses the day
    raise NotAMoment(text)


def _clock(parts: Parts) -> timedelta:
    """The time since midnight, zero when there is none; 24:00:00 is allowed and is the next midnight."""
    hour, half = int(parts["h"] or 0), (parts["ap"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise OutOfRange(f"{hour} {half}")
    hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
    minute, second = int(parts["mi"] or 0), int(parts["s"] or 0)
    if minute > 59 or second > 60 or (hour, minute, second) > (24, 0, 0):
        raise OutOfRange(f"{hour}:{minute}:{second}")
    microsecond = round(float(f"0.{parts['f'] or 0}") * 1e6)
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _day(parts: Parts) -> date:
    year = int(parts["y"] or 0)
    if len(parts["y"] or "") == 2:
        year += 1900 if year >= _PIVOT_YEAR else 2000
    try:
        if parts.get("doy"):
            return datetime.strptime(f"{year:04}{parts['doy']}", "%Y%j").date()
        return date(year, _month(parts), int(parts["d"] or 0))
    except NotAMoment:
        raise
    except ValueError as error:
        raise OutOfRange(str(error)) from error


def _month(parts: Parts) -> int:
    name = parts.get("mon")
    if name is None:
        return int(parts["m"] or 0)
    if name[:3].lower() not in _MONTHS:
        raise NotAMoment(name)
    return _MONTHS.index(name[:3].lower()) + 1


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.upper() in _ZONES:
        return timezone(timedelta(hours=_ZONES[text.upper()]))
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
