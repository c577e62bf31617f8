"""What is told of a column's values, in files with more of them than are counted one by one."""

import statistics
from collections.abc import Iterable
from pathlib import Path

import pytest

from consumer.push.header import WHITESPACE
from consumer.push.options import Options
from consumer.push.profile import Profile
from consumer.push.read import read
from consumer.push.table import DelimitedText

ROWS = 60_000


def profile_of(folder: Path, values: Iterable[object]) -> Profile:
    """Of a file with one more column than *values*, so that none is a blank line."""
    path = folder / "values.csv"
    path.write_text("id,value\n" + "".join(f"{number},{value}\n" for number, value in enumerate(values)), "utf-8")
    table = read(DelimitedText(path), Options(delimiter=","))
    for _ in table.batches():
        pass
    profile = table.columns[1].profile
    assert profile is not None
    return profile


def test_moments_of_numbers_far_from_zero_keep_their_digits(tmp_path: Path) -> None:
    numbers = [10**9 + number % 5_003 / 8 for number in range(ROWS)]
    found = profile_of(tmp_path, numbers)
    assert found.mean == pytest.approx(statistics.fmean(numbers), rel=1e-12)
    assert found.stddev == pytest.approx(statistics.pstdev(numbers), rel=1e-6)
    assert (found.min, found.max) == ("1000000000", "1000000625.25")


def test_distinct_values_beyond_those_counted_are_estimated_within_a_tenth(tmp_path: Path) -> None:
    found = profile_of(tmp_path, (number // 3 for number in range(ROWS)))
    assert not found.distinct_exact
    assert found.distinct == pytest.approx(ROWS / 3, rel=0.1)


@pytest.mark.parametrize("rows", [2_500, 3_992, 5_000, 9_001])
def test_no_more_distinct_values_are_told_than_there_are_rows(tmp_path: Path, rows: int) -> None:
    distinct = profile_of(tmp_path, (f"place {number}" for number in range(rows))).distinct
    assert distinct is not None and distinct <= rows


def test_range_and_lengths_are_right_where_numbers_end_in_a_text(tmp_path: Path) -> None:
    found = profile_of(tmp_path, [*range(100_000, 100_000 + ROWS), "zwölf", "-"])
    assert (found.min, found.max, found.min_length, found.max_length) == ("-", "zwölf", 1, 6)


def test_lengths_are_characters_not_bytes(tmp_path: Path) -> None:
    found = profile_of(tmp_path, ("東" * (2 + number % 7) + f"{number:05}" for number in range(ROWS)))
    assert (found.min_length, found.max_length) == (7, 13)


def test_null_tokens_and_infinite_numbers_spoil_no_mean(tmp_path: Path) -> None:
    found = profile_of(tmp_path, ["NaN", "1e999", *range(ROWS)])
    assert found.mean == pytest.approx((ROWS - 1) / 2)
    assert found.max == str(ROWS - 1)


def test_most_frequent_values_of_rows_that_come_in_rounds_are_all_seen(tmp_path: Path) -> None:
    # Every n-th row, with n a multiple of the round, would always show the same station.
    found = profile_of(tmp_path, (f"station {number % 4}" if number % 64 < 60 else number for number in range(4 * ROWS)))
    told = dict(found.frequent)
    assert sorted(told) == [f"station {number}" for number in range(4)]
    assert all(count == pytest.approx(4 * ROWS * 15 / 64, rel=0.2) for count in told.values())


def test_a_value_is_not_called_frequent_on_the_strength_of_two_sightings(tmp_path: Path) -> None:
    assert profile_of(tmp_path, (number % 50_000 for number in range(4 * ROWS))).frequent == ()


@pytest.mark.parametrize("blank", [one for one in WHITESPACE if one not in "\r\n"], ids=lambda one: f"U+{ord(one):04X}")
def test_white_space_at_either_end_of_a_cell_is_taken_off(tmp_path: Path, blank: str) -> None:
    found = profile_of(tmp_path, [f"a{blank}b", f"{blank}c", f"d{blank}", blank])
    assert [value for value, _ in found.frequent] == [f"a{blank}b", "c", "d"]


def test_separators_of_ascii_are_no_white_space(tmp_path: Path) -> None:
    assert profile_of(tmp_path, ["\x1ca\x1f"]).max == "\x1ca\x1f"
