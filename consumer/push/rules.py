"""The one table of type rules (tables.md §7): which texts are which type.

Every rule is one regular expression over the whole, trimmed cell. They use nothing but groups, classes, alternation
and counted repeats, so that Rust's engine (Polars, linear time), Python's `re` and PostgreSQL read them alike. Dates
are checked against the calendar by the expression itself: 29 February matches in leap years only.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import permutations

from consumer.push.layouts import Layout

#: Digits that a number may have, leading zero and both sides of the mark together.
MOST_DIGITS = 38

#: What groups thousands where white space does: space, no-break space, narrow no-break space, thin space.
GROUPING_SPACES = " \u00a0\u202f\u2009"


@dataclass(frozen=True)
class Rule:
    """One way to be of a type.

    name      unique.
    rich      the type that a column gets if the rule fits all its values.
    family    rules of which a column can have one: `boolean`, `number`, `date`, `time`.
    pattern   without anchors; matched against the whole cell.
    within    names of rules whose texts all fit this rule too: they are tried first, and only their misfits here.
    what      plural for people: `numbers`.
    mark      decimal mark of a localised number; grouping = characters that group its thousands.
    layout    of dates.
    proof     pattern of a text that proves a localised number's mark, or None: nothing to prove.
    """

    name: str
    rich: str
    family: str
    pattern: str
    what: str
    within: tuple[str, ...] = ()
    mark: str = "."
    grouping: str = ""
    layout: Layout | None = None
    proof: str | None = None

    @property
    def anchored(self) -> str:
        return f"^(?:{self.pattern})$"

    @cached_property
    def matcher(self) -> re.Pattern[str]:
        return _compiled(self.pattern)

    @cached_property
    def begins(self) -> frozenset[str] | None:
        """Characters that its texts begin with, as far as that is known: most texts are told from it by one look."""
        if self.family == "number":
            return frozenset("+-.,0123456789")
        if self.family == "time" or (self.layout and not self.layout.strptime):
            named = self.layout is not None and self.layout.month_name and self.layout.order == "mdy"
            return frozenset("JFMASONDjfmasond" if named else "0123456789")
        if self.family == "boolean" and "/" in self.name:
            return frozenset(letter for word in self.name.split("/") for letter in (word[0], word[0].upper()))
        return None

    @cached_property
    def holds(self) -> str:
        """What each of its texts has in it."""
        return self.layout.separator if self.layout else ":" if self.family == "time" else ""

    def may_fit(self, initials: Collection[str], marks: Collection[str]) -> bool:
        """Whether any text can fit it that begins with one of *initials* and has none of MARKS but these *marks* in it."""
        return (self.holds in marks or not self.holds) and (self.begins is None or not self.begins.isdisjoint(initials))

    def fits(self, text: str) -> bool:
        """For single values; many go through Polars (values.py)."""
        return self.matcher.fullmatch(text) is not None and (self.family != "number" or few_digits(text))

    def fitting(self, texts: Sequence[str]) -> int:
        """How many of *texts* fit."""
        fit = list(filter(self.matcher.fullmatch, self._likely(texts)))
        if self.family == "number" and max(map(len, fit), default=0) > MOST_DIGITS:
            return sum(map(few_digits, fit))
        return len(fit)

    def _likely(self, texts: Sequence[str]) -> Sequence[str]:
        """Those that a look at their first character and for a mark does not rule out."""
        begins, holds = self.begins, self.holds
        if begins is not None:
            texts = [one for one in texts if one[:1] in begins]
        return [one for one in texts if holds in one] if holds else texts


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def few_digits(text: str) -> bool:
    """No more than MOST_DIGITS, the exponent's not counted."""
    return (
        len(text) <= MOST_DIGITS
        or sum(character.isdigit() for character in re.split("[eE]", text, maxsplit=1)[0]) <= MOST_DIGITS
    )


# ------------------------------------------------------------------------------------------------------------ numbers

_SIGN = "[+-]?"
_EXPONENT = "(?:[eE][+-]?[0-9]{1,3})?"
_WHOLE = "(?:0|[1-9][0-9]*)"
_INTEGER = f"{_SIGN}{_WHOLE}"
_DECIMAL = rf"{_SIGN}(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+){_EXPONENT}"


def _localised(name: str, mark: str, grouping: str, within: tuple[str, ...]) -> Rule:
    """A decimal *mark* and a *grouping* character class; `1,234.5` for `.` and `,`."""
    point, group = re.escape(mark), f"[{re.escape(grouping)}]"
    several = f"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})"
    pattern = f"{_SIGN}(?:(?:{_WHOLE}|{several}+)(?:{point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"
    proofs = [f"{several}+{point}[0-9]*", f"{several}{{2,}}"]
    if mark == ",":
        digits = "(?:[0-9]{0,2}|[0-9]{4,})"
        proofs.append(f"{_WHOLE}?{point}{digits}")
    proof = f"{_SIGN}(?:{'|'.join(proofs)}){_EXPONENT}"
    return Rule(name, "decimal", "number", pattern, "numbers", within, mark, grouping, proof=proof)


