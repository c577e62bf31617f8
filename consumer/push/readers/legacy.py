"""Which encoding a text from before Unicode is in, by how well its letters go together.

Encodings of East Asia are left to chardet. For the others every byte above ASCII is looked at with its neighbours as each
encoding reads them. Words of one language use few letters besides ASCII's, do not mix alphabets, have no capitals within
and no symbols between letters: `Straße` is what somebody wrote, `Stra§e` and `Stra┌e` are not.
"""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import chardet

_WEST = {
    "fr": "àâæçéèêëîïôœùûüÿ", "de": "äöüßé", "es": "áéíñóúüªº", "pt": "áâãàçéêíóôõúüªº", "it": "àèéìíîòóùúº",
    "nordic": "åäöæøé", "is": "áéíóúýþæöðø", "nl": "ëéèïöüáóí", "ca": "àèéíïòóúüç",
}  # fmt: skip
_CENTRAL = {
    "pl": "ąćęłńóśźż", "cs": "áčďéěíňóřšťúůýžľĺŕôä", "hu": "áéíóöőúüű", "ro": "ăâîşţșț", "hr": "čćđšž", "de": "äöüßé",
}  # fmt: skip
_BALTIC = {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "õäöüšž"}
_TURKISH = {"tr": "çğıi̇öşüâîû"}
_CYRILLIC = {
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя", "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
}  # fmt: skip
_GREEK = {"el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"}
_VIETNAMESE = {"vi": "àâăéèêìíòóôơùúưýđ\u0300\u0301\u0303\u0309\u0323"}

#: Python's name -> letters of the languages that are written in it; None: those of one whole script. In the order in
#: which they are preferred where the text does not tell.
_ENCODINGS: Mapping[str, Mapping[str, str] | str] = {
    "cp1252": _WEST, "cp1250": _CENTRAL, "cp1251": _CYRILLIC, "cp1253": _GREEK, "cp1254": _TURKISH, "cp1257": _BALTIC,
    "cp1255": "HEBREW", "cp1256": "ARABIC", "cp874": "THAI", "iso8859-2": _CENTRAL, "iso8859-5": _CYRILLIC,
    "iso8859-6": "ARABIC", "iso8859-7": _GREEK, "koi8-r": _CYRILLIC, "koi8-u": _CYRILLIC, "cp866": _CYRILLIC,
    "cp850": _WEST, "mac-roman": _WEST, "cp852": _CENTRAL, "mac-latin2": _CENTRAL, "mac-cyrillic": _CYRILLIC,
    "cp437": _WEST, "iso8859-13": _BALTIC, "cp775": _BALTIC, "cp1258": _VIETNAMESE, "iso8859-15": _WEST,
    "cp857": _TURKISH, "cp737": _GREEK, "mac-greek": _GREEK, "mac-turkish": _TURKISH, "cp862": "HEBREW", "cp864": "ARABIC",
}  # fmt: skip

#: What each place in the list above costs, in characters: enough to decide where nothing else does.
_PLACE = 0.05
#: A letter that none of the languages of an encoding has, and one of another of its languages.
_FOREIGN, _NEIGHBOUR = 1.0, 0.3
#: A character that no text has.
_NO_TEXT = 3.0
#: Different surroundings of bytes that are looked at.
_MOST_PLACES = 3_000

#: What signs cost that may stand between letters; signs that may stand before or behind one.
_SOFT_HYPHEN = "\u00ad"
_WITHIN = {_SOFT_HYPHEN: 0.2, "’": 0.0, "·": 0.0, "\u00a0": 0.0, "‑": 0.0, "´": 0.2, "‘": 0.2, "–": 0.4, "—": 0.4, "…": 0.4}
_NO_LETTERS = frozenset("µªº")
_BEFORE = frozenset("µ“„‚«‹‘’¿¡€£§©°№–—…•\u00a0")
_ALONE = frozenset("¢¥½¼¾%±×÷µªº")
_BEHIND = frozenset("ªº”“‘’»›°²³¹®™€–—…†‡\u00a0")

#: Encodings of several bytes a character.
_EAST_ASIAN = frozenset(("cp932", "shift_jis", "shift_jis_2004", "euc_jp", "euc_jis_2004", "gb18030", "gbk", "gb2312",
                         "big5", "big5hkscs", "cp950", "cp949", "euc_kr", "johab"))  # fmt: skip
#: Costs, for one character above ASCII, up to which one-byte text is believed against chardet's first answer, and from
#: which on chardet's next answers are.
_PERFECT, _HOPELESS = 0.06, 0.3
#: Characters above ASCII from which on that is believed at all.
_ENOUGH = 40
#: What chardet's first answer is worth, in characters.
_CHARDET = 0.5

