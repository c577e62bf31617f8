"""Records out of delimited text of any kind: the slow reader that never gives up.

Regular text is read by pyarrow or csvkit (delimited.py). What has quotes in wrong places, white space before quotes
or backslash escapes comes here, and so does the head of every file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from consumer.push.header import WHITESPACE

#: Stands for the delimiter of a text of one column; it is in no text that people write.
NO_DELIMITER = "\x1f"


@dataclass(frozen=True)
class Dialect:
    """*delimiter* None: one column. *quote* None: no quotes. *escape* None: backslashes are ordinary."""

    delimiter: str | None
    quote: str | None = '"'
    escape: str | None = None

    @property
    def cut(self) -> str:
        """The delimiter to split at, also where there is none."""
        return self.delimiter or NO_DELIMITER


@dataclass(slots=True)
class Record:
    """One record: `text[start:end]`, its line break included.

    line    0-based line in the text on which it starts; *lines* how many line breaks it holds.
    cells   None: a quote opens in it that never closes; the record was given up at the end of that line.
    quoted  quoted cells; flaws: quotes in wrong places.
    """

    line: int
    lines: int
    start: int
    end: int
    cells: list[str] | None
    quoted: int = 0
    flaws: int = 0


@dataclass(frozen=True)
class Patterns:
    """Compiled for one dialect."""

    plain: re.Pattern[str]  #: a line without quote and escape, with its break
    space: re.Pattern[str]  #: white space before a quote
    inside: re.Pattern[str]  #: from an opening quote to the next lone quote, or to the end of the text
    after: re.Pattern[str]  #: what may follow a closing quote: white space, then delimiter, line break or the end
    bare: re.Pattern[str]  #: an unquoted cell
    rest: re.Pattern[str]  #: up to the end of the line, its break included
    unescape: re.Pattern[str] | None


@lru_cache(maxsize=256)
def _patterns(dialect: Dialect) -> Patterns:
    d, q, e = (re.escape(one) if one else "" for one in (dialect.cut, dialect.quote, dialect.escape))
    blank = "[" + "".join(re.escape(one) for one in WHITESPACE if one not in ("\r", "\n", dialect.cut)) + "]*+"
    escaped = f"|{e}[\\s\\S]" if e else ""
    doubled = f"{q}{q}{escaped}"
    return Patterns(
        plain=re.compile(rf"([^\r\n{q}{e}]*+)(\r\n|\r|\n|\Z)"),
        space=re.compile(blank),
        inside=re.compile(rf"{q}([^{q}{e}]*+(?:(?:{doubled})[^{q}{e}]*+)*+)({q}?)") if q else re.compile(r"(?!)"),
        after=re.compile(rf"{blank}(?={d}|\r|\n|\Z)"),
        bare=re.compile(rf"[^{d}\r\n{e}]*+(?:{e}[^\r\n][^{d}\r\n{e}]*+)*+" if e else rf"[^{d}\r\n]*+"),
        rest=re.compile(r"[^\r\n]*+(?:\r\n|\r|\n|\Z)"),
        unescape=re.compile(rf"{e}([\s\S])") if e else None,
    )


def count_lines(text: str, start: int, end: int) -> int:
    """Line breaks (LF, CR or CRLF) in text[start:end]."""
    breaks = text.count("\n", start, end)
    returns = text.count("\r", start, end)
    return breaks + returns - text.count("\r\n", start, end) if returns else breaks


def scan(text: str, dialect: Dialect, *, final: bool) -> Iterator[Record]:
    """The records of *text*, blank lines as records of one empty cell. Unless *final*, a record that the end of the text
    cuts is not yielded: its text starts at the `end` of the last one that was."""
    return _Scan(text, dialect, final).records()


class _Scan:
    def __init__(self, text: str, dialect: Dialect, final: bool) -> None:
        self.text, self.dialect, self.final = text, dialect, final
        self.patterns = _patterns(dialect)
        self.size = len(text)

    def records(self) -> Iterator[Record]:
        at, line, text, cut, plain = 0, 0, self.text, self.dialect.cut, self.patterns.plain
        while at < self.size:
            match = plain.match(text, at)
            if match is not None:
                end = match.end()
                record: Record | None = Record(line, 1 if match.end(1) < end else 0, at, end, match.group(1).split(cut))
                if end == self.size and not match.group(2) and not self.final:
                    return
            else:
                record = self._quoted_record(at, line)
                if record is None:
                    return
            assert record is not None
            yield record
            at, line = record.end, line + record.lines

    def _quoted_record(self, start: int, line: int) -> Record | None:
        """The record at *start*, or None if the text ends within it and is not the last."""
        record = Record(line, 0, start, start, [])
        assert record.cells is not None
        at = start
        while True:
            cell, at = self._cell(record, at)
            if cell is None:
                return self._given_up(record, at)
            record.cells.append(cell)
            if at < self.size and self.text[at] == self.dialect.cut:
                at += 1
                continue
            if at >= self.size and not self.final:
                return None
            record.end = at + (2 if self.text.startswith("\r\n", at) else 1 if at < self.size else 0)
            record.lines = count_lines(self.text, start, record.end)
            return record

    def _given_up(self, record: Record, at: int) -> Record | None:
        """A quote at *at* never closes. Not knowing what follows the text, nothing can be said unless *final*."""
        if at < 0:
            return None
        match = self.patterns.rest.match(self.text, at)
        assert match is not None
        record.cells, record.end = None, match.end()
        record.lines = count_lines(self.text, record.start, record.end)
        record.flaws += 1
        return record

    def _cell(self, record: Record, at: int) -> tuple[str | None, int]:
        """The cell at *at* and where it ends; (None, place of the quote) if a quote never closes, (None, -1) if that
        cannot be known yet."""
        if self.dialect.quote:
            space = self.patterns.space.match(self.text, at)
            opening = space.end() if space else at
            if self.text.startswith(self.dialect.quote, opening):
                return self._quoted_cell(record, opening)
        match = self.patterns.bare.match(self.text, at)
        assert match is not None
        return self._plain(match.group()), match.end()

    def _quoted_cell(self, record: Record, opening: int) -> tuple[str | None, int]:
        match = self.patterns.inside.match(self.text, opening)
        if match is None or not match.group(2):
            return (None, opening) if self.final else (None, -1)
        inner, end = match.group(1), match.end()
        after = self.patterns.after.match(self.text, end)
        if after is not None:
            record.quoted += 1
            return self._unquoted(inner), after.end()
        record.flaws += 1
        if "\n" in inner or "\r" in inner:
            return None, opening
        rest = self.patterns.bare.match(self.text, end)
        assert rest is not None
        return self._unquoted(inner) + self._plain(rest.group()), rest.end()

    def _unquoted(self, inner: str) -> str:
        quote = self.dialect.quote or ""
        if self.patterns.unescape:
            return re.sub(
                rf"{re.escape(self.dialect.escape or '')}([\s\S])|{quote}{quote}",
                lambda found: found.group(1) or quote,
                inner,
            )
        return inner.replace(quote + quote, quote)

    def _plain(self, text: str) -> str:
        return self.patterns.unescape.sub(r"\1", text) if self.patterns.unescape else text
