"""The options of one job: keys of its `metadata` over the site's settings (tables.md, every name in italics).

A value may be given as JSON has it or as text (`"false"`, `"5"`, `"[1, 2]"`): CKAN's forms send text.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from schemas.errors import FileError

DEFAULT_NULL_TOKENS = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "NaN", "nan", "-", "--", ".")

#: tables.md §7, last column: what DataPusher made of them.
CKAN_MAPPING = {
    "boolean": "text", "integer": "numeric", "decimal": "numeric", "date": "timestamp",
    "timestamp": "timestamp", "time": "text", "json": "json", "text": "text",
}  # fmt: skip
#: `integer` is `bigint` only where every value fits; the reader says `numeric` where not.
RICH_MAPPING = {
    "boolean": "boolean", "integer": "bigint", "decimal": "numeric", "date": "date",
    "timestamp": "timestamp", "time": "time", "json": "json", "text": "text",
}  # fmt: skip
#: DataStore types that *types* and the data dictionary may name, and the rich type that a value must fit.
CKAN_TYPES = {
    "numeric": "decimal", "float": "decimal", "float8": "decimal", "float4": "decimal", "double precision": "decimal",
    "int": "integer", "int4": "integer", "int8": "integer", "bigint": "integer", "smallint": "integer",
    "bool": "boolean", "timestamptz": "timestamp", "jsonb": "json", "string": "text", "varchar": "text",
}  # fmt: skip
_NAMED_CHARACTERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " ", "\\x01": "\x01"}


@dataclass(frozen=True)
class ForcedType:
    """A type that somebody chose. *ckan* is set where a DataStore type was named (`int4`), else the mapping decides."""

    rich: str
    ckan: str | None = None

    @classmethod
    def of(cls, name: str) -> "ForcedType":
        """Raises ValueError for a name that is neither a rich type nor one of CKAN_TYPES."""
        plain = " ".join(str(name).lower().split())
        if plain in CKAN_MAPPING:
            return cls(plain, plain if plain == "timestamp" else None)
        if plain in CKAN_TYPES:
            return cls(CKAN_TYPES[plain], plain)
        raise ValueError(f"one of {', '.join([*CKAN_MAPPING, *CKAN_TYPES])}")


@dataclass(frozen=True)
class Override:
    """What CKAN's data dictionary says about one column."""

    type_override: str | None = None
    strip: bool | None = None  #: `strip_extra_white`


@dataclass(frozen=True)
class RejectLimit:
    """How many rows may be rejected: a number, or a share of loaded + rejected rows."""

    count: int | None = None
    share: float | None = None

    def exceeded(self, rejected: int, loaded: int) -> bool:
        if self.count is not None:
            return rejected > self.count
        return rejected > (self.share or 0.0) * (loaded + rejected)

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{(self.share or 0.0) * 100:g}%"


