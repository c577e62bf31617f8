"""Small files, each odd in one way, and the table that the rules (docs/tables.md) make of it."""

from pathlib import Path
from typing import Any

import pytest

from tests.push.reading import became, types

#: name -> (bytes, options, columns and their types, rows)
FILES: dict[str, tuple[bytes, dict[str, Any], dict[str, str], list[list[str | None]]]] = {
    "mark and sep": (b"\xef\xbb\xbfsep=;\na;b\n1;2\n", {}, {"a": "integer", "b": "integer"}, [["1", "2"]]),
    "sep that a cell contradicts": (b"sep=|\na|b\n1,5|2\n", {}, {"a": "decimal", "b": "integer"}, [["1.5", "2"]]),
    "space before a quote": (b'a, "b"\n1, "x, y"\n', {}, {"a": "integer", "b": "text"}, [["1", "x, y"]]),
    "three kinds of line ends": (b"a,b\r\n1,2\n3,4\r5,6\n", {}, {"a": "integer", "b": "integer"},
                                 [["1", "2"], ["3", "4"], ["5", "6"]]),
    "repeated names": (b"a,a,A,a_2\n1,2,3,4\n", {}, dict.fromkeys(("a", "a_3", "A", "a_2"), "integer"), [["1", "2", "3", "4"]]),
    "names of underscores": (b"_id,__x,_\n1,2,3\n", {}, dict.fromkeys(("id", "x", "column_3"), "integer"), [["1", "2", "3"]]),
    "delimiter at each line's end": (b"a,b,\n1,2,\n3,4,\n", {}, {"a": "integer", "b": "integer"}, [["1", "2"], ["3", "4"]]),
    "nothing but tokens": (b"a,b\nNA,1\n-,NA\n", {}, {"a": "text", "b": "integer"}, [["NA", "1"], ["-", None]]),
    "token among booleans": (b"a\nyes\nNA\n", {}, {"a": "text"}, [["yes"], ["NA"]]),
    "38 digits": (b"a\n" + b"9" * 38 + b"\n1\n", {}, {"a": "integer"}, [["9" * 38], ["1"]]),
    "39 digits": (b"a\n" + b"9" * 39 + b"\n1\n", {}, {"a": "text"}, [["9" * 39], ["1"]]),
    "numbers half written": (b"a\n1e5\n-2.5E-3\n.5\n5.\n", {}, {"a": "decimal"}, [["100000"], ["-0.0025"], ["0.5"], ["5"]]),
    "month first until proven": (b"a,b\n01/02/2024,31/01/2024\n", {}, {"a": "date", "b": "date"},
                                 [["2024-02-01T00:00:00", "2024-01-31T00:00:00"]]),
    "one day that is none": (b"a\n2023-02-29\n2024-02-29\n", {}, {"a": "text"}, [["2023-02-29"], ["2024-02-29"]]),
    "24 o'clock": (b"a\n24:00\n", {}, {"a": "text"}, [["24:00"]]),
    "dates among timestamps": (b"a\n2024-01-01\n2024-01-01T10:00:00+02:00\n", {}, {"a": "timestamp"},
                               [["2024-01-01T00:00:00"], ["2024-01-01T08:00:00"]]),
    "quotes in cells": (b'a,b\n5" pipe,1\n6" x,2\n', {}, {"a": "text", "b": "integer"}, [['5" pipe', "1"], ['6" x', "2"]]),
    "apostrophes": (b"a,b\n'x, y',1\n'z',2\n", {}, {"a": "text", "b": "integer"}, [["x, y", "1"], ["z", "2"]]),
    "backslashes": (b'a,b\n"x \\"q\\" y",1\n"z",2\n', {}, {"a": "text", "b": "integer"}, [['x "q" y', "1"], ["z", "2"]]),
    "blank of Unicode": (b"a,b\n \xe2\x80\x83,1\n2,3\n", {}, {"a": "integer", "b": "integer"}, [[None, "1"], ["2", "3"]]),
    "UTF-16 unsaid": ("a,b\n1,é\n".encode("utf-16-le"), {}, {"a": "integer", "b": "text"}, [["1", "é"]]),
    "signs": (b"a\n-0\n+5\n", {}, {"a": "integer"}, [["0"], ["5"]]),
    "no header": (b"1,2\n3,4\n", {"header_row": 0}, {"column_1": "integer", "column_2": "integer"}, [["1", "2"], ["3", "4"]]),
    "header below": (b"x\n\na,b\n1,2\n", {"header_row": 3}, {"a": "integer", "b": "integer"}, [["1", "2"]]),
    "decimal comma said": (b"a;b\n1,234;2\n", {"decimal": ","}, {"a": "decimal", "b": "integer"}, [["1.234", "2"]]),
    "unnamed column with data": (b"a,,c\n1,2,3\n", {}, dict.fromkeys(("a", "column_2", "c"), "integer"), [["1", "2", "3"]]),
    "unnamed column without": (b"a,,c\n1,,3\n", {}, {"a": "integer", "c": "integer"}, [["1", "3"]]),
    "title over decimal commas": (b"Messwerte\nDatum;A;B\n" + b"02.01.2024;1,5;1,25\n" * 300, {"max_rows": 1},
                                  {"Datum": "date", "A": "decimal", "B": "decimal"}, [["2024-01-02T00:00:00", "1.5", "1.25"]]),
    "title over lists in cells": (b"My export\nid,tags\n" + b"1,a;b;c\n" * 300, {"max_rows": 1},
                                  {"id": "integer", "tags": "text"}, [["1", "a;b;c"]]),
    "ragged, and a mark in each row": (b"a,b,c\n" + b"1,x|y,3\n" * 99 + b"1,x|y\n", {"max_rows": 1},
                                       {"a": "integer", "b": "text", "c": "integer"}, [["1", "x|y", "3"]]),
    "commas in names and numbers": (b"Ort;Preis, EUR\nA;1,5\nB;2,5\n", {}, {"Ort": "text", "Preis, EUR": "decimal"},
                                    [["A", "1.5"], ["B", "2.5"]]),
    "commas in words between tabs": (b"name, first\tb\nDoe, J\t1\nRoe, K\t2\n", {}, {"name, first": "text", "b": "integer"},
                                     [["Doe, J", "1"], ["Roe, K", "2"]]),
    "one column of decimal commas": (b"Wert\n12,5\n3,7\n", {}, {"Wert": "decimal"}, [["12.5"], ["3.7"]]),
    "circumflexes and a comma": (b"id^name\n1^a, x\n2^b, y\n", {}, {"id": "integer", "name": "text"},
                                 [["1", "a, x"], ["2", "b, y"]]),
    "blanks and decimal commas": (b"id x y\n1 2,5 3,5\n2 3,5 4,5\n", {}, {"id": "integer", "x": "decimal", "y": "decimal"},
                                  [["1", "2.5", "3.5"], ["2", "3.5", "4.5"]]),
    "blanks in thousands beside decimal commas": (b"prix;pop\n12,5;1 234\n3,25;12 345\n", {},
                                                  {"prix": "decimal", "pop": "decimal"}, [["12.5", "1234"], ["3.25", "12345"]]),
    "names like a Parquet's end": (b"PARENT_ID,NAME\n1,x\n", {}, {"PARENT_ID": "integer", "NAME": "text"}, [["1", "x"]]),
    "names like a Parquet's beginning": (b"PAR1,PAR2\n1,2\n", {}, {"PAR1": "integer", "PAR2": "integer"}, [["1", "2"]]),
    "names like a film's": (b"fid,ftype\n1,2\n", {}, {"fid": "integer", "ftype": "integer"}, [["1", "2"]]),
    "names like a sound's": (b"buoy_id,WAVE_HEIGHT\n1,2\n", {}, {"buoy_id": "integer", "WAVE_HEIGHT": "integer"}, [["1", "2"]]),
    "names like a packed file's": (b"BZh,NAME\n1,2\n", {}, {"BZh": "integer", "NAME": "integer"}, [["1", "2"]]),
    "names like tags": (b"<TICKER>,<PER>\nA,1\n", {}, {"<TICKER>": "text", "<PER>": "integer"}, [["A", "1"]]),
    "names like tags, and tabs": (b"<DATE>\t<OPEN>\n2024-01-02\t1\n", {}, {"<DATE>": "date", "<OPEN>": "integer"},
                                  [["2024-01-02T00:00:00", "1"]]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_becomes_its_table(tmp_path: Path, name: str) -> None:
    data, options, columns, rows = FILES[name]
    path = tmp_path / "odd.csv"
    path.write_bytes(data)

    facts = became(path, "CSV", **options)

    assert list(types(facts).items()) == list(columns.items())
    assert facts["data"] == rows
