import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.push.readers.cells import float_text, text, texts

DAY, MOMENT, CLOCK = datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 10, 20, 30), datetime.time(8, 5)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a", "", None], ["a", "", None]),
        ([1.0, "", 2.5], ["1", None, "2.5"]),
        ([1.0, -0.0, 3.0], ["1", "0", "3"]),
        ([1e22, 1.5], ["10000000000000000000000", "1.5"]),
        ([float("nan"), 1.0], [None, "1"]),
        ([True, "", False], ["true", None, "false"]),
        ([DAY, ""], ["2024-01-31", None]),
        ([DAY, MOMENT], ["2024-01-31T00:00:00", "2024-01-31T10:20:30"]),
        ([MOMENT, MOMENT.replace(microsecond=1)], ["2024-01-31T10:20:30", "2024-01-31T10:20:30.000001"]),
        ([CLOCK, ""], ["08:05:00", None]),
        ([DAY, "x", 12.0], ["2024-01-31", "x", "12"]),
        ([datetime.timedelta(hours=26, minutes=5)], ["26:05:00"]),
        ([-datetime.timedelta(seconds=61)], ["-00:01:01"]),
        (["", ""], ["", ""]),
        ([], []),
    ],
)
def test_a_column_of_cells_as_text(cells: list[object], expected: list[str | None]) -> None:
    assert texts(cells).to_pylist() == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_float_gives_the_same_float(number: float) -> None:
    said = float_text(number)

    assert said is not None
    assert float(said) == number


@given(st.lists(st.floats(), min_size=1))
def test_columns_of_floats_mean_the_same_as_their_cells(numbers: list[float]) -> None:
    whole = [None if one is None else float(one) for one in texts(numbers).to_pylist()]

    assert whole == [None if (said := text(number)) is None else float(said) for number in numbers]
