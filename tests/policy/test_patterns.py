import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.patterns import fits, matches


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("gpt-4o", "gpt-4o"),
        ("*", ""),
        ("*", "anything"),
        ("gpt-*", "gpt-"),
        ("*-mini", "o3-mini"),
        ("gpt-*-mini*", "gpt-5-mini-2025-08-07"),
        ("ft:*:org:*", "ft:gpt-4o:org::abc"),
    ],
)
def test_fits(pattern: str, text: str) -> None:
    assert fits(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-*", "GPT-4"),
        ("a*a", "a"),
        ("gpt-4?", "gpt-4o"),
        ("gpt-[45]", "gpt-4"),
        ("", "x"),
    ],
)
def test_does_not_fit(pattern: str, text: str) -> None:
    assert not fits(pattern, text)


@given(st.text("ab*", max_size=8), st.text("ab\n", max_size=12))
def test_means_what_a_regular_expression_would(pattern: str, text: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert fits(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_a_hostile_pattern_is_not_slow() -> None:
    assert not fits("*a" * 2000 + "b", "a" * 256)


def test_one_of_several_is_enough() -> None:
    assert matches(("o3*", "gpt-4o"), "gpt-4o")
    assert not matches((), "gpt-4o")