# -------------------------------------------------------------------------------------------------------------- dates

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_LONG = {1, 3, 5, 7, 8, 10, 12}
_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
#: East of UTC the first year is none and west of it the last one: UTC might have the moment in the year 0 or 10000.
_YEAR_EAST = _YEAR.replace("000[1-9]", "000[2-9]")
_YEAR_WEST = "(?:[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8]|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_BY_FOUR = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_BY_FOUR}|{_BY_FOUR}00)"
_SHORT_LEAP_YEAR = f"(?:00|{_BY_FOUR})"


def any_case(word: str) -> str:
    """`jan` -> `[Jj][Aa][Nn]`. Not `(?i)`: it would let `ſ` pass for `s`."""
    return "".join(f"[{letter.upper()}{letter.lower()}]" for letter in word)


def month_pattern(numbers: Iterable[int], named: bool) -> str:
    if not named:
        return "(?:" + "|".join(f"0?{one}" if one < 10 else str(one) for one in numbers) + ")"
    names = (_MONTHS[one - 1] for one in numbers)
    return "(?:" + "|".join(f"{any_case(one[:3])}(?:{any_case(one[3:])})?".replace("(?:)?", "") for one in names) + ")"


def date_pattern(layout: Layout, years: str = _YEAR) -> str:
    """The date part, right by the calendar."""
    cases = _calendar(layout.month_name, short_year=layout.month_name, long_year=True, years=years)
    return "(?:" + "|".join(_joined(layout, case) for case in cases) + ")"


def _calendar(month_name: bool, *, short_year: bool, long_year: bool, years: str = _YEAR) -> list[dict[str, str]]:
    """Patterns of day, month and year that may stand together."""
    year = "|".join([years] * long_year + ["[0-9]{2}"] * short_year)
    leap = "|".join([_LEAP_YEAR] * long_year + [_SHORT_LEAP_YEAR] * short_year)
    every = range(1, 13)
    cases = (
        ("(?:0?[1-9]|1[0-9]|2[0-8])", every, year),
        ("(?:29|30)", [one for one in every if one != 2], year),
        ("31", [one for one in every if one in _LONG], year),
        ("29", [2], leap),
    )
    return [{"d": day, "m": month_pattern(months, month_name), "y": f"(?:{some})"} for day, months, some in cases]


def _joined(layout: Layout, case: dict[str, str]) -> str:
    if layout.order == "mdy" and layout.month_name:
        return f"{case['m']} {case['d']}, {case['y']}"
    return re.escape(layout.separator).join(case[part] for part in layout.order)


_MINUTES = "[0-5][0-9]"
_SECONDS = r"(?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
TIME = f"(?:[01]?[0-9]|2[0-3]):{_MINUTES}{_SECONDS}"
_MERIDIEM_TIME = f"(?:0?[1-9]|1[0-2]):{_MINUTES}{_SECONDS} ?[AaPp][Mm]"
_OFFSET = f"(?:0[0-9]|1[0-5])(?::?{_MINUTES})?"
_UTC = "(?: ?(?:Z|[+-]00(?::?00)?))"
_CLOCK = f"(?:T| )(?:{TIME}|{_MERIDIEM_TIME})"

LAYOUTS = (
    Layout("ymd", "-"),
    Layout("ymd", "/"),
    Layout("dmy", "/"),
    Layout("mdy", "/"),
    Layout("dmy", "."),
    Layout("dmy", "-"),
    Layout("mdy", "-"),
    Layout("dmy", " ", month_name=True),
    Layout("dmy", "-", month_name=True),
    Layout("mdy", " ", month_name=True),
)


def _dates(layout: Layout) -> tuple[Rule, Rule]:
    name = f"{layout.order}{layout.separator}{'mon' if layout.month_name else ''}"
    day = date_pattern(layout)
    date = Rule(f"date {name}", "date", "date", day, "dates", layout=layout)
    moment = replace(layout, time=True)
    east, west = date_pattern(layout, _YEAR_EAST), date_pattern(layout, _YEAR_WEST)
    pattern = f"(?:{day}(?:{_CLOCK}{_UTC}?)?|{east}{_CLOCK} ?[+]{_OFFSET}|{west}{_CLOCK} ?-{_OFFSET})"
    return date, Rule(f"moment {name}", "timestamp", "date", pattern, "timestamps", (date.name,), layout=moment)


