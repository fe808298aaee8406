"""Rates: no token is forgotten, none is counted twice, and none is free for want of a price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rates import Rates, rates_at, reachable
from gateway.policy.records import Usage

KINDS = ("cached", "cache_write", "input_audio", "cached_audio", "input_image", "cached_image")
OUT = ("output", "reasoning", "output_audio", "output_image")
NANO = st.integers(0, 10**12)
USAGES = st.builds(Usage, **{name: st.integers(-5, 12_000) for name in ("input", *KINDS, *OUT)})


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    kinds = draw(st.sets(st.sampled_from(KINDS + OUT)))
    return Rates.of({kind: draw(NANO) for kind in sorted(kinds | {"input"})})


@given(rates(), USAGES)
def test_a_token_costs_at_least_the_cheapest_kind_of_its_direction(rates: Rates, usage: Usage) -> None:
    into = min(getattr(rates, kind) for kind in ("input", *KINDS))
    out = min(getattr(rates, kind) for kind in OUT)
    assert rates.amount(usage) >= max(usage.input, 0) * into + max(usage.output, 0) * out


@given(rates(), USAGES)
def test_no_more_tokens_are_counted_than_there_were(rates: Rates, usage: Usage) -> None:
    most = rates.worst(max(usage.input, 0), max(usage.output, 0), audio=True)
    assert 0 <= rates.amount(usage) <= most


def test_spoken_tokens_count_where_there_can_be_any() -> None:
    rates = Rates.of({"input": 1, "output": 2, "output_audio": 9, "reasoning": 3})
    assert (rates.worst(10, 10, audio=False), rates.worst(10, 10, audio=True)) == (40, 100)


def test_steps_begin_above_their_number() -> None:
    low, middle, high = (Rates.of({"input": rate}) for rate in (1, 2, 3))
    steps = ((0, low), (10, middle), (20, high))
    assert [rates_at(steps, tokens).input for tokens in (0, 10, 11, 20, 21)] == [1, 1, 2, 2, 3]
    assert [[each.input for each in reachable(steps, tokens)] for tokens in (10, 20, 21)] == [
        [1],
        [1, 2],
        [1, 2, 3],
    ]


@pytest.mark.parametrize(
    ("kind", "as_what"),
    [
        *((kind, "input") for kind in ("cached", "cache_write", "input_audio", "input_image")),
        *(("cached_audio", "input_audio"), ("cached_image", "input_image")),
        *((kind, "output") for kind in ("reasoning", "output_audio", "output_image")),
    ],
)
def test_a_kind_without_a_price_costs_what_it_is_part_of(kind: str, as_what: str) -> None:
    given = {"input": 3, "output": 5, "input_audio": 7, "input_image": 11, "cached": 2}
    given.pop(kind, None)
    assert getattr(Rates.of(given), kind) == getattr(Rates.of(given), as_what) > 0


def test_cached_audio_without_any_price_of_audio_is_cached_text() -> None:
    assert Rates.of({"input": 3, "cached": 1}).cached_audio == 1


def test_what_comes_out_is_never_free_for_want_of_a_price() -> None:
    assert Rates.of({"input": 3}).output == 3


def test_contradictions_cost_no_more_than_the_whole() -> None:
    rates = Rates.of({"input": 2, "cached": 1, "output": 8})
    assert rates.amount(Usage(input=10, cached=999)) == 10
    assert rates.amount(Usage(input=10, cached=-5, cache_write=-5, output=-1)) == 20
    assert rates.amount(Usage(input=10, cached=10, cached_audio=3, output=4, reasoning=9)) == 10 + 32