#: (the byte before, the byte, the byte behind).
Place = tuple[int, int, int]


def detected(evidence: bytes) -> str:
    """Python's name of the likeliest encoding of *evidence*, some lines with bytes that are no UTF-8."""
    costs = _costs(evidence)
    if _lone_accents(evidence):
        return min(costs, key=costs.__getitem__)
    answers = _chardet(evidence)
    if answers[:1] != ["cp874"]:  # nearly every byte is a letter there: its cost tells nothing
        del costs["cp874"]
    if answers and answers[0] in costs:
        costs[answers[0]] -= _CHARDET
    best = min(costs, key=costs.__getitem__)
    asian = [name for name in answers[:3] if name in _EAST_ASIAN]
    if asian and _is_doubtful(costs[best], evidence, first=asian[0] == answers[0]):
        return asian[0]
    return best


def _is_doubtful(cost: float, evidence: bytes, *, first: bool) -> bool:
    """Whether a text that chardet takes for East Asian may be so, *cost* being that of the best one-byte encoding."""
    count = sum(byte > 127 for byte in evidence)
    if first:
        return count < _ENOUGH or cost > _PERFECT * count
    return cost > _HOPELESS * count


def _lone_accents(evidence: bytes) -> bool:
    """Whether the bytes above ASCII stand alone among ASCII letters, as accents do and no other script."""
    runs = re.findall(rb"[\x80-\xff]+", evidence)
    return sum(map(len, runs)) < 1.5 * len(runs)


def _chardet(evidence: bytes) -> list[str]:
    """Python's names of chardet's answers, the likeliest first."""
    answers = chardet.detect_all(
        evidence, encoding_era=chardet.EncodingEra.MODERN_WEB, prefer_superset=True, ignore_threshold=True
    )
    names = [_codec(one["encoding"]) for one in answers]
    return ["cp874" if name == "tis-620" else name for name in names if name]


def _codec(name: str | None) -> str:
    try:
        return codecs.lookup(name or "").name
    except LookupError:
        return ""


def _costs(evidence: bytes) -> dict[str, float]:
    """What reading *evidence* in each one-byte encoding costs, in characters that are wrong."""
    places = Counter(place for place in zip(b"\n" + evidence, evidence, evidence[1:] + b"\n", strict=False) if place[1] > 127)
    some = dict(places.most_common(_MOST_PLACES))
    return {name: _cost(some, name) + _PLACE * rank for rank, name in enumerate(_ENCODINGS)}


def _cost(places: Mapping[Place, int], name: str) -> float:
    table, languages = _table(name), _ENCODINGS[name]
    total, letters = 0.0, Counter[str]()
    for (before, byte, behind), count in places.items():
        char = table[byte]
        if (char.isalpha() and char not in _NO_LETTERS) or unicodedata.combining(char):
            total += count * _cost_of_letter(table[before], char, table[behind])
            letters[char.lower()] += count
        else:
            total += count * _cost_of_sign(table[before], char, table[behind])
    return total + _cost_of_language(letters, languages)


@lru_cache(maxsize=64)
def _table(name: str) -> str:
    """The characters of all 256 bytes; a byte that has none is a control character."""
    return "".join(bytes([byte]).decode(name, "ignore") or "\x80" for byte in range(256))


def _cost_of_letter(before: str, char: str, behind: str) -> float:
    cost = 0.0
    if before.isalpha():
        cost += _script(before) != _script(char) or (before.islower() and char.isupper())
        cost += before.isupper() and behind.isupper() and char.islower() and char != "ß"
    if behind.isascii() and behind.isalpha():
        cost += _script(char) != "LATIN"
    return cost


def _cost_of_sign(before: str, char: str, behind: str) -> float:
    if unicodedata.category(char)[0] == "C" and char != _SOFT_HYPHEN:
        return _NO_TEXT
    if before.isalpha() and behind.isalpha():
        return _WITHIN.get(char, 1.0)
    if before.isalpha():
        return 0.0 if char in _BEHIND else 1.0
    if behind.isalpha():
        return 0.0 if char in _BEFORE else 1.0
    return 0.0 if char in _BEFORE | _BEHIND | _ALONE else 0.3


def _cost_of_language(letters: Mapping[str, int], languages: Mapping[str, str] | str) -> float:
    if isinstance(languages, str):
        return sum(count for char, count in letters.items() if _script(char) != languages) * _FOREIGN
    every = frozenset("".join(languages.values()))
    costs = (
        sum(count * (_NEIGHBOUR if char in every else _FOREIGN) for char, count in letters.items() if char not in alphabet)
        for alphabet in languages.values()
    )
    return min(costs)


@lru_cache(maxsize=1024)
def _script(char: str) -> str:
    return unicodedata.name(char, "?").partition(" ")[0]
