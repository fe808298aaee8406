"""Money is written exactly, and as nothing but a number."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.money import NANO, dollars


@given(st.integers(-(10**18), 10**18))
def test_no_nano_dollar_is_lost(nano: int) -> None:
    assert Decimal(dollars(nano)) * NANO == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0"), (NANO, "1"), (1, "0.000000001"), (-1_500_000_000, "-1.5"), (123_450, "0.00012345")],
)
def test_it_is_as_short_as_it_can_be(nano: int, text: str) -> None:
    assert dollars(nano) == text
