import json
from pathlib import Path
from typing import Any

import pytest

from consumer.push.readers import json as json_reader
from tests.push.reading import became, refused, types


def written(tmp_path: Path, content: Any, name: str = "data.json") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_columns_are_all_keys_in_order_of_first_appearance(tmp_path: Path) -> None:
    facts = became(written(tmp_path, [{"b": 1, "a": "x"}, {"c": True, "a": "y"}, {}]))

    assert types(facts) == {"b": "integer", "a": "text", "c": "boolean"}
    assert facts["data"] == [["1", "x", None], [None, "y", "true"]]
    assert (facts["blank_skipped"], facts["padded"]) == (1, 0)


def test_a_column_with_any_object_or_array_is_json(tmp_path: Path) -> None:
    facts = became(written(tmp_path, [{"a": "x"}, {"a": {"k": [1, None]}}, {"a": 5}, {"a": None}, {"b": 1}]))

    assert types(facts) == {"a": "json", "b": "integer"}
    assert [row[0] for row in facts["data"]] == ['"x"', '{"k":[1,null]}', "5", None]
    assert facts["blank_skipped"] == 1


def test_strings_are_typed_like_cells_of_delimited_text(tmp_path: Path) -> None:
    facts = became(written(tmp_path, [{"d": "31.01.2024", "n": "1,5", "z": "007"}, {"d": "01.02.2024", "n": "2,5", "z": "8"}]))

    assert types(facts) == {"d": "date", "n": "decimal", "z": "text"}
    assert facts["first_row"] == ["2024-01-31T00:00:00", "1.5", "007"]


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    content = b'[{"n": 123456789012345678901234567890, "d": 0.1234567890123456789012, "f": 1.0, "e": 1e3}]'

    facts = became(written(tmp_path, content))

    assert facts["first_row"] == ["123456789012345678901234567890", "0.1234567890123456789012", "1.0", "1000.0"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("12345678901234567.89", "12345678901234567.89"),
        ("1234567890.123456789", "1234567890.123456789"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("52.520007999999997", "52.520008"),  # up to 17 digits: the shortest that are the same float
    ],
)
@pytest.mark.parametrize("neighbour", ["1.5", "123456789012345678901234567890"])
def test_a_decimal_keeps_its_digits_whatever_stands_beside_it(tmp_path: Path, number: str, text: str, neighbour: str) -> None:
    facts = became(written(tmp_path, f'[{{"a": {number}, "b": {neighbour}}}]'.encode()))

    assert facts["first_row"] == [text, neighbour]


def test_nested_integers_keep_all_their_digits(tmp_path: Path) -> None:
    assert became(written(tmp_path, b'[{"a": [18446744073709551616, 0.5]}]'))["data"] == [["[18446744073709551616,0.5]"]]


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_other_programs_write_for_no_number_is_null(tmp_path: Path, constant: bytes) -> None:
    assert became(written(tmp_path, b'[{"a": %s}, {"a": 1.5}]' % constant))["data"] == [["1.5"]]


def test_half_a_surrogate_pair_does_not_end_the_job(tmp_path: Path) -> None:
    facts = became(written(tmp_path, b'[{"a": "x\\ud83d"}, {"a": "y"}]'))

    assert facts["data"] == [["x\ufffd"], ["y"]]


@pytest.mark.parametrize("wrapped", [{"n": 2, "rows": [{"a": 1}], "tags": ["x"]}, {"rows": [{"a": 1}], "empty": []}])
def test_an_object_with_one_array_of_objects_is_that_array(tmp_path: Path, wrapped: Any) -> None:
    assert became(written(tmp_path, wrapped))["data"] == [["1"]]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": [{"x": 1}], "b": [{"y": 1}]}, "not-tabular"),
        ({"a": {"x": 1}}, "not-tabular"),
        ([[1, 2], [3, 4]], "not-tabular"),
        ([{"a": 1}, 5], "not-tabular"),
        ("text", "not-tabular"),
        ([], "empty"),
        ([{}, {}], "empty"),
        ({"rows": []}, "empty"),
    ],
)
def test_json_without_a_table_says_what_it_is(tmp_path: Path, value: Any, code: str) -> None:
    assert refused(written(tmp_path, value), "JSON")[0] == code


