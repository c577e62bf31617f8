"""Which encoding a text is found to be in, without an option that names it."""

from pathlib import Path

import pytest

from tests.push.reading import became, refused

GERMAN = "Straße;Größe\nMünchner Allee;5\nÜberlinger Weg;6\nTübinger Straße;7\n"
FRENCH = "commune;forêt\nBéziers;où\nNîmes;déjà\nOrléans;Noël\n"
SPANISH = "año;población\nMálaga;niños\nÁvila;señal\nCádiz;León\n"
POLISH = "miasto;ludność\nŁódź;łódzkie\nŻory;śląskie\nGdańsk;pomorskie\n"
CZECH = "město;počet\nPlzeň;Říčany\nŽďár nad Sázavou;Třebíč\nŠumperk;Ústí\n"
TURKISH = "şehir;nüfus\nİstanbul;Ağrı\nŞanlıurfa;Iğdır\nEskişehir;Muğla\n"
RUSSIAN = "Город;Население\nМосква;13010112\nСанкт-Петербург;5601911\nЕкатеринбург;1544376\n"
GREEK = "Πόλη;Πληθυσμός\nΑθήνα;643452\nΘεσσαλονίκη;319045\nΗράκλειο;140730\n"
HEBREW = "עיר;אוכלוסייה\nירושלים;936425\nתל אביב;460613\n"
ARABIC = "المدينة;السكان\nالقاهرة;9500000\nالإسكندرية;5200000\n"
JAPANESE = "都道府県;人口\n東京都;13960000\nひらがな町;8800000\n"
CHINESE = "城市;人口\n北京;21893095\n上海;24870895\n广州;18676605\n"
KOREAN = "도시;인구\n서울;9586195\n부산;3349016\n"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", GERMAN), ("cp850", GERMAN), ("mac-roman", GERMAN), ("cp1252", FRENCH), ("cp850", FRENCH),
        ("mac-roman", FRENCH), ("cp1252", SPANISH), ("mac-roman", SPANISH), ("cp1250", POLISH), ("iso8859-2", POLISH),
        ("cp852", POLISH), ("cp1250", CZECH), ("iso8859-2", CZECH), ("cp1254", TURKISH), ("cp1251", RUSSIAN),
        ("koi8-r", RUSSIAN), ("cp866", RUSSIAN), ("iso8859-5", RUSSIAN), ("cp1253", GREEK),
        ("iso8859-7", GREEK), ("cp1255", HEBREW), ("cp1256", ARABIC), ("iso8859-6", ARABIC), ("cp932", JAPANESE),
        ("euc_jp", JAPANESE), ("gb18030", CHINESE), ("cp949", KOREAN), ("utf-16-le", GERMAN), ("utf-16-be", GERMAN),
        ("utf-16-le", RUSSIAN), ("utf-16-be", JAPANESE), ("utf-32-le", GERMAN), ("utf-32-be", CHINESE), ("utf-16", GREEK),
        ("utf-32", GREEK), ("utf-8-sig", GREEK),
    ],
)  # fmt: skip
def test_text_is_read_in_the_encoding_it_was_written_in(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))

    facts = became(path)

    header, *rows = [line.split(";") for line in text.splitlines()]
    assert [one["name"] for one in facts["columns"]] == header
    assert facts["data"] == rows


@pytest.mark.parametrize(
    "text",
    [
        "5 µg/m³", "20°C", "£500", "€5", "¥1", "½ cup", "12 km²", "it’s", "“x”", "2010–2012", "Foo™", "© 2020", "Nº 5", "café",
        "1ª", "Zoë", "Ø", "±5", "3 × 4", "§ 5", "a…", "• a", "Côte d’Ivoire", "STRASSE ÄÖÜ", "STRAßE", "¿qué?", "5\u00a0000",
    ],
)  # fmt: skip
def test_a_single_odd_character_is_one_of_windows(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"a|b\n1|x\n2|{text}\n".encode("cp1252"))

    assert became(path)["data"][-1] == ["2", text]


def test_lines_that_are_utf8_do_not_tell_what_the_others_are_in(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("a;b\n1;café\n2;naïve\n".encode() * 50 + "3;Zürich\n".encode("cp1252"))

    assert became(path)["data"][-1] == ["3", "Zürich"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_named_encoding_needs_no_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(GREEK.encode(f"{encoding}-le"))

    assert became(path, encoding=encoding)["data"][0] == ["Αθήνα", "643452"]


def test_text_that_is_not_in_the_named_encoding_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a;b\n1;2\n3;x")

    assert refused(path, encoding="utf-16")[0] == "undecodable"


def test_a_few_control_characters_do_not_make_a_text_binary(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\x02b,c\n1,\x06\n2,3\n")

    assert [one["name"] for one in became(path)["columns"]] == ["ab", "c"]
