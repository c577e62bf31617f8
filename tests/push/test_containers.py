import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from consumer.push.containers import UnpackLimits, unpack
from consumer.push.inspect import inspect
from schemas.errors import FILE_ERROR_CODES, FileError
from tests.push.made_files import sheet_xml, text_cell, workbook, zipped
from tests.push.reading import became, refused

CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(500))

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
each_packing = pytest.mark.parametrize("ending", PACK)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@each_packing
def test_a_packed_file_is_loaded(tmp_path: Path, ending: str) -> None:
    facts = became(written(tmp_path / f"data.csv.{ending}", PACK[ending](CSV)))

    assert (facts["rows"], facts["last_row"]) == (500, ["499", "name 499"])


@each_packing
def test_several_streams_in_one_file_are_all_read(tmp_path: Path, ending: str) -> None:
    packed = PACK[ending](CSV[:1000]) + PACK[ending](CSV[1000:])

    assert became(written(tmp_path / f"data.csv.{ending}", packed))["rows"] == 500


@each_packing
def test_a_cut_off_file_is_corrupt(tmp_path: Path, ending: str) -> None:
    packed = PACK[ending](CSV)

    assert refused(written(tmp_path / f"a.{ending}", packed[: len(packed) // 2]))[0] == "corrupt"


@each_packing
def test_a_damaged_file_is_corrupt(tmp_path: Path, ending: str) -> None:
    packed = bytearray(PACK[ending](CSV))
    packed[len(packed) // 2 : len(packed) // 2 + 8] = b"\x00\xff" * 4

    assert refused(written(tmp_path / f"a.{ending}", bytes(packed)))[0] in ("corrupt", "undecodable")


@each_packing
def test_a_bomb_is_stopped_at_the_ratio(tmp_path: Path, ending: str) -> None:
    bomb = written(tmp_path / f"bomb.{ending}", PACK[ending](bytes(80 * 1024**2)))

    with pytest.raises(FileError, match="DATAPUSHER_MAX_EXPANSION_RATIO") as caught:
        unpack(bomb, {"gz": "gzip", "zst": "zstd"}.get(ending, ending), tmp_path / "out", member=None, limits=UnpackLimits())
    assert caught.value.code == "too-large"
    assert (tmp_path / "out").stat().st_size <= 64 * 1024**2


@each_packing
def test_a_file_is_stopped_at_the_largest_size(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"data.csv.{ending}", PACK[ending](CSV))

    facts = inspect(path, limits=UnpackLimits(max_bytes=1000))

    assert facts["error"] == "too-large"
    assert "DATAPUSHER_MAX_EXPANDED_LENGTH" in facts["message"]


@each_packing
def test_an_archive_in_an_archive_is_refused(tmp_path: Path, ending: str) -> None:
    code, message = refused(written(tmp_path / f"a.{ending}", PACK[ending](gzip.compress(CSV))))

    assert code == "not-tabular"
    assert "an archive that holds an archive" in message


def test_a_packed_workbook_is_loaded(tmp_path: Path) -> None:
    book = workbook(tmp_path / "b.xlsx", {"S": sheet_xml(text_cell("A1", "a"), text_cell("A2", "x"))})

    assert became(written(tmp_path / "b.xlsx.gz", gzip.compress(book.read_bytes())))["format"] == "XLSX"


def test_the_name_inside_says_what_the_text_is(tmp_path: Path) -> None:
    path = written(tmp_path / "data.tsv.gz", gzip.compress(b"a\n1\n"))

    assert became(path)["format"] == "TSV"
    assert became(zipped(tmp_path / "data.zip", {"in/data.tsv": "a\n1\n"}))["format"] == "TSV"


def test_an_xz_file_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * 1024**2}]
    path = written(tmp_path / "a.xz", lzma.compress(CSV, filters=filters))

    assert refused(path)[0] == "corrupt"


def test_what_lies_beside_the_data_does_not_count(tmp_path: Path) -> None:
    beside = dict.fromkeys(
        [
            "__MACOSX/._data.csv",
            ".DS_Store",
            "x.prj",
            "x.shp",
            "x.shx",
            "x.cpg",
            "readme.txt",
            "meta.xml",
            "a.pdf",
            "Thumbs.db",
        ],
        "x",
    )

    assert became(zipped(tmp_path / "d.zip", {**beside, "in/data.csv": CSV}))["rows"] == 500


def test_a_lone_text_file_is_the_data(tmp_path: Path) -> None:
    assert became(zipped(tmp_path / "d.zip", {"data.txt": CSV, "map.png": "x"}))["rows"] == 500


@pytest.mark.parametrize(
    "members",
    [("d.asc", "readme.txt"), ("d.dat", "notes.txt"), ("d.txt", "LICENSE"), ("d.txt", "README_en.txt"), ("d", "Read me.txt")],
)
def test_papers_beside_data_of_no_known_kind_do_not_count(tmp_path: Path, members: tuple[str, str]) -> None:
    data, paper = members
    assert became(zipped(tmp_path / "d.zip", {paper: "Thank you, for reading", data: CSV}))["rows"] == 500


def test_several_data_files_need_the_option_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"2023/a.csv": "a\n1\n", "2024/b.csv": "b\n2\n3\n"})

    code, message = refused(path)

    assert code == "ambiguous-archive"
    assert '"2023/a.csv", "2024/b.csv"' in message
    assert became(path, member="2024/b.csv")["rows"] == 2
    assert became(path, member="a.csv")["rows"] == 1
    assert refused(path, member="c.csv")[0] == "bad-option"


