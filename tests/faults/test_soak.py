"""A minute of what `make soak` does for ten."""

from pathlib import Path

import pytest

from tests.faults.book import Book
from tests.faults.soak import soak


@pytest.mark.timeout(600)
@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "rabbitmq"])
def test_a_minute_of_load_and_kills_balances(
    tmp_path: Path, book: Book, request: pytest.FixtureRequest, embedded: bool
) -> None:
    report = soak(tmp_path, seconds=60, jobs=10_000, kill_every_s=3.0, embedded=embedded, seed=1)
    book.pages.append(report.page(request.node.name))
    assert report.account.clean, report
    assert report.accepted > 50 and sum(report.kills.values()) > 5, report
    assert not report.left_in_queues, report
