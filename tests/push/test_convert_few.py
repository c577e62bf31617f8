"""Few values are converted one by one in Python, many by Polars; nobody can tell which it was."""

import json
from dataclasses import replace

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.push.chunks import record_texts
from consumer.push.convert import converted
from consumer.push.convert_few import texts_of
from consumer.push.layouts import Layout
from consumer.push.rules import MARKS, RULES, Rule, rule_of_format
from consumer.push.table import Column
from consumer.push.values import FEW_ROWS, Few, Many, matches

_FORMATS = ("%d.%m.%y", "%Y%m%d", "%d %b %Y %I:%M %p", "%Y/%m/%d %H:%M:%S.%f", "%d. %B %Y")
_ALL = (*RULES, *(rule_of_format(one) for one in _FORMATS))


def column_of(rule: Rule, ckan: str) -> Column:
    layout = rule.layout and (rule.layout if rule.layout.strptime else _seen(rule.layout))
    return Column(
        position=0, name="a", label=None, rich=rule.rich, ckan=ckan, nulls=0, null_tokens=0, tokens=("NA", "-999"),
        decimal_mark=rule.mark, grouping=rule.grouping, layout=layout,
    )  # fmt: skip


def _seen(layout: Layout) -> Layout:
    return replace(layout, meridiem=True, offset=True, short_year=layout.month_name)


def kinds(rule: Rule) -> list[str]:
    return {"date": ["timestamp", "date", "text"], "timestamp": ["timestamp", "date"], "boolean": ["boolean"]}.get(
        rule.rich, ["numeric"]
    )


@pytest.mark.parametrize(("rule", "ckan"), [(rule, ckan) for rule in _ALL for ckan in kinds(rule)], ids=str)
def test_both_ways_give_the_same_texts(rule: Rule, ckan: str) -> None:
    column = column_of(rule, ckan)

    usual = [
        one for one in ("2024-02-29 23:59:59", "2024-02-29T00:00:00", "-12.50", "0", "NA") if rule.fits(one) or one == "NA"
    ]

    @example(usual)
    @given(
        st.lists(st.one_of(st.from_regex(rule.pattern, fullmatch=True), st.sampled_from(["NA", "-999"]), st.none()), max_size=8)
    )
    def same(values: list[str | None]) -> None:
        assert texts_of(values, column) == converted(pl.Series(values, dtype=pl.String), column).to_list()

    same()


@pytest.mark.parametrize("rule", _ALL, ids=lambda rule: rule.name)
def test_a_text_that_fits_a_rule_begins_and_holds_what_the_rule_says(rule: Rule) -> None:
    @given(st.from_regex(rule.pattern, fullmatch=True))
    def fits(text: str) -> None:
        assert rule.fitting([text]) == rule.fits(text)
        assert rule.may_fit({text[:1]}, MARKS.intersection(text))

    fits()


@given(st.sampled_from(RULES), st.lists(st.text("0123456789-+.,: /TZeE\nJanfb", max_size=12), max_size=6))
def test_both_ways_find_the_same_misfits(rule: Rule, texts: list[str]) -> None:
    column = pl.Series(texts, dtype=pl.String)
    few, many = Few.of(column), Many.of(column)
    assert list(few.misfits(rule).values) == list(many.misfits(rule).frame.iter_rows())
    assert rule.fitting(texts) == matches(column, rule).sum()
    assert few.any("[0-9:.Mm] ?(?:Z|[+-][0-9:]{2,5})$") == many.any("[0-9:.Mm] ?(?:Z|[+-][0-9:]{2,5})$")
    known, others = few.split(("1", "", "0"))
    assert (known.counts(), others.counts()) == tuple(one.counts() for one in many.split(("1", "", "0")))


def test_a_moment_before_the_first_year_is_left_to_polars() -> None:
    column = column_of(next(rule for rule in RULES if rule.name == "moment ymd-"), "timestamp")
    values = ["0001-01-01T00:30+01:00"]
    assert texts_of(values, column) == converted(pl.Series(values), column).to_list()


def test_records_of_few_rows_are_those_of_many() -> None:
    number = column_of(RULES[4], "numeric")
    columns = [replace(number, name='a "b"'), replace(number, position=1, name="j", rich="json", ckan="json")]
    rows = [["+1", '{"a": [1, null]}'], [None, None], ["NA", '"é\\u0000"']]
    few = pa.RecordBatch.from_arrays([pa.array(list(one)) for one in zip(*rows, strict=True)], names=["c0", "c1"])
    many = pa.RecordBatch.from_arrays([pa.array(list(one) * FEW_ROWS) for one in zip(*rows, strict=True)], names=["c0", "c1"])
    expected = [json.loads(one) for one in record_texts(many, columns)[: len(rows)]]
    assert [json.loads(one) for one in record_texts(few, columns)] == expected
