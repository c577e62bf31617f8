"""Text of two or four bytes a character without a byte order mark (tables.md §2)."""

import unicodedata

#: Bytes that are looked at; a multiple of four.
_LOOKED_AT_BYTES = 4096
#: A character in so many has to be ASCII where letters are not: delimiters, digits and line breaks are.
_ASCII_SHARE = 0.1


def wide_encoding(head: bytes) -> str | None:
    """`utf-16-le`, `utf-16-be`, `utf-32-le` or `utf-32-be` if *head*, the beginning of a file, is text in it."""
    head = head[:_LOOKED_AT_BYTES]
    if b"\x00" not in head:
        return None
    return _of_four_bytes(head) or _of_latin_letters(head) or next(
        (name for name in ("utf-16-le", "utf-16-be") if _is_text(head[: len(head) // 2 * 2], name)), None
    )  # fmt: skip


def _of_four_bytes(head: bytes) -> str | None:
    """Two of four bytes are NUL in all text of the basic plane."""
    quads = len(head) // 4
    nuls = [head[place : 4 * quads : 4].count(0) for place in range(4)]
    if quads and nuls[2] == nuls[3] == quads and nuls[0] < 0.1 * quads:
        return "utf-32-le"
    return "utf-32-be" if quads and nuls[0] == nuls[1] == quads and nuls[3] < 0.1 * quads else None


def _of_latin_letters(head: bytes) -> str | None:
    """UTF-16 of mostly Latin letters has a NUL in every other byte."""
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if pairs >= 2 and odd > 0.7 * pairs and even < 0.1 * pairs:
        return "utf-16-le"
    return "utf-16-be" if pairs >= 2 and even > 0.7 * pairs and odd < 0.1 * pairs else None


def _is_text(head: bytes, name: str) -> bool:
    """Whether *head* is UTF-16 of other letters: lines of characters that Unicode knows, with some ASCII between them."""
    text = head.decode(name, "replace")[:-1]  # the last one may be half a pair
    if "\n" not in text and "\r" not in text:
        return False
    known = all(char in "\t\r\n" or unicodedata.category(char) not in ("Cc", "Cn", "Co", "Cs") for char in text)
    return known and "\ufffd" not in text and sum(map(str.isascii, text)) >= _ASCII_SHARE * len(text)
