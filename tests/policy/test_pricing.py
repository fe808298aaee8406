"""What a request costs: exactly as fractions say, at most its worst case, and never nothing by mistake."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotPriced
from gateway.policy.facts import Facts
from gateway.policy.pricing import ASSUMED_CALLS, FREE, MILLION, Price
from gateway.policy.rates import Rates, reachable
from gateway.policy.records import Usage

DOLLAR = 10**9
KINDS = ("cached", "cache_write", "input_audio", "cached_audio", "input_image", "cached_image")
OUT = ("output", "reasoning", "output_audio", "output_image")
NANO = st.integers(0, 200 * DOLLAR)
TIERS = ("", "default", "auto", "flex", "priority", "fast", "scale")


def facts(**changes: Any) -> Facts:
    usual = {"model": "m", "stream": False, "include_usage": None, "n": 1, "max_output": None}
    return Facts(**{**usual, "store": None, "stateful": False, "spans": {}, **changes})


def price(**changes: Any) -> Price:
    rates = changes.pop("rates", {"input": 2 * DOLLAR, "cached": DOLLAR // 2, "output": 8 * DOLLAR})
    return Price("m", "test", ((0, Rates.of(rates)),), **changes)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    kinds = draw(st.sets(st.sampled_from(KINDS + OUT)))
    return Rates.of({kind: draw(NANO) for kind in sorted(kinds | {"input"})})


@st.composite
def prices(draw: st.DrawFn) -> Price:
    def steps() -> tuple[tuple[int, Rates], ...]:
        above = sorted(draw(st.sets(st.integers(1, 10_000), max_size=2)))
        return tuple((start, draw(rates())) for start in (0, *above))

    return Price(
        "m",
        "test",
        steps(),
        tiers={tier: steps() for tier in draw(st.sets(st.sampled_from(TIERS[3:6])))},
        factors=draw(st.dictionaries(st.sampled_from(TIERS[2:6]), st.integers(0, 5 * MILLION))),
        request=draw(st.integers(0, DOLLAR)),
        fees={tool: draw(NANO) for tool in ("web_search", "file_search", "code_interpreter")},
    )


COUNTS = {
    name: st.integers(0, 12_000)
    for name in ("input", "output", *KINDS, *OUT)
}  # fmt: skip
CALLS = {name: st.integers(0, 16) for name in ("web_searches", "file_searches", "code_sessions")}
USAGES = st.builds(Usage, **COUNTS, **CALLS, tier=st.sampled_from(TIERS))


@st.composite
def sound(draw: st.DrawFn) -> Usage:
    """A usage whose parts add up."""
    n = st.integers(0, 10**7)
    cached_audio, cached_image, cached_text = draw(n), draw(n), draw(n)
    audio, image, written, text = draw(n), draw(n), draw(n), draw(n)
    spoken, drawn, thought, answer = draw(n), draw(n), draw(n), draw(n)
    return Usage(
        input=cached_audio + cached_image + cached_text + audio + image + written + text,
        cached=cached_audio + cached_image + cached_text,
        cached_audio=cached_audio,
        cached_image=cached_image,
        input_audio=audio + cached_audio,
        input_image=image + cached_image,
        cache_write=written,
        output=spoken + drawn + thought + answer,
        output_audio=spoken,
        output_image=drawn,
        reasoning=thought,
    )


def exactly(rates: Rates, usage: Usage) -> Fraction:
    """Nano-dollars, by the book."""
    old_text = usage.cached - usage.cached_audio - usage.cached_image
    fresh_audio = usage.input_audio - usage.cached_audio
    fresh_image = usage.input_image - usage.cached_image
    text = usage.input - usage.cached - usage.cache_write - fresh_audio - fresh_image
    answer = usage.output - usage.reasoning - usage.output_audio - usage.output_image
    parts = (
        *((text, rates.input), (old_text, rates.cached), (usage.cache_write, rates.cache_write)),
        *((fresh_audio, rates.input_audio), (usage.cached_audio, rates.cached_audio)),
        *((fresh_image, rates.input_image), (usage.cached_image, rates.cached_image)),
        *((answer, rates.output), (usage.reasoning, rates.reasoning)),
        *((usage.output_audio, rates.output_audio), (usage.output_image, rates.output_image)),
    )
    return sum((Fraction(tokens) * Fraction(rate, MILLION) for tokens, rate in parts), Fraction(0))


@given(rates(), sound(), st.integers(0, DOLLAR), st.integers(0, 5 * MILLION))
def test_a_cost_is_the_exact_sum_rounded_up_once(
    rates: Rates, usage: Usage, request: int, factor: int
) -> None:
    price = Price("m", "test", ((0, rates),), factors={"t": factor}, request=request)
    exact = exactly(rates, usage)
    assert price.cost(usage) == math.ceil(exact) + request
    assert price.cost(replace(usage, tier="t")) == math.ceil(exact * Fraction(factor, MILLION)) + request


@given(prices(), USAGES, st.sampled_from((None, *TIERS)), st.integers(0, 5), st.booleans())
def test_the_worst_case_is_never_below_a_cost(
    price: Price, usage: Usage, asked: str | None, more: int, own_tier: bool
) -> None:
    """Whatever the parts are, sound or not; served in the tier that was asked for, or the standard one."""
    served = (asked or "auto") if own_tier else ""
    used = replace(usage, tier=served)
    asking = facts(
        tier=asked,
        tools=frozenset({"web_search", "file_search", "code_interpreter"}),
        audio="output_audio" in price.steps[0][1].own,
    )
    if not asking.audio:
        used = replace(used, output_audio=0)
    assert price.worst(usage.input + more, usage.output + more, asking) >= price.cost(used) >= 0


def test_a_step_prices_all_tokens_of_the_request() -> None:
    low, high = (
        Rates.of({"input": DOLLAR, "output": DOLLAR}),
        Rates.of({"input": 2 * DOLLAR, "output": DOLLAR}),
    )
    price = Price("m", "test", ((0, low), (272_000, high)))
    assert price.cost(Usage(input=272_000)) == 272_000 * 1000
    assert price.cost(Usage(input=272_001)) == 272_001 * 2000


def test_the_worst_case_minds_a_step_that_is_cheaper() -> None:
    dear, cheap = Rates.of({"input": 9 * DOLLAR, "output": 0}), Rates.of({"input": DOLLAR, "output": 0})
    price = Price("m", "test", ((0, dear), (10, cheap)))
    assert price.worst(11, 0, facts()) >= price.cost(Usage(input=10))


def test_the_worst_case_is_the_dearest_kind_of_each_direction() -> None:
    dear = price(rates={"input": 1, "cache_write": 5, "output": 2, "output_audio": 9, "reasoning": 3})
    assert dear.worst(MILLION, MILLION, facts()) == 5 + 3
    assert dear.worst(MILLION, MILLION, facts(audio=True)) == 5 + 9


def test_tiers() -> None:
    usage = {"input": MILLION}
    tiered = price(
        tiers={"priority": ((0, Rates.of({"input": 5 * DOLLAR, "output": DOLLAR})),)},
        factors={"flex": MILLION // 2, "priority": 2 * MILLION},
    )
    costs = {
        tier: tiered.cost(Usage(**usage, tier=tier)) for tier in ("", "default", "flex", "priority", "new")
    }
    assert costs == {
        "": 2 * DOLLAR,
        "default": 2 * DOLLAR,
        "flex": DOLLAR,
        "priority": 5 * DOLLAR,  # its own, not twice the standard
        "new": 5 * DOLLAR,  # the dearest that is known
    }
    worsts = {tier: tiered.worst(MILLION, 0, facts(tier=tier)) for tier in (None, "flex", "priority", "new")}
    assert worsts == {None: 2 * DOLLAR, "flex": 2 * DOLLAR, "priority": 5 * DOLLAR, "new": 5 * DOLLAR}


def test_what_a_request_without_a_tier_gets_can_be_told() -> None:
    told = price(factors={"auto": 2 * MILLION})
    assert told.worst(MILLION, 0, facts()) == 4 * DOLLAR
    assert told.cost(Usage(input=MILLION)) == 2 * DOLLAR


def test_fees() -> None:
    fees = price(request=7, fees={"web_search": 100, "file_search": 10, "image_generation": 1000})
    assert fees.cost(Usage(web_searches=2, file_searches=3, image_calls=1)) == 7 + 200 + 30 + 1000
    both = facts(tools=frozenset({"web_search", "file_search"}))
    assert fees.worst(0, 0, both) == 7 + ASSUMED_CALLS * 110
    assert fees.worst(0, 0, facts(tools=both.tools, max_tool_calls=2)) == 7 + 220
    assert fees.worst(0, 0, facts(tools=both.tools, max_tool_calls=0)) == 7


def test_a_call_that_happened_is_never_free() -> None:
    assert price().cost(Usage(web_searches=1, file_searches=1, code_sessions=1)) == 42_500_000


@pytest.mark.parametrize("tool", ["web_search", "file_search", "image_generation", "shell", "newest"])
def test_a_tool_without_a_fee_is_refused(tool: str) -> None:
    with pytest.raises(NotPriced, match=tool) as refused:
        price().worst(1, 1, facts(tools=frozenset({tool})))
    assert (refused.value.code, refused.value.param) == ("feature_not_priced", "tools")


def test_a_spoken_answer_without_a_price_of_audio_is_refused() -> None:
    with pytest.raises(NotPriced) as refused:
        price().worst(1, 1, facts(audio=True))
    assert (refused.value.code, refused.value.param) == ("feature_not_priced", "modalities")


def test_free_is_free() -> None:
    everything = facts(tools=frozenset({"newest"}), audio=True, tier="priority")
    assert FREE.worst(MILLION, MILLION, everything) == 0
    assert FREE.cost(Usage(input=MILLION, output=MILLION, web_searches=3, tier="x")) == 0


@given(
    prices(), st.integers(0, 12_000), st.integers(0, 12_000), st.sampled_from((None, *TIERS)), st.booleans()
)
def test_the_worst_case_is_that_of_the_dearest_rates_within_reach(
    price: Price, into: int, out: int, tier: str | None, audio: bool
) -> None:
    """Also when it is asked for again."""
    if audio and "output_audio" not in price.steps[0][1].own:
        return
    ways = [(price.steps, MILLION)]
    if tier is not None and tier in price.tiers:
        ways += [(price.tiers[tier], MILLION)]
    elif tier is not None and tier in price.factors:
        ways += [(price.steps, price.factors[tier])]
    elif tier not in (None, "", "auto", "default"):
        ways += [(steps, MILLION) for steps in price.tiers.values()]
        ways += [(price.steps, factor) for factor in price.factors.values()]
    most = max(
        rates.worst(into, out, audio) * factor for steps, factor in ways for rates in reachable(steps, into)
    )
    asking = facts(tier=tier, audio=audio)
    for _ in range(2):
        assert price.worst(into, out, asking) == -(-most // MILLION**2) + price.request
