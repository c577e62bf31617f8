"""How dates are written: one `Layout` a way of writing, used by the rules, the converter and the COPY loader's SQL."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """One way to write a date, with an optional time of day behind it.

    The date part is `order` joined by `separator`; day and month may have one digit. A time of day follows after `T`
    or one space: `H:MM[:SS[.ffffff]]`, optionally ` AM`/`pm` (with or without the space), optionally `Z` or an offset
    `+HH`, `+HHMM`, `+HH:MM` (with or without a space before it).

    For SQL: with `order == "ymd"` PostgreSQL's own `timestamp` input reads the text; with `offset` use
    `text::timestamptz AT TIME ZONE 'UTC'` (session time zone UTC: values without an offset are UTC). For `dmy` and `mdy`
    its input reads the text if `DateStyle` is `ISO, DMY` or `ISO, MDY`; two columns of one file may differ, so rather
    rewrite the date part with `regexp_replace`. Two-digit years differ: 69 is 1969 here and 2069 in PostgreSQL.
    With `strptime` set (the *date_format* option) only `order`, `time` and `short_year` hold: convert.pattern gives the
    text's parts.
    """

    order: str  #: `ymd`, `dmy` or `mdy`
    separator: str  #: between the parts: `-`, `/`, `.`, or ` `
    month_name: bool = False  #: the month is `Jan` or `January`, any case
    time: bool = False  #: at least one value has a time of day
    meridiem: bool = False  #: at least one value has am/pm
    offset: bool = False  #: at least one value has `Z` or an offset
    short_year: bool = False  #: at least one value has a two-digit year
    strptime: str | None = None  #: the *date_format* that was given
