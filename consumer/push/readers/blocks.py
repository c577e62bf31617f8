"""Where records end in a block of bytes, without reading its cells."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.intp]

_LF, _CR = 10, 13

#: Lines of a block that are read together: very short ones cost more memory than their bytes.
MOST_LINES = 200_000

#: Bytes looked at together; they fit the processor's cache.
_LOOKED_AT_BYTES = 256 << 10


@dataclass(frozen=True)
class Cut:
    """data[:end] ends with a whole record; `end` 0: there is none.

    regular   every quote in it stands where one belongs, so every CSV parser reads it alike. Not so, `end` is just the
              last line break, and a quoted cell may go on behind it.
    lines     line breaks (LF, CR or CRLF) in it.
    spanning  there are line breaks inside quoted cells. Known of regular ones only.
    """

    end: int
    regular: bool
    lines: int = 0
    spanning: bool = False


def places(data: bytes, byte: int) -> Places:
    """Where *byte* is in *data*."""
    text = np.frombuffer(data, dtype=np.uint8)
    starts = range(0, len(text), _LOOKED_AT_BYTES)
    found = [np.flatnonzero(text[start : start + _LOOKED_AT_BYTES] == byte) + start for start in starts]
    return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def cut(data: bytes, quote: str | None, delimiter: str, *, final: bool = False) -> Cut:
    """The longest piece from the start of *data* (a record's start) that holds whole records; all of it if it is the
    *final* one and no quote is left open."""
    quotes = places(data, ord(quote)) if quote and quote.encode() in data else None
    if quotes is not None and not _regular(data, quotes, ord(delimiter)):
        return Cut(last_break(data, len(data)), False)
    ends, behind = _line_ends(data)
    if quotes is None:
        outside, spanning = len(ends), False
    else:
        before = np.searchsorted(quotes, ends)
        odd = before % 2 == 1
        outside = len(ends) if not odd.any() else int(np.flatnonzero(~odd)[-1]) + 1 if not odd.all() else 0
        spanning = bool(odd[:outside].any())
    if outside > MOST_LINES and (quotes is None or not odd[MOST_LINES - 1]):
        return Cut(int(behind[MOST_LINES - 1]), True, MOST_LINES, spanning)
    if final and (quotes is None or len(quotes) % 2 == 0):
        return Cut(len(data), True, len(ends), quotes is not None and bool(odd.any()))
    if outside and behind[outside - 1] == len(data) and data.endswith(b"\r"):
        outside -= 1  # half a CRLF, perhaps
        if quotes is not None:
            return cut(data[: int(behind[outside - 1])] if outside else b"", quote, delimiter)
    return Cut(int(behind[outside - 1]) if outside else 0, True, outside, spanning)


def last_break(data: bytes, end: int) -> int:
    """The place behind the last line break before *end*. A CR as the very last byte may be half a CRLF and does not
    count."""
    found = data.rfind(b"\n", 0, end)
    return found + 1 if found >= 0 else data.rfind(b"\r", 0, max(0, min(end, len(data) - 1))) + 1


def _regular(data: bytes, quotes: Places, delimiter: int) -> bool:
    """Quotes alternately open and close cells. An opening one follows a delimiter or a line break, a closing one is
    followed by one; a doubled quote inside a cell looks like a closing and an opening one side by side."""
    text = np.frombuffer(data, dtype=np.uint8)
    opening, closing = quotes[0::2], quotes[1::2]
    before = text[np.maximum(opening, 1) - 1]
    after = text[np.minimum(closing, len(text) - 2) + 1]
    opens = _ends_cell(before, delimiter) | (opening == 0)
    closes = _ends_cell(after, delimiter) | (closing == len(text) - 1)
    pairs = len(opening) - 1
    doubled = opening[1:] == closing[:pairs] + 1
    opens[1:] |= doubled
    closes[:pairs] |= doubled
    return bool(opens.all() and closes.all())


def _ends_cell(byte: npt.NDArray[np.uint8], delimiter: int) -> npt.NDArray[np.bool_]:
    return np.isin(byte, (delimiter, _LF, _CR))


@dataclass(frozen=True)
class Lines:
    """Records of a regular block: 0-based line of each one's start, blank ones left out; the lines of the *blank* ones, and
    how many line breaks the block has."""

    starts: npt.NDArray[np.int64]
    blank: npt.NDArray[np.int64]
    breaks: int


def lines(data: bytes, quote: str | None) -> Lines:
    """Which lines the records of a regular block start on."""
    ends, behind = _line_ends(data)
    if quote and quote.encode() in data:
        outside = np.searchsorted(places(data, ord(quote)), ends) % 2 == 0
    else:
        outside = np.ones(len(ends), dtype=bool)
    numbers = np.flatnonzero(outside)
    starts = np.concatenate(([0], behind[outside]))
    stops = np.concatenate((ends[outside], [len(data)]))
    line = np.concatenate(([0], numbers + 1))
    filled = starts < stops
    return Lines(line[filled], line[:-1][~filled[:-1]], len(ends))


def _line_ends(data: bytes) -> tuple[Places, Places]:
    """Where each line's text ends and where the next line starts."""
    feeds = places(data, _LF)
    if b"\r" not in data:
        return feeds, feeds + 1
    returns = places(data, _CR)
    text = np.frombuffer(data + b"\x00", dtype=np.uint8)
    paired = returns[text[returns + 1] == _LF]
    lone_feeds = np.setdiff1d(feeds, paired + 1, assume_unique=True)
    ends = np.concatenate((returns, lone_feeds))
    behind = np.concatenate((np.where(text[returns + 1] == _LF, returns + 2, returns + 1), lone_feeds + 1))
    order = np.argsort(ends, kind="stable")
    return ends[order], behind[order]
