from pathlib import Path

import pytest

from consumer.push.formats import Hints, detect
from schemas.errors import FileError
from tests.push.made_files import biff2, dbf, sheet_xml, text_cell, workbook, zipped
from tests.push.reading import became, refused

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def kind(tmp_path: Path, content: bytes, **hints: str) -> str:
    path = tmp_path / "file"
    path.write_bytes(content)
    return detect(path, Hints(**hints))


def test_the_content_wins_over_everything_that_is_said(tmp_path: Path) -> None:
    path = workbook(tmp_path / "data.csv", {"S": sheet_xml(text_cell("A1", "a"))})

    assert detect(path, Hints(declared="CSV", url="http://x/data.csv", content_type="text/csv")) == "XLSX"
    assert kind(tmp_path, b"a,b\n1,2\n", declared="XLSX", filename="a.xls") == "CSV"


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({"declared": "TSV"}, "TSV"),
        ({"declared": "tab-separated", "url": "http://x/y.tsv?download=1"}, "TSV"),
        ({"declared": "", "filename": "y.tab", "url": "http://x/y.csv"}, "TSV"),
        ({"content_type": "text/tab-separated-values; charset=utf-8"}, "TSV"),
        ({"declared": "CSV", "content_type": "text/tab-separated-values"}, "CSV"),
        ({"forced": "fixed", "declared": "CSV"}, "FIXED"),
        ({"url": "http://x/y"}, "CSV"),
        ({}, "CSV"),
    ],
)
def test_of_what_is_said_the_first_word_that_names_a_text_counts(tmp_path: Path, hints: dict[str, str], expected: str) -> None:
    assert kind(tmp_path, b"a b\n1 2\n", **hints) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"a": 1}]', "JSON"),
        (b'\xef\xbb\xbf  {"data": [{"a": 1}]}', "JSON"),
        ('[{"a": 1}]'.encode("utf-16"), "JSON"),
        (b'{"type": "FeatureCollection", "features": []}', "GeoJSON"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON"),
        (b"[1] Year,Value\n2020,3\n", "CSV"),
        (b"{id},{name}\n1,Ann\n", "CSV"),
        (b"[[1, 2], [3, 4]]\n", "CSV"),
    ],
)
def test_json_is_known_by_its_beginning(tmp_path: Path, content: bytes, expected: str) -> None:
    assert kind(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"%PDF-1.7\n...", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n....", "a picture (PNG)"),
        (b"\xff\xd8\xff\xe0..JFIF", "a picture (JPEG)"),
        (b"GIF89a....", "a picture (GIF)"),
        (b"RIFF....WEBPVP8 ", "a picture (WebP)"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00(" + bytes(40), "a picture (BMP)"),
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        (b"7z\xbc\xaf'\x1c\x00\x04", "a 7z archive"),
        (b"data.csv".ljust(257, b"\x00") + b"ustar\x0000", "a tar archive"),
        (b"SQLite format 3\x00" + bytes(80), "an SQLite database"),
        (b"\x00\x01\x00\x00Standard Jet DB\x00", "an Access database"),
        (b"ARROW1\x00\x00", "an Arrow or Feather file"),
        (b"ORC\x08\x00\x00\x02\x03\x00\x00" * 9, "an ORC file"),
        (b"Obj\x01\x04\x14avro.codec", "an Avro file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 or NetCDF file"),
        (b"\x00\x00\x27\x0a" + bytes(96), "a shapefile (.shp)"),
        (b"{\\rtf1\\ansi hello}", "a text document (RTF)"),
        (b"<!DOCTYPE html><html><body>Not found</body>", "a web page (HTML)"),
        (b"\n<!-- x -->\n<HTML>", "a web page (HTML)"),
        (b"<table><tr><td>1</td></tr></table>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b'<?xml version="1.0"?><kml xmlns="x">', "a KML file"),
        (b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>', "a spreadsheet in XML"),
        ("<html>".encode("utf-16"), "a web page (HTML)"),
        (b"\x7fELF\x02\x01", "a program"),
        (bytes(range(32)) * 40, "binary data"),
        (OLE + "WordDocument\0".encode("utf-16-le"), "a Word document"),
    ],
)
def test_what_is_no_table_is_named_with_what_to_do(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(FileError) as caught:
        kind(tmp_path, content, declared="CSV")

    assert caught.value.code == "not-tabular"
    assert what in caught.value.message
    assert "ublish" in caught.value.message or "Export" in caught.value.message


@pytest.mark.parametrize(
    "content", [b"BM,Name\n1,a\n", b"ORC\nMordor\n", b"CDF,x\n1,2\n", b"ID3,v\n"[1:], b"MZ;a\n1;2\n", b"PARE\x0a"[1:]]
)
def test_a_text_that_begins_like_a_magic_number_is_a_text(tmp_path: Path, content: bytes) -> None:
    assert kind(tmp_path, content) == "CSV"


@pytest.mark.parametrize("content", [b"<5,>5\n1,2\n", b"<1 km;2\n3;4\n", b"<=10,n\n1,2\n"])
def test_a_header_with_less_than_signs_is_a_header(tmp_path: Path, content: bytes) -> None:
    assert kind(tmp_path, content) == "CSV"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (OLE + "EncryptedPackage\0".encode("utf-16-le"), "encrypted"),
        (OLE, "corrupt"),
        (b"PARE" + bytes(30), "encrypted"),
        (b"PK\x03\x04 and nothing more", "corrupt"),
    ],
)
def test_other_ends(tmp_path: Path, content: bytes, code: str) -> None:
    with pytest.raises(FileError) as caught:
        kind(tmp_path, content)
    assert caught.value.code == code


def test_ole_with_a_workbook_in_any_case_is_an_xls(tmp_path: Path) -> None:
    for name in ("Workbook", "WORKBOOK", "Book"):
        assert kind(tmp_path, OLE + f"{name}\0".encode("utf-16-le")) == "XLS"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"word/document.xml": ""}, "not-tabular"),
        ({"ppt/presentation.xml": ""}, "not-tabular"),
        ({"doc.kml": ""}, "not-tabular"),
        ({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": ""}, "not-tabular"),
        (
            {
                "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
                "META-INF/manifest.xml": "<m:encryption-data/>",
            },
            "encrypted",
        ),
    ],
)
def test_office_files_that_hold_no_table(tmp_path: Path, members: dict[str, str], code: str) -> None:
    assert refused(zipped(tmp_path / "f.xlsx", members))[0] == code


def test_a_dbf_and_an_old_xls_are_known_without_any_hint(tmp_path: Path) -> None:
    assert detect(dbf(tmp_path / "d", [("A", "C", 3, 0)], [["x"]]), Hints()) == "DBF"
    assert detect(biff2(tmp_path / "x", [(0, 0, "a")]), Hints()) == "XLS"


def test_a_resource_declared_json_that_is_csv_is_read_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("a,b\n1,2\n")

    assert became(path, "JSON")["data"] == [["1", "2"]]