# -------------------------------------------------------------------------------------------------- the table of rules


def _pair(one: str, other: str) -> Rule:
    pattern = f"{any_case(one)}|{any_case(other)}"
    return Rule(f"{one}/{other}", "boolean", "boolean", pattern, f"{one} or {other}")


#: In the order of tables.md §7: of several that fit a whole column the first wins.
RULES: tuple[Rule, ...] = (
    _pair("true", "false"),
    _pair("yes", "no"),
    _pair("t", "f"),
    _pair("y", "n"),
    Rule("integer", "integer", "number", _INTEGER, "integers"),
    Rule("decimal", "decimal", "number", _DECIMAL, "numbers", ("integer",)),
    _localised("1,234.5", ".", ",", ("integer", "decimal")),
    _localised("1.234,5", ",", ".", ("integer",)),
    _localised("1 234,5", ",", GROUPING_SPACES, ("integer",)),
    _localised("1 234.5", ".", GROUPING_SPACES, ("integer", "decimal")),
    *(rule for layout in LAYOUTS for rule in _dates(layout)),
    Rule("time", "time", "time", TIME, "times"),
)

#: What texts of one rule or another have in them.
MARKS = frozenset(rule.holds for rule in RULES if rule.holds)


def forced_rule(rich: str) -> Rule | None:
    """The rule that values of a forced type must fit; None for text, which everything is. Not for decimal, date and
    timestamp, which have several rules (decide.best_of_forced)."""
    if rich == "boolean":
        words = "|".join(any_case(word) for word in ("true", "false", "yes", "no", "t", "f", "y", "n"))
        return Rule("any boolean", "boolean", "boolean", f"{words}|0|1", "booleans")
    if rich == "json":
        return Rule("json", "json", "json", "", "JSON values")
    return next((rule for rule in RULES if rule.rich == rich), None)


# ------------------------------------------------------------------------------------------------------- *date_format*

_CLOCK_DIRECTIVES = {
    "%H": "(?:[01]?[0-9]|2[0-3])", "%I": "(?:0?[1-9]|1[0-2])", "%M": _MINUTES, "%S": "[0-5][0-9]",
    "%f": "[0-9]{1,6}", "%p": "[AaPp][Mm]", "%%": "%",
}  # fmt: skip
_DATE_DIRECTIVES = {"%Y": "y", "%y": "y", "%m": "m", "%b": "m", "%B": "m", "%d": "d"}
_ORDERS = {"".join(order) for order in permutations("ymd")}


def layout_of_format(text: str) -> Layout:
    """The layout that a *date_format* describes. Raises ValueError for what is none."""
    directives = [one for one in re.findall("%.?", text) if one != "%%"]
    order = "".join(_DATE_DIRECTIVES.get(one, "") for one in directives)
    understood = all(one in _DATE_DIRECTIVES or one in _CLOCK_DIRECTIVES for one in directives)
    if not understood or order not in _ORDERS or len(set(directives)) < len(directives):
        known = " ".join([*_DATE_DIRECTIVES, *_CLOCK_DIRECTIVES])
        raise ValueError(f"a date format with year, month and day, and nothing twice, such as %d.%m.%Y (known: {known})")
    if ("%I" in directives) != ("%p" in directives) or ("%H" in directives and "%I" in directives):
        raise ValueError("a date format with either %H, or both %I and %p")
    return Layout(
        order, "", month_name="%b" in directives or "%B" in directives, time="%H" in directives or "%I" in directives,
        meridiem="%p" in directives, short_year="%y" in directives, strptime=text,
    )  # fmt: skip


def rule_of_format(text: str) -> Rule:
    """The rule of a *date_format*; right by the calendar as the others are."""
    layout = layout_of_format(text)
    pieces = re.split("(%.)", text)
    # Directives that touch (`%Y%m%d`) need two digits each, or `2024111` would be two dates.
    touching = any(not between for between in pieces[2:-1:2])
    cases = _calendar(layout.month_name, short_year=layout.short_year, long_year=not layout.short_year)
    pattern = "|".join(_formatted(pieces, case) for case in cases)
    pattern = pattern.replace("0?", "0").replace("[01]?", "[01]") if touching else pattern
    return Rule("date_format", "timestamp" if layout.time else "date", "date", f"(?:{pattern})",
                f"dates like {text}", layout=layout)  # fmt: skip


def _formatted(pieces: list[str], case: dict[str, str]) -> str:
    parts = {**_CLOCK_DIRECTIVES, **{name: case[part] for name, part in _DATE_DIRECTIVES.items()}}
    return "".join(parts.get(one) or re.escape(one) for one in pieces)