@dataclass(frozen=True)
class Options:
    """Parsed and checked. None means: find it out."""

    format: str | None = None  #: lower case
    member: str | None = None
    encoding: str | None = None
    encoding_errors: str = "strict"  #: or `replace`
    delimiter: str | None = None
    quote: str | None = None  #: "" = the file has no quotes
    escape: str | None = None  #: "" = the file has no escapes
    header_row: int | None = None  #: 0 = none
    max_rejects: RejectLimit = RejectLimit(share=0.05)
    strip: bool = True
    null_tokens: tuple[str, ...] = DEFAULT_NULL_TOKENS
    decimal: str | None = None  #: `.` or `,`
    date_format: str | None = None  #: in strptime's directives
    day_first: bool | None = None  #: None: not said, so month first
    types: Mapping[str, ForcedType] = field(default_factory=dict)
    type_mapping: Mapping[str, str] = field(default_factory=lambda: dict(CKAN_MAPPING))
    sheet: str | int | None = None  #: a name, or a 1-based number, negative from the end
    widths: tuple[int, ...] | None = None
    max_rows: int | None = None
    profile: bool = True
    dry_run: bool = False

    @classmethod
    def parse(cls, metadata: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None) -> "Options":
        """Options from *metadata* over *defaults* (same lower-case names); keys that are no option are ignored, a value
        of None or "" means not given. Raises FileError("bad-option") naming the key, the value and what it may be."""
        given = {**_present(defaults or {}), **_present(metadata or {})}
        return cls(**{name: _parsed(name, value) for name, value in given.items()})


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options among *values* that say something. An empty quote or escape does: it means none."""
    names = {one.name for one in fields(Options)}
    silent_when_empty = names - {"quote", "escape"}
    return {
        key: value
        for key, value in values.items()
        if key in names and value is not None and not (value == "" and key in silent_when_empty)
    }


def _parsed(name: str, value: Any) -> Any:
    try:
        return _PARSERS[name](value)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        shown = repr(value) if len(repr(value)) <= 100 else repr(value)[:97] + "..."
        raise FileError(
            "bad-option", f"The option {name} cannot be {shown}: it must be {error}.", details={"Option": name}
        ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _format(value: Any) -> str:
    return _text(value).strip().lower()


def _encoding(value: Any) -> str:
    import codecs

    try:
        info = codecs.lookup(_text(value).strip())
    except LookupError:
        raise ValueError("the name of a text encoding, such as utf-8 or cp1252") from None
    if not getattr(info, "_is_text_encoding", True):
        raise ValueError("the name of a text encoding, such as utf-8 or cp1252")
    return info.name


def _character(value: Any) -> str:
    named = _NAMED_CHARACTERS.get(_text(value).lower(), value)
    if len(named) != 1 or named in "\r\n\x00" or ord(named) > 127:
        raise ValueError("one ASCII character, or tab, comma, semicolon, pipe, space")
    return str(named)


def _character_or_none(value: Any) -> str:
    return "" if str(value).lower() in ("", "none") or value is False else _character(value)


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "yes", "1", "on", "false", "no", "0", "off"):
        return value.strip().lower() in ("true", "yes", "1", "on")
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _whole(least: int, what: str) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int(value) if not isinstance(value, bool | float) else None
        except ValueError:
            number = None
        if number is None or number < least:
            raise ValueError(what)
        return number

    return parse


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(" or ".join(choices))
        return str(value)

    return parse


def _limit(value: Any) -> RejectLimit:
    what = "a number of rows such as 10, or a percentage such as 5%"
    text = str(value).strip()
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            limit = RejectLimit(share=share) if 0 <= share <= 1 else None
        else:
            limit = RejectLimit(count=int(text)) if int(text) >= 0 else None
    except ValueError:
        limit = None
    if limit is None or isinstance(value, bool):
        raise ValueError(what)
    return limit


def _structure(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") else value


def _tokens(value: Any) -> tuple[str, ...]:
    what = _structure(value)
    if isinstance(what, str):
        what = what.split(",")
    if not isinstance(what, list | tuple) or not all(isinstance(one, str) for one in what):
        raise ValueError("a list of texts")
    return tuple(dict.fromkeys(one.strip() for one in what if one.strip()))


def _widths(value: Any) -> tuple[int, ...]:
    what = _structure(value)
    if isinstance(what, str):
        what = what.split(",")
    problem = "a list of column widths in characters, such as [5, 10, 7]"
    if not isinstance(what, list | tuple) or not what:
        raise ValueError(problem)
    return tuple(_whole(1, problem)(one) for one in what)


def _types(value: Any) -> dict[str, ForcedType]:
    what = _structure(value)
    if not isinstance(what, Mapping) or not all(isinstance(one, str) for one in what.values()):
        raise ValueError('an object of column names and types, such as {"zip": "text"}')
    return {str(name): ForcedType.of(kind) for name, kind in what.items()}


def _mapping(value: Any) -> dict[str, str]:
    what = _structure(value)
    if what in ("ckan", "rich"):
        return dict(CKAN_MAPPING if what == "ckan" else RICH_MAPPING)
    if not isinstance(what, Mapping) or not all(one in CKAN_MAPPING for one in what):
        raise ValueError(f"ckan, rich, or an object from types ({', '.join(CKAN_MAPPING)}) to DataStore types")
    allowed = {*CKAN_MAPPING, *CKAN_MAPPING.values(), *CKAN_TYPES} - {"integer", "decimal", "string"}
    if not all(isinstance(one, str) and one in allowed for one in what.values()):
        raise ValueError(f"an object to DataStore types, which are {', '.join(sorted(allowed))}")
    return {**CKAN_MAPPING, **what}


def _sheet(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == 0:
        raise ValueError("the name of a sheet, or its number counted from 1 (negative from the end)")
    return value


def _date_format(value: Any) -> str:
    from consumer.push.rules import layout_of_format

    layout_of_format(_text(value))
    return str(value)


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "format": _format,
    "member": _text,
    "encoding": _encoding,
    "encoding_errors": _one_of("strict", "replace"),
    "delimiter": _character,
    "quote": _character_or_none,
    "escape": _character_or_none,
    "header_row": _whole(0, "the number of the header's row, counted from 1, or 0 for none"),
    "max_rejects": _limit,
    "strip": _flag,
    "null_tokens": _tokens,
    "decimal": _one_of(".", ","),
    "date_format": _date_format,
    "day_first": _flag,
    "types": _types,
    "type_mapping": _mapping,
    "sheet": _sheet,
    "widths": _widths,
    "max_rows": _whole(1, "a number of rows, at least 1"),
    "profile": _flag,
    "dry_run": _flag,
}
