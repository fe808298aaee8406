import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RateLimited
from gateway.exchange import Outcome
from gateway.observability.accessline import access_line, overhead_seconds
from tests.exchanges import asking, ended


def test_says_ids_and_numbers() -> None:
    exchange = ended(facts=asking(stream=True), cost=1_234_567, saved=89, shadowed=("$5/day",))
    assert access_line(exchange, "gpt-6-luna", 102.0) == {
        "request_id": "req_1",
        "key": "ab12cd",
        "team": "research",
        "endpoint": "chat.completions",
        "model": "gpt-6-luna",
        "upstream": "openai",
        "status": 200,
        "outcome": "complete",
        "cache": "miss",
        "error": None,
        "stream": True,
        "input_tokens": 7,
        "output_tokens": 5,
        "cached_tokens": 3,
        "reasoning_tokens": 2,
        "estimated": False,
        "cost_usd": 0.001234567,
        "saved_usd": 8.9e-8,
        "shadow": ["$5/day"],
        "duration_ms": 2000.0,
        "overhead_ms": 250.0,
        "ttft_ms": 1750.0,
        "bytes_out": 321,
    }


def test_says_nothing_of_what_is_not_known() -> None:
    exchange = ended(client=None, facts=None, usage=None, upstream=None, first_byte=None)
    exchange.error, exchange.outcome = RateLimited("60 requests/minute"), Outcome.REFUSED
    line = access_line(exchange, "none", 102.0)
    nothing = ("key", "team", "upstream", "input_tokens", "estimated", "cost_usd", "ttft_ms")
    assert {name: line[name] for name in nothing} == dict.fromkeys(nothing)
    assert (line["error"], line["outcome"], line["stream"]) == ("rate_limit_exceeded", "refused", False)


def test_has_nothing_that_the_client_wrote() -> None:
    exchange = ended(
        body=b"CANARY",
        facts=asking("CANARY"),
        sent_model="CANARY",
        path_args={"model": "CANARY"},
        headers={"authorization": "CANARY", "x-gateway-tags": "CANARY"},
        error=RateLimited("CANARY"),
        cache_key=b"CANARY",
        tags={"CANARY": "CANARY"},
        hold="CANARY",
    )
    assert "CANARY" not in str(access_line(exchange, "other", 102.0))


def test_overhead_is_what_passed_before_the_first_byte_without_the_waiting() -> None:
    assert overhead_seconds(ended(), 102.0) == 0.25
    assert overhead_seconds(ended(first_byte=None), 102.0) == 0.5
    assert overhead_seconds(ended(upstream_seconds=5.0), 102.0) == 0.0
    assert overhead_seconds(ended(cache="joined"), 102.0) is None


@given(st.lists(st.integers(0, 10**13)))
def test_costs_can_be_added_up_exactly(costs: list[int]) -> None:
    lines = [json.loads(json.dumps(access_line(ended(cost=cost), "other", 102.0))) for cost in costs]
    assert sum(round(line["cost_usd"] * 1e9) for line in lines) == sum(costs)
