"""Where there is much room, what is claimed is a bound; where there is little, tokens are counted."""

import json
from typing import Any

import pytest

from gateway.exchange import Exchange
from gateway.policy.facts import read
from gateway.policy.quota import parse_limits
from gateway.policy.records import Client
from gateway.sized import claims_by_size
from tests.exchanges import ended
from tests.running import Running

PLAIN: list[Any] = [{"role": "user", "content": "hi"}]
PICTURE: list[Any] = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a"}}]}]
OUT = 5


def asking(*limits: str, messages: Any = PLAIN, **changes: Any) -> tuple[Exchange, Client]:
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages, "max_tokens": OUT}).encode()
    client = Client("a", "a", b"", limits=parse_limits(limits, "key:a"))
    exchange = ended(client=client, body=body, sent_model="gpt-4o-mini", worst_output=OUT, **changes)
    exchange.facts = read(exchange.endpoint, body)
    return exchange, client


def claimed(gateway: Running, exchange: Exchange, client: Client) -> list[int] | None:
    assert exchange.facts is not None
    claims = claims_by_size(gateway.gateway, exchange, client, exchange.facts)
    return None if claims is None else [claim.amount for claim in claims]


async def test_a_wide_limit_is_asked_for_no_less_than_the_tokens(gateway: Running) -> None:
    exchange, client = asking("1M tokens/day", "$500/month", "9 concurrent")
    tokens, money = claimed(gateway, exchange, client) or []
    assert exchange.worst == money
    assert exchange.input_tokens is None  # to be counted, where it is charged
    counted = await gateway.gateway.tokens.input_of(exchange)
    assert counted + OUT <= tokens < 1_000


@pytest.mark.parametrize("limit", ["100k tokens/day", "10k tokens/minute", "$0.01/day"])
async def test_one_narrow_limit_is_enough_to_count(gateway: Running, limit: str) -> None:
    assert claimed(gateway, *asking(limit)) is None
    assert claimed(gateway, *asking("1000M tokens/month", limit)) is None
    assert claimed(gateway, *asking("1000M tokens/month", f"{limit} on o3*")) is not None


@pytest.mark.parametrize("known", [{"messages": PICTURE}, {"input_tokens": 8}, {"upload": object()}])
async def test_what_counts_by_constants_or_is_known_is_not_bounded(
    gateway: Running, known: dict[str, Any]
) -> None:
    assert claimed(gateway, *asking("1000M tokens/day", **known)) is None
