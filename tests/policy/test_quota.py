import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InternalError, QuotaExceeded, RateLimited
from gateway.policy.quota import duration, parse_limit, ratelimit_headers, refusal, shadow_refusals
from gateway.policy.records import Claim, Standing
from gateway.policy.windows import Reading
from gateway.policy.windows import standing as stands


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


def money(text: str, used: int, retry_ms: int, asked: int) -> str:
    found = standing(text, used, retry_ms)
    error = refusal([found], [claim(found, asked)])
    assert isinstance(error, QuotaExceeded)
    assert error.should_retry is False
    return error.message


def test_a_budget_in_dollars_says_what_it_could_cost_what_is_left_and_what_to_do() -> None:
    assert money("$5/day", 4_998_960_000, 5_000, 12_340_001) == (
        "The limit '$5/day' of this key is reached. "
        "This request can cost up to $0.0124, and $0.00104 is left. "
        "Try again in 5s, or send a smaller max_tokens, or ask a cheaper model."
    )
    assert "It can never fit: send max_tokens" in money("$0.01/day", 0, -1, 20_000_000)
    assert "$0.00 is left. It does not refill: ask for a larger limit." in money("$1 total", 10**9, -1, 5)
    left = money("$1 total", 5 * 10**8, -1, 6 * 10**8)
    assert "$0.60, and $0.50 is left. It does not refill: ask for a larger limit, or send a smaller" in left


@given(st.integers(1, 10**13), st.integers(0, 10**13))
def test_what_does_not_fit_never_reads_as_if_it_had(asked: int, left: int) -> None:
    asked += left
    message = money(f"${10**5}/day", 10**14 - left, 5, asked)
    most, rest = (
        Decimal(match.replace(",", "")) for match in re.findall(r"\$([0-9.]+)(?:,| is left)", message)
    )
    assert most * 10**9 >= asked > left >= rest * 10**9


def test_shadow_limits_that_would_have_refused_are_named() -> None:
    def shadow(text: str, retry_ms: int) -> Standing:
        return Standing(parse_limit({"limit": text, "mode": "shadow"}, "key:a"), 1, retry_ms, 1)

    found = [shadow("$1/day", 5), shadow("$2/day", 0), shadow("1 concurrent", -1), standing("$3/day", 9, 5)]
    assert shadow_refusals(found) == ["$1/day", "1 concurrent"]


@pytest.mark.parametrize("admitted", [True, False])
def test_whether_a_shadow_limit_would_have_refused_is_told_by_how_it_stood_before(admitted: bool) -> None:
    shadow = parse_limit({"limit": "$1/day", "mode": "shadow"}, "key:a")

    def after(used: int, held: int) -> Standing:
        return stands(shadow, 10**8, Reading(used, held), 5_000, admitted)

    assert shadow_refusals([after(8 * 10**8, 10**8)]) == [], "what it was asked for filled it, and fitted"
    assert shadow_refusals([after(8 * 10**8, 10**8 + 1)]) == ["$1/day"]
    assert shadow_refusals([after(3 * 10**9, 0)]) == ["$1/day"]