@pytest.mark.parametrize("members", [{}, {"a.png": "x", "b.pdf": "y"}, {"__MACOSX/._a.csv": "x"}, {"folder/": ""}])
def test_a_zip_without_data_is_not_tabular(tmp_path: Path, members: dict[str, str]) -> None:
    assert refused(zipped(tmp_path / "d.zip", members))[0] == "not-tabular"


@pytest.mark.parametrize("name", ["inner.zip", "data.csv.gz", "x.7z", "inner.csv"])
def test_a_zip_in_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    inner = zipped(tmp_path / "inner", {"data.csv": CSV}).read_bytes()

    code, message = refused(zipped(tmp_path / "outer.zip", {name: inner}))

    assert code == "not-tabular"
    assert f'"{name}"' in message


def test_a_workbook_in_a_zip_is_loaded(tmp_path: Path) -> None:
    book = workbook(tmp_path / "b.xlsx", {"S": sheet_xml(text_cell("A1", "a"), text_cell("A2", "x"))})

    assert became(zipped(tmp_path / "d.zip", {"b.xlsx": book.read_bytes()}))["format"] == "XLSX"


def test_a_member_with_a_password_is_encrypted(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"data.csv": CSV})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1

    assert refused(written(path, bytes(data)))[0] == "encrypted"


def test_half_a_zip_is_corrupt(tmp_path: Path) -> None:
    path = zipped(tmp_path / "d.zip", {"data.csv": CSV})

    assert refused(written(path, path.read_bytes()[:-100]))[0] == "corrupt"


def test_a_zip_bomb_is_stopped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"data.csv": b"0" * (80 * 1024**2)})

    assert refused(path)[0] == "too-large"


def test_a_member_packed_in_an_uncommon_way_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("data.csv", CSV)
    data = bytearray((tmp_path / "d.zip").read_bytes())
    data[8] = data[data.rindex(b"PK\x01\x02") + 10] = 9  # Deflate64

    code, message = refused(written(tmp_path / "d.zip", bytes(data)))

    assert (code, "uncommon way" in message) == ("corrupt", True)


def test_whatever_is_damaged_in_a_zip_is_an_error_of_the_file(tmp_path: Path) -> None:
    data = zipped(tmp_path / "d.zip", {"folder/data.csv": CSV[:400], "a.txt": b"x"}).read_bytes()

    for at in range(len(data)):
        damaged = written(tmp_path / "x.zip", data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert inspect(damaged, options={"profile": False}).get("error") in (None, *FILE_ERROR_CODES)
