import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InternalError, QuotaExceeded, RateLimited
from gateway.policy.facts import Facts
from gateway.policy.quota import (
    applies,
    claims_to_admit,
    claims_to_answer,
    duration,
    parse_limit,
    ratelimit_headers,
    refusal,
)
from gateway.policy.records import Claim, Client, Limit, Standing


def client(*limits: str) -> Client:
    return Client(
        id="a", name="alice", digest=b"", limits=tuple(parse_limit(text, "key:a") for text in limits)
    )


def facts(n: int = 1, max_output: int | None = None) -> Facts:
    return Facts("gpt-4o", False, None, n, max_output, None, False, {})


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
)


def test_admission_asks_for_one_request_and_one_slot() -> None:
    claims = claims_to_admit(EVERYTHING, "gpt-4o")
    assert amounts(claims) == {"60 requests/minute": 1, "8 concurrent": 1}
    assert not any(claim.held for claim in claims)
    assert "10 requests/day on o3*" in amounts(claims_to_admit(EVERYTHING, "o3-mini"))


def test_a_limit_on_models_leaves_requests_without_one_alone() -> None:
    assert "10 requests/day on o3*" not in amounts(claims_to_admit(EVERYTHING, None))
    assert not applies(parse_limit("1 concurrent on *", ""), None)


def test_an_answer_is_asked_for_at_its_worst() -> None:
    claims = claims_to_answer(EVERYTHING, facts(n=2, max_output=300), "o3", 50, 9_999)
    assert amounts(claims) == {
        "1k tokens/minute": 650,
        "1M tokens/day": 650,
        "5k tokens/day on o3*": 650,
    }
    assert all(claim.held for claim in claims)


def test_without_a_bound_the_models_own_holds_and_a_rate_is_asked_for_no_more_than_it_has() -> None:
    claims = claims_to_answer(EVERYTHING, facts(), "gpt-4o", 50, 9_999)
    assert amounts(claims) == {"1k tokens/minute": 1_000, "1M tokens/day": 10_049}


def test_a_bound_that_is_too_large_is_asked_for_as_it_is() -> None:
    claims = claims_to_answer(EVERYTHING, facts(max_output=5_000), "gpt-4o", 50, 9_999)
    assert amounts(claims)["1k tokens/minute"] == 5_050


def test_where_nothing_is_generated_the_input_is_all() -> None:
    claims = claims_to_answer(EVERYTHING, facts(max_output=0), "text-embedding-3-small", 50, 9_999)
    assert amounts(claims)["1M tokens/day"] == 50


def standing(text: str, used: int, retry_ms: int, reset_ms: int = 1, scope: str = "key:a") -> Standing:
    return Standing(parse_limit(text, scope), used, retry_ms, reset_ms)


def claim(found: Standing, amount: int) -> Claim:
    return Claim(found.limit, amount, True)


@pytest.mark.parametrize(("retry_ms", "should_retry"), [(1, None), (60_000, None), (60_001, False)])
def test_a_rate_is_retried_when_the_wait_is_short(retry_ms: int, should_retry: bool | None) -> None:
    found = standing("60 requests/minute", 60, retry_ms)
    error = refusal([found], [claim(found, 1)])
    assert isinstance(error, RateLimited)
    assert (error.retry_ms, error.should_retry) == (retry_ms, should_retry)
    assert "60 requests/minute" in error.message
    assert "this key" in error.message


def test_a_claim_that_can_never_fit_says_what_to_send() -> None:
    found = standing("1k tokens/minute", 0, -1, scope="team:blue")
    error = refusal([found], [claim(found, 5_000)])
    assert isinstance(error, RateLimited)
    assert (error.retry_ms, error.should_retry) == (None, False)
    assert "max_tokens" in error.message
    assert "the team 'blue'" in error.message
    assert "5000 tokens" in error.message
    assert "1000 are left" in error.message


def test_a_budget_is_never_retried_and_says_when_it_resets() -> None:
    found = standing("1M tokens/day", 999_000, 7_200_000, scope="gateway")
    error = refusal([found], [claim(found, 5_000)])
    assert isinstance(error, QuotaExceeded)
    assert (error.retry_ms, error.should_retry) == (7_200_000, False)
    assert "2h0m0s" in error.message
    assert "the gateway" in error.message


def test_a_total_that_is_spent_does_not_come_back() -> None:
    found = standing("1M tokens/total", 1_000_000, -1)
    error = refusal([found], [claim(found, 5)])
    assert isinstance(error, QuotaExceeded)
    assert error.retry_ms is None
    assert "does not refill" in error.message


def test_concurrency_says_how_many_are_under_way() -> None:
    found = standing("8 concurrent", 8, 1_000)
    error = refusal([found], [claim(found, 1)])
    assert isinstance(error, RateLimited)
    assert "8 of 8 requests are under way" in error.message


def test_the_longest_wait_speaks_and_never_is_the_longest() -> None:
    short = standing("60 requests/minute", 60, 500)
    long = standing("100 requests/hour", 100, 9_000)
    never = standing("10 tokens/minute", 0, -1)
    free = standing("8 concurrent", 1, 0)
    assert "100 requests/hour" in refusal([short, free, long], []).message
    assert "10 tokens/minute" in refusal([short, long, never], []).message


def test_a_shadow_limit_refuses_nobody() -> None:
    shadow = Standing(parse_limit({"limit": "1 request/day", "mode": "shadow"}, "key:a"), 1, -1, 1)
    real = standing("60 requests/minute", 60, 500)
    assert "60 requests/minute" in refusal([shadow, real], []).message
    assert isinstance(refusal([shadow], []), InternalError)
    assert isinstance(refusal([], []), InternalError)


def test_the_headers_show_the_tightest_limit_of_each_unit() -> None:
    headers = ratelimit_headers(
        [
            standing("60 requests/minute", 30, 0, reset_ms=30_000),
            standing("1000 requests/day", 900, 0, reset_ms=3_600_000),
            standing("8 concurrent", 8, 100),
            standing("100k tokens/minute", 150_000, 100, reset_ms=90_000),
            Standing(parse_limit({"limit": "1 request/day", "mode": "shadow"}, ""), 1, -1, 1),
        ]
    )
    assert headers == [
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "100"),
        ("x-ratelimit-reset-requests", "1h0m0s"),
        ("x-ratelimit-limit-tokens", "100000"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "1m30s"),
    ]
    assert ratelimit_headers([]) == []


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59, "59ms"),
        (1_000, "1s"),
        (1_500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (90_061, "1m30.061s"),
        (3_600_000, "1h0m0s"),
        (90_000_000, "25h0m0s"),
    ],
)
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text


@given(st.integers(0, 10**6), st.integers(1, 128), st.none() | st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_claim_is_never_below_what_can_be_spent_unless_a_rate_holds_less(
    tokens: int, n: int, bound: int | None, cap: int
) -> None:
    worst = tokens + n * (cap if bound is None else bound)
    for found in claims_to_answer(EVERYTHING, facts(n, bound), "gpt-4o", tokens, cap):
        limit: Limit = found.limit
        idle_rate = bound is None and limit.text == "1k tokens/minute"
        assert found.amount == (min(worst, limit.amount) if idle_rate else worst)
