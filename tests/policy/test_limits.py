import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.limits import owner_of, parse_limit, parse_limits
from gateway.policy.records import Kind, Limit, Unit, Window

NANO = 10**9


@pytest.mark.parametrize(
    ("text", "unit", "amount", "window", "kind"),
    [
        ("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, Kind.RATE),
        ("1 request/second", Unit.REQUESTS, 1, Window.SECOND, Kind.RATE),
        ("500 requests/day", Unit.REQUESTS, 500, Window.DAY, Kind.BUDGET),
        ("100k tokens/minute", Unit.TOKENS, 100_000, Window.MINUTE, Kind.RATE),
        ("1.5M tokens/hour", Unit.TOKENS, 1_500_000, Window.HOUR, Kind.RATE),
        ("1.5M tokens/day", Unit.TOKENS, 1_500_000, Window.DAY, Kind.BUDGET),
        ("20M tokens/month", Unit.TOKENS, 20_000_000, Window.MONTH, Kind.BUDGET),
        ("8 concurrent", Unit.SLOTS, 8, None, Kind.CONCURRENCY),
        ("$5/day", Unit.DOLLARS, 5 * NANO, Window.DAY, Kind.BUDGET),
        ("$0.50/month", Unit.DOLLARS, NANO // 2, Window.MONTH, Kind.BUDGET),
        ("$1k/week", Unit.DOLLARS, 1000 * NANO, Window.WEEK, Kind.BUDGET),
        ("$100/total", Unit.DOLLARS, 100 * NANO, Window.TOTAL, Kind.BUDGET),
        ("$100 total", Unit.DOLLARS, 100 * NANO, Window.TOTAL, Kind.BUDGET),
    ],
)
def test_reads_what_a_person_writes(
    text: str, unit: Unit, amount: int, window: Window | None, kind: Kind
) -> None:
    limit = parse_limit(text, "key:a")
    assert (limit.unit, limit.amount, limit.window, limit.kind) == (unit, amount, window, kind)
    assert (limit.scope, limit.models, limit.shadow) == ("key:a", (), False)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("100000 tokens/minute", "100k tokens/minute"),
        ("1500k tokens / day", "1.5M tokens/day"),
        ("1234 requests/minute", "1234 requests/minute"),
        ("1 requests/minute", "1 request/minute"),
        ("  8   concurrent ", "8 concurrent"),
        ("$5.00/day", "$5/day"),
        ("$0.5/day", "$0.50/day"),
        ("$0.125 total", "$0.125/total"),
        ("$5/day  on  gpt-6*,o3* , gpt-6*", "$5/day on gpt-6*, o3*"),
    ],
)
def test_one_canonical_wording(text: str, canonical: str) -> None:
    limit = parse_limit(text, "gateway")
    assert limit.text == canonical
    assert parse_limit(canonical, "gateway") == limit


def test_models() -> None:
    assert parse_limit("$5/day on gpt-6*, o3*", "team:x").models == ("gpt-6*", "o3*")


def test_a_table_may_name_a_mode() -> None:
    assert parse_limit({"limit": "$5/day", "mode": "shadow"}, "key:a").shadow
    assert not parse_limit({"limit": "$5/day", "mode": "enforce"}, "key:a").shadow
    assert parse_limit({"limit": "$5/day"}, "key:a") == parse_limit("$5/day", "key:a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "60 requests/minute"),
        ("60", "60 requests/minute"),
        ("lots of tokens", "60 requests/minute"),
        ("lots of tokens/day", "60 requests/minute"),
        ("many tokens/day", "a number such as"),
        ("60 requests minute", "60 requests/minute"),
        ("60 requests", "60 requests/minute"),
        ("60 requests/min", "second, minute, hour, day"),
        ("60 requests/m", "spelled out"),
        ("60 requests/minutes", "spelled out"),
        ("60 reqs/minute", "'requests' or 'tokens'"),
        ("$5/minute", "day, week, month, total"),
        ("0 requests/minute", "more than nothing"),
        ("-5 requests/minute", "a number such as"),
        ("1,000 tokens/minute", "a number such as"),
        ("5K tokens/minute", "a number such as"),
        ("NaN tokens/minute", "a number such as"),
        ("1e9 tokens/minute", "a number such as"),
        ("٣ tokens/minute", "a number such as"),
        ("1.5 requests/minute", "a whole number"),
        ("3G tokens/day", "a number such as"),
        ("3000M tokens/hour", "less than the store can count"),
        ("9999999999M tokens/day", "less than the store can count"),
        ("$10M/day", "less than the store can count"),
        ("$5/day on ", "on gpt-6"),
        ("$5/day on gpt-4 o3", "model names"),
        ("$5/day on a,,b", "model names"),
    ],
)
def test_a_complaint_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_limit(text, "key:a")


