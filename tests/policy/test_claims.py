import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotPriced
from gateway.policy.claims import (
    Demand,
    applies,
    cap_of,
    claims_to_admit,
    claims_to_answer,
    negligible,
    terms,
)
from gateway.policy.facts import Facts
from gateway.policy.limits import parse_limit
from gateway.policy.records import Claim, Client, Limit

CENT = 10**7


def client(*limits: str | dict[str, object]) -> Client:
    return Client(
        id="a", name="alice", digest=b"", limits=tuple(parse_limit(text, "key:a") for text in limits)
    )


def amounts(claims: list[Claim]) -> dict[str, int]:
    return {claim.limit.text: claim.amount for claim in claims}


EVERYTHING = client(
    "60 requests/minute",
    "10 requests/day on o3*",
    "8 concurrent",
    "1k tokens/minute",
    "1M tokens/day",
    "5k tokens/day on o3*",
    "$5/day",
    "$1/day on o3*",
)


def test_admission_asks_for_one_request_and_one_slot() -> None:
    claims = claims_to_admit(EVERYTHING, ["gpt-4o"])
    assert amounts(claims) == {"60 requests/minute": 1, "8 concurrent": 1}
    assert not any(claim.held for claim in claims)
    assert "10 requests/day on o3*" in amounts(claims_to_admit(EVERYTHING, ["o3-mini"]))


def test_a_limit_on_models_leaves_requests_without_one_alone() -> None:
    assert "10 requests/day on o3*" not in amounts(claims_to_admit(EVERYTHING, ()))
    assert not applies(parse_limit("1 concurrent on *", ""), ())


@pytest.mark.parametrize("models", [("o3", "gpt-4o"), ("best", "o3"), ("o3",)])
def test_no_alias_leads_around_a_limit(models: tuple[str, ...]) -> None:
    assert "10 requests/day on o3*" in amounts(claims_to_admit(EVERYTHING, models))
    assert "$1/day on o3*" in amounts(claims_to_answer(EVERYTHING, models, Demand(1, 1, True)))


def test_an_answer_is_asked_for_at_its_worst() -> None:
    claims = claims_to_answer(EVERYTHING, ["o3"], Demand(650, 3 * CENT, bounded=True))
    assert amounts(claims) == {
        "1k tokens/minute": 650,
        "1M tokens/day": 650,
        "5k tokens/day on o3*": 650,
        "$5/day": 3 * CENT,
        "$1/day on o3*": 3 * CENT,
    }
    assert all(claim.held for claim in claims)


def test_without_a_bound_a_rate_is_asked_for_no_more_than_it_has() -> None:
    claims = claims_to_answer(EVERYTHING, ["gpt-4o"], Demand(10_049, 700 * CENT, bounded=False))
    assert amounts(claims) == {"1k tokens/minute": 1_000, "1M tokens/day": 10_049, "$5/day": 700 * CENT}


def test_a_bound_that_is_too_large_is_asked_for_as_it_is() -> None:
    claims = claims_to_answer(EVERYTHING, ["gpt-4o"], Demand(5_050, 0, bounded=True))
    assert amounts(claims)["1k tokens/minute"] == 5_050


LEARNED = client(
    {"limit": "1M tokens/day", "estimate": "learned"}, {"limit": "$5/day", "estimate": "learned"}, "$9/month"
)


@pytest.mark.parametrize(
    ("demand", "tokens", "cost"),
    [
        (Demand(9_000, 90, False, 500, 5), 500, 5),
        (Demand(9_000, 90, False, 9_500, 95), 9_000, 90),  # what is learned is never more than the worst
        (Demand(9_000, 90, False), 9_000, 90),
        (Demand(9_000, 90, True, 500, 5), 9_000, 90),  # a bound is known, and need not be guessed
    ],
)
def test_a_learned_limit_holds_what_is_usual(demand: Demand, tokens: int, cost: int) -> None:
    claims = claims_to_answer(LEARNED, ["gpt-4o"], demand)
    assert amounts(claims) == {"1M tokens/day": tokens, "$5/day": cost, "$9/month": 90}


def test_an_unknown_price_under_a_dollar_limit_is_refused_in_words() -> None:
    with pytest.raises(NotPriced) as caught:
        claims_to_answer(EVERYTHING, ["best", "house-model"], Demand(1, None, True))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "model_not_priced", "model")
    for said in ("'house-model'", "'$5/day' of this key", "[prices.models]"):
        assert said in caught.value.message


def test_an_unknown_price_matters_only_where_dollars_are_limited() -> None:
    demand = Demand(7, None, True)
    shadow = client({"limit": "$5/day", "mode": "shadow"}, "1k tokens/minute", "$5/day on o3*")
    assert amounts(claims_to_answer(shadow, ["house-model"], demand)) == {
        "$5/day": 0,
        "1k tokens/minute": 7,
    }


def facts(max_output: int | None) -> Facts:
    return Facts("gpt-4o", False, None, 1, max_output, None, False, {})


CAPPED = client(
    {"limit": "$5/day", "cap_output": 1_000},
    {"limit": "1M tokens/day", "cap_output": 2_000},
    {"limit": "1k tokens/day on o3*", "cap_output": 10},
    {"limit": "$1/day on gpt-4o", "cap_output": 1, "mode": "shadow"},
)


@pytest.mark.parametrize(
    ("models", "bound", "cap"),
    [
        (["gpt-4o"], None, 1_000),
        (["best", "o3"], None, 10),
        (["gpt-4o"], 50_000, None),
        (["gpt-4o"], 0, None),
    ],
)
def test_the_smallest_cap_that_holds(models: list[str], bound: int | None, cap: int | None) -> None:
    assert cap_of(CAPPED, models, facts(bound)) == cap
    assert cap_of(EVERYTHING, models, facts(bound)) is None


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**17),
    st.booleans(),
    st.none() | st.integers(0, 10**12),
    st.none() | st.integers(0, 10**17),
)
def test_a_claim_is_below_what_can_be_spent_only_where_the_limit_says_so(
    tokens: int, cost: int, bounded: bool, learned_tokens: int | None, learned_cost: int | None
) -> None:
    demand = Demand(tokens, cost, bounded, learned_tokens, learned_cost)
    for found in [
        *claims_to_answer(EVERYTHING, ["gpt-4o"], demand),
        *claims_to_answer(LEARNED, ["gpt-4o"], demand),
    ]:
        limit: Limit = found.limit
        worst = cost if limit.text.startswith("$") else tokens
        may_be_less = not bounded and (limit.learned or limit.text == "1k tokens/minute")
        assert 0 <= found.amount <= worst
        assert may_be_less or found.amount == worst or limit.amount < found.amount


def test_the_terms_of_a_client_are_worked_out_once_and_are_its_own() -> None:
    other = client("1k tokens/minute")
    assert terms(EVERYTHING, ("o3",)) is terms(EVERYTHING, ("o3",))
    assert terms(EVERYTHING, ("o3",)) != terms(EVERYTHING, ("gpt-4o",))
    assert [limit.text for limit in terms(other, ("o3",)).spent] == ["1k tokens/minute"]
    assert terms(other, ("o3",)).admit == ()


@pytest.mark.parametrize(("amount", "small"), [(0, True), (999, True), (1000, False), (10**7, False)])
def test_what_is_less_than_a_thousandth_is_negligible(amount: int, small: bool) -> None:
    limit, wide = parse_limit("1M tokens/day", "key:a"), parse_limit("1000M tokens/month", "key:a")
    claims = [Claim(wide, amount, held=True), Claim(limit, amount, held=True)]
    assert negligible(claims) is small
    assert negligible([])
