"""Where the header is and what the columns are called (tables.md §4)."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from schemas.errors import FileError

#: PostgreSQL takes 1,600 columns; CKAN adds `_id` and `_full_text`.
MOST_COLUMNS = 1_598

#: PostgreSQL's limit of an identifier, in bytes of UTF-8.
NAME_BYTES = 63

#: Non-blank rows that decide where the header is.
ROWS_LOOKED_AT = 1_000

#: What Unicode calls white space, as Rust's `char::is_whitespace` (Polars' strip) has it. Python's own `str.strip`
#: takes \x1c to \x1f off too, so say `strip(WHITESPACE)`.
WHITESPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_TO_SPACE = str.maketrans(dict.fromkeys(WHITESPACE, " "))


@dataclass(frozen=True)
class Name:
    """*stored* is "" for an empty header; *label* the text in the file where it differs from *stored*."""

    stored: str
    label: str | None


def filled(row: Sequence[str | None]) -> int:
    """How many cells are not empty."""
    return sum(1 for cell in row if cell and cell.strip(WHITESPACE))


def find_header(rows: Sequence[Sequence[str | None]]) -> int | None:
    """The index in *rows* (the head of the file, blank rows included) of the header; None if there is no data at all."""
    counts = [filled(row) for row in rows]
    considered = [count for count in counts if count][:ROWS_LOOKED_AT]
    if not considered:
        return None
    tally = Counter(considered)
    usual = max(tally, key=lambda count: (tally[count], count))
    enough = max(2, usual - 1) if usual > 1 else 1
    return next((index for index, count in enumerate(counts) if count >= enough), None)


def usual_width(rows: Sequence[Sequence[str | None]]) -> int:
    """The number of cells that most rows with data have; of several the largest."""
    tally = Counter(len(row) for row in rows if filled(row))
    return max(tally, key=lambda width: (tally[width], width), default=1)


def clean_name(text: str | None) -> Name:
    """What a header cell's text is stored as, before repeated names are told apart. Control characters are all that CKAN
    2.12 refuses as such: Unicode's categories C, with zero-width spaces and a byte order mark within the text."""
    original = (text or "").strip(WHITESPACE)
    stored = " ".join(original.translate(_TO_SPACE).split(" ")) if original else ""
    stored = "".join(one for one in stored if one != '"' and not unicodedata.category(one).startswith("C"))
    stored = cut(" ".join(stored.split(" ")).lstrip("_ ").strip(WHITESPACE), NAME_BYTES)
    stored = " ".join(part for part in stored.split(" ") if part)
    return Name(stored, original if original and original != stored else None)


def cut(text: str, size_bytes: int) -> str:
    """*text* cut to *size_bytes* of UTF-8 at a character boundary, without white space at the end."""
    return text.encode()[:size_bytes].decode("utf-8", "ignore").rstrip(WHITESPACE)


def unique_names(names: Sequence[Name], kept: Collection[int] | None = None) -> dict[int, Name]:
    """position -> name of the *kept* positions (None: all): empty names become `column_N`, repeated ones get `_2`,
    `_3` …, skipping names that other columns have."""
    wanted = {
        position: name.stored or f"column_{position + 1}"
        for position, name in enumerate(names)
        if kept is None or position in kept
    }
    taken: set[str] = set()
    result = {}
    for position, stored in wanted.items():
        free = stored if stored not in taken else _next_free(stored, taken | set(wanted.values()))
        taken.add(free)
        original = names[position].label or names[position].stored
        result[position] = Name(free, original if original and original != free else None)
    return result


def _next_free(stored: str, taken: set[str]) -> str:
    number = 2
    while (candidate := _suffixed(stored, number)) in taken:
        number += 1
    return candidate


def _suffixed(stored: str, number: int) -> str:
    suffix = f"_{number}"
    return cut(stored, NAME_BYTES - len(suffix)) + suffix


def check_width(width: int) -> None:
    if width > MOST_COLUMNS:
        raise FileError(
            "too-many-columns",
            f"The table has {width:,} columns; the DataStore takes at most {MOST_COLUMNS:,}. "
            "Split it into several files, or turn columns into rows.",
            details={"Columns": width},
        )
