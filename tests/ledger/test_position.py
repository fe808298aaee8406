"""Positions are pairs of numbers, written with a dash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.position import following, parse, render

NUMBERS = st.integers(0, 10**18 - 1)


@given(NUMBERS, NUMBERS)
def test_what_is_rendered_is_parsed_again(milliseconds: int, count: int) -> None:
    assert parse(render(milliseconds, count)) == (milliseconds, count)


@given(NUMBERS, st.integers(0, 10**18 - 2))
def test_nothing_stands_between_a_position_and_the_following_one(milliseconds: int, count: int) -> None:
    assert parse(following(render(milliseconds, count))) == (milliseconds, count + 1)


@pytest.mark.parametrize("text", ["", "-", "1", "1-", "-1", "1-2-3", " 1-2", "1-2\n", "١-٢", f"{10**18}-0"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1790000000000-0"):
        parse(text)
