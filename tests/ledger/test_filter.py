"""Filters on rows as they are stored. What they mean to a table is in test_sink: the same."""

import pytest

from gateway.ledger.filter import EVERYTHING, Filter
from gateway.policy.ledger import encode
from tests.ledger.rows import row

ROW = row(1, tags={"project": "atlas", "empty": ""})
TEXT = encode(ROW)


@pytest.mark.parametrize(
    "where",
    [
        EVERYTHING,
        Filter(key="alice", team="research", model="gpt-4", tag="project=atlas"),
        Filter(since=ROW.time, until=ROW.time + 1),
        Filter(tag="empty="),
        Filter(tag="empty"),
    ],
)
def test_rows_that_match(where: Filter) -> None:
    assert where.matches(TEXT)


@pytest.mark.parametrize(
    "where",
    [
        Filter(key="bob"),
        Filter(key=""),
        Filter(team="ops"),
        Filter(model="gpt-6"),
        Filter(since=ROW.time + 1),
        Filter(until=ROW.time),
        Filter(tag="project=atlas2"),
        Filter(tag="project"),
        Filter(tag="step=draft"),
        Filter(key="alice", team="ops"),
    ],
)
def test_rows_that_do_not(where: Filter) -> None:
    assert not where.matches(TEXT)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b"[1]"])
def test_what_cannot_be_read_is_only_among_all_rows(text: bytes) -> None:
    assert EVERYTHING.matches(text)
    assert not Filter(key="alice").matches(text)
    assert not Filter(until=2**53).matches(text)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert Filter(tag="a=b=c").tag_parts == ("a", "b=c")