@pytest.mark.parametrize("content", [b'[{"a": 1}, {"a":', b'[{"a": 1}] and more', b"[{'a': 1}]x", b'[{"a":' + b"[" * 200_000])
def test_broken_json_is_corrupt(tmp_path: Path, content: bytes) -> None:
    assert refused(written(tmp_path, content), "JSON")[0] == "corrupt"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_other_encodings_of_unicode(tmp_path: Path, encoding: str) -> None:
    facts = became(written(tmp_path, '[{"stadt": "Köln"}, {"stadt": "Łódź"}]'.encode(encoding)), "JSON")

    assert facts["data"] == [["Köln"], ["Łódź"]]


def test_a_legacy_encoding_that_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[{"stadt": "Köln"}]'.encode("cp1252"))

    assert became(path, "JSON", encoding="cp1252")["data"] == [["Köln"]]


# -------------------------------------------------------------------------------------------------------------- lines


def test_one_object_a_line_is_known_by_its_second_line(tmp_path: Path) -> None:
    facts = became(written(tmp_path, b'{"a": 1}\n\n{"b": 2, "a": 3}\r\n'), "JSON")

    assert (facts["format"], facts["data"], facts["blank_skipped"]) == ("NDJSON", [["1", None], ["3", "2"]], 1)


def test_a_single_line_needs_to_be_declared(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"a": 1}\n', "x")

    assert became(path, "NDJSON")["data"] == [["1"]]
    assert refused(path, "JSON")[0] == "not-tabular"


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    code, message = refused(written(tmp_path, b'{"a": 1}\n{"a": 2}\n{"a": \n'))

    assert code == "corrupt"
    assert message.startswith("Line 3 ")


def test_an_object_over_several_lines_is_no_ndjson(tmp_path: Path) -> None:
    assert became(written(tmp_path, b'{\n"rows":\n[{"a": 1}]}\n'))["format"] == "JSON"


# ------------------------------------------------------------------------------------------------------------ GeoJSON

POINT = {"type": "Point", "coordinates": [13.4, 52.5]}
FEATURES = [
    {"type": "Feature", "properties": {"name": "A", "geometry": "own"}, "geometry": POINT},
    {"type": "Feature", "properties": None, "geometry": POINT},
    {"type": "Feature", "properties": {"late": 1}, "geometry": None},
]


def test_a_feature_is_its_properties_then_its_geometry(tmp_path: Path) -> None:
    facts = became(written(tmp_path, {"type": "FeatureCollection", "name": "x", "features": FEATURES}))

    assert facts["format"] == "GeoJSON"
    assert types(facts) == {"name": "text", "geometry": "text", "late": "integer", "geometry_2": "json"}
    assert facts["data"][0] == ["A", "own", None, '{"type":"Point","coordinates":[13.4,52.5]}']
    assert facts["data"][2] == [None, None, "1", None]


def test_a_single_feature_and_features_by_line(tmp_path: Path) -> None:
    lines = "".join("\x1e" + json.dumps(feature) + "\n" for feature in FEATURES).encode()

    assert became(written(tmp_path, FEATURES[0], "one.geojson"))["rows"] == 1
    facts = became(written(tmp_path, lines, "x.geojsonl"))
    assert (facts["format"], facts["rows"]) == ("GeoJSON", 3)


# ------------------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    "value",
    [
        [{"b": 1.5, "a": "x"}, None, {"c": [1], "a": "y"}],
        {"head": {"k": [1]}, "rows": [{"a": "01", "n": {"x": 0.25}}, {"b": True}], "tags": ["x"]},
        {"type": "FeatureCollection", "bbox": [1, 2], "features": FEATURES},
    ],
)
def test_a_large_document_is_streamed_to_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    at_once = became(written(tmp_path, value))
    monkeypatch.setattr(json_reader, "STREAM_FROM_BYTES", 10)

    assert became(written(tmp_path, value)) == at_once


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'[{"a": 1}, {"a":', "corrupt"),
        (b'{"a": {"x": 1}}', "not-tabular"),
        (b'{"a": [{"x": 1}], "b": [{"y": 1}]}', "not-tabular"),
    ],
)
def test_a_large_document_fails_like_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, code: str
) -> None:
    monkeypatch.setattr(json_reader, "STREAM_FROM_BYTES", 10)

    assert refused(written(tmp_path, content))[0] == code