@pytest.mark.parametrize(
    "table",
    [{}, {"limit": 5}, {"limit": "$5/day", "mode": "off"}, {"limit": "$5/day", "models": "x"}, 5, None],
)
def test_a_table_that_says_something_else(table: object) -> None:
    with pytest.raises(ValueError, match="shadow"):
        parse_limit(table, "key:a")  # type: ignore[arg-type]


def test_the_largest_amounts_are_exact_in_the_stores_arithmetic() -> None:
    largest = 2**52 // 3_600_000 - 1
    assert parse_limit(f"{largest} tokens/hour", "").amount * 3_600_000 < 2**52
    assert parse_limit("4000000M tokens/day", "").amount == 4 * 10**12
    assert parse_limit("$4M total", "").amount == 4 * 10**15


def test_two_limits_on_one_counter_are_refused() -> None:
    with pytest.raises(ValueError, match="keep one of them"):
        parse_limits(["60 requests/minute", "8 concurrent", "30 requests/minute"], "key:a")
    assert len(parse_limits(["60 requests/minute", "30 requests/minute on o3*"], "key:a")) == 2


@pytest.mark.parametrize("text", ["$5/day", "100k tokens/minute", "1M tokens/month on o3*"])
def test_a_limit_on_what_is_written_may_cap_it_or_learn_it(text: str) -> None:
    plain = parse_limit(text, "key:a")
    assert (plain.cap_output, plain.learned) == (None, False)
    capped = parse_limit({"limit": text, "cap_output": 1_000}, "key:a")
    learned = parse_limit({"limit": text, "estimate": "learned", "mode": "shadow"}, "key:a")
    assert (capped.cap_output, capped.learned, capped.shadow) == (1_000, False, False)
    assert (learned.cap_output, learned.learned, learned.shadow) == (None, True, True)
    assert parse_limit({"limit": text, "estimate": "worst", "cap_output": None}, "key:a") == plain
    assert capped.id == plain.id, "what was used stays when the setting changes"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"limit": "8 concurrent", "cap_output": 5}, "for limits on tokens and dollars"),
        ({"limit": "60 requests/minute", "estimate": "learned"}, "for limits on tokens and dollars"),
        ({"cap_output": 0}, "a whole number of tokens, 1 or more"),
        ({"cap_output": -1}, "a whole number of tokens"),
        ({"cap_output": 1.5}, "a whole number of tokens"),
        ({"cap_output": "1000"}, "a whole number of tokens"),
        ({"cap_output": True}, "a whole number of tokens"),
        ({"cap_output": 10**10}, "a whole number of tokens"),
        ({"estimate": "guess"}, "must be 'worst' or 'learned'"),
        ({"mode": []}, "must be 'enforce' or 'shadow'"),
        ({"cap_output": 5, "estimate": "learned"}, "keep one of them"),
        ({"cap": 5}, "cap_output = TOKENS"),
    ],
)
def test_a_complaint_about_a_table(more: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_limit({"limit": "$5/day", **more}, "key:a")


def test_whose_limit_it_is() -> None:
    owners = [owner_of(parse_limit("8 concurrent", scope)) for scope in ("key:a", "team:blue", "gateway")]
    assert owners == ["this key", "the team 'blue'", "the gateway"]


@given(
    st.integers(1, 2**52 // 3_600_000 - 1),
    st.sampled_from([(unit, window) for unit in ("requests", "tokens") for window in Window]),
    st.lists(st.from_regex(r"[a-z0-9*.:/-]{1,12}", fullmatch=True), max_size=3, unique=True),
)
def test_every_limit_reads_back_from_its_own_wording(
    amount: int, counted: tuple[str, str], models: list[str]
) -> None:
    on = f" on {','.join(models)}" if models else ""
    limit = parse_limit(f"{amount} {counted[0]}/{counted[1]}{on}", "key:a")
    assert (limit.amount, limit.models) == (amount, tuple(models))
    assert parse_limit(limit.text, "key:a") == limit


@given(st.integers(1, 4 * 10**15), st.sampled_from(["day", "week", "month", "total"]))
def test_money_is_exact_to_the_nano_dollar(nano: int, window: str) -> None:
    text = f"${nano // NANO}.{nano % NANO:09d}/{window}"
    limit = parse_limit(text, "")
    assert limit.amount == nano
    assert parse_limit(limit.text, "") == limit


@given(
    st.text(max_size=30) | st.text("0159kM.$/ requests tokens minute day concurrent on gpt*,", max_size=40)
)
def test_any_text_is_a_limit_or_a_sentence(text: str) -> None:
    try:
        found: object = parse_limit(text, "")
    except ValueError as complaint:
        found = str(complaint)
    assert isinstance(found, Limit | str)
    assert found
