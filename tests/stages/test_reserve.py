"""Tokens are reserved at their worst, and only a miss pays."""

import asyncio
from decimal import Decimal

import pytest

from gateway.learned import ENOUGH
from tests import books
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, hold
from tests.waiting import until

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def usage(into: int, out: int) -> dict[str, int]:
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}


async def test_the_worst_case_is_held_while_the_answer_is_awaited(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000 tokens/day"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=10, completion_tokens=5)))
    first = asyncio.create_task(_ask(gateway, 1, 600))
    await upstream.received(1)
    assert await _ask(gateway, 2, 600) == 429
    answered.set()
    assert await first == 200
    await gateway.concluded()
    assert await _ask(gateway, 3, 600) == 200
    assert await _used(gateway) == 30


async def test_n_multiplies_and_a_request_that_can_never_fit_is_told_so(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["1000 tokens/day"]')
    async with gateway.post(CHAT, QUESTION | {"max_tokens": 400, "n": 3}) as answer:
        assert answer.status == 429
        assert answer.headers["x-should-retry"] == "false"
        assert "max_tokens" in (await answer.json())["error"]["message"]
    assert upstream.calls == 0
    assert await _used(gateway) == 0


async def test_without_a_bound_a_rate_lets_one_through_when_idle(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000 tokens/minute"]')
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-tokens"] == "1000"


async def test_a_hit_costs_no_tokens_even_when_the_budget_is_gone(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["100 tokens/day"]')
    upstream.plan(chat(prompt_tokens=10, completion_tokens=80))
    assert await _ask(gateway, 1, 80) == 200
    await gateway.concluded()
    assert await _ask(gateway, 2, 80) == 429
    assert await _ask(gateway, 1, 80) == 200
    assert upstream.calls == 1


async def test_a_refusal_gives_back_the_request_that_was_counted(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["2 requests/day", "1000 tokens/day"]')
    for number in range(5):
        assert await _ask(gateway, number, 5000) == 429
        await gateway.concluded()
    assert await _ask(gateway, 9, 50) == 200


# What people say: budgets, models, shadows, several owners


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_budget_of_exactly_so_many_requests_lets_so_many_pass(
    start: Start, upstream: Scripted, requests: int
) -> None:
    # 8 tokens of input at 150 nano-dollars, 100 of output at 600.
    price = 8 * 150 + 100 * 600
    gateway = await start(limits=f'["${Decimal(price * requests) / 10**9:f}/total"]')
    upstream.plan(chat(usage=usage(8, 100)))
    for number in range(requests):
        assert await _ask(gateway, number, 100) == 200
        await gateway.concluded()
    assert await books.used(gateway) == [price * requests]
    async with gateway.post(CHAT, QUESTION | {"seed": 99, "max_tokens": 1}) as answer:
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert "retry-after" not in answer.headers
        assert "It does not refill" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("limit", ["$0.0001/day", "100 tokens/day", "$0.0001/total"])
async def test_what_is_larger_than_the_whole_budget_is_told_that_it_never_fits(
    start: Start, upstream: Scripted, limit: str
) -> None:
    gateway = await start(limits=f'["{limit}"]')
    async with gateway.post(CHAT, QUESTION | {"max_tokens": 1000}) as answer:
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert "retry-after" not in answer.headers
        message = (await answer.json())["error"]["message"]
    assert "It can never fit" in message
    assert limit in message
    assert await books.used(gateway) == [0]


async def test_a_refused_budget_says_when_its_window_ends(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["$0.0001/day", "9 requests/minute"]')
    upstream.plan(chat(usage=usage(8, 100)))
    assert await _ask(gateway, 1, 100) == 200
    await gateway.concluded()
    async with gateway.post(CHAT, QUESTION | {"seed": 2, "max_tokens": 100}) as answer:
        left = 86_400_000 - gateway.gateway.clock.now() % 86_400_000
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert left <= int(answer.headers["retry-after-ms"]) <= left + 2_000
        assert answer.headers["x-ratelimit-limit-requests"] == "9"
    _, refused = await books.rows(gateway)
    assert (refused.status, refused.error, refused.cost) == (429, "insufficient_quota", 0)


ALIAS = '[models.aliases]\n"cheap" = "gpt-4o-mini"'


@pytest.mark.parametrize("pattern", ["cheap", "gpt-4o*"])
async def test_no_alias_leads_around_the_limit_on_a_model(
    start: Start, upstream: Scripted, pattern: str
) -> None:
    gateway = await start(ALIAS, limits=f'["1 requests/total on {pattern}", "$9/total on {pattern}"]')
    assert await _status(gateway, QUESTION | {"model": "cheap", "max_tokens": 9}) == 200
    assert await _status(gateway, QUESTION | {"model": "cheap", "max_tokens": 9, "seed": 1}) == 429
    assert await _status(gateway, QUESTION | {"model": "gpt-6-luna", "max_tokens": 9}) == 200
    first, refused, other = await books.rows(gateway)
    assert [(row.model, row.sent) for row in (first, other)] == [
        ("cheap", "gpt-4o-mini"),
        ("gpt-6-luna", "gpt-6-luna"),
    ]
    assert await books.used(gateway) == [1, first.cost]
    assert refused.cost == 0


async def test_team_key_and_gateway_are_charged_together_or_not_at_all(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(
        '[[teams]]\nname = "small"\nlimits = ["2 requests/total", "$1/total"]',
        limits='["9 requests/total", "$1/total"]',
        everybody='["9 requests/total", "$0.0001/total"]',
    )
    client = gateway.gateway.clients.client("test")
    assert client is not None
    assert [limit.scope for limit in client.limits] == ["key:test"] * 2 + ["gateway"] * 2
    upstream.plan(chat(usage=usage(8, 50)))
    assert await _ask(gateway, 1, 50) == 200
    cost = 8 * 150 + 50 * 600
    await gateway.concluded()
    assert await books.used(gateway) == [1, cost, 1, cost]
    # The gateway's own is the one that is too small for it: nobody else's is touched.
    async with gateway.post(CHAT, QUESTION | {"seed": 2, "max_tokens": 150}) as answer:
        assert "of the gateway" in (await answer.json())["error"]["message"]
    assert await books.used(gateway) == [1, cost, 1, cost]


async def test_a_gateway_limit_holds_for_keys_of_all_teams_together(start: Start, upstream: Scripted) -> None:
    gateway = await start(everybody='["3 requests/total", "2 concurrent"]')
    keys = []
    for name in "abcd":
        async with gateway.admin("POST", "/admin/v1/keys", {"name": name}) as made:
            keys.append((await made.json())["key"])
    statuses = [await _status(gateway, QUESTION | {"seed": n}, key) for n, key in enumerate(keys)]
    assert statuses == [200, 200, 200, 429]
    assert await books.used(gateway) == [3, 0]


async def test_shadow_limits_count_and_name_themselves_and_refuse_nobody(
    start: Start, upstream: Scripted
) -> None:
    shadows = [
        f'{{ limit = "{limit}", mode = "shadow" }}'
        for limit in ("1 requests/total", "$0.0000001/total", "1 tokens/day", "0.5k requests/month")
    ]
    gateway = await start(limits=f"[{', '.join(shadows)}]")
    upstream.plan(chat(usage=usage(8, 50)))
    for number in range(3):
        async with gateway.post(CHAT, QUESTION | {"seed": number, "max_tokens": 50}) as answer:
            assert answer.status == 200
            assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]
        await gateway.concluded()
    rows = await books.rows(gateway)
    assert rows[0].shadow == ["$0.0000001/total", "1 token/day"]
    assert [sorted(row.shadow) for row in rows[1:]] == [
        ["$0.0000001/total", "1 request/total", "1 token/day"]
    ] * 2
    assert await books.used(gateway) == [3, sum(row.cost or 0 for row in rows), 3 * 58, 3]
    name = "gateway_shadow_refusals_total"
    assert await books.metric(gateway, name, limit="1 request/total") == 2
    assert await books.metric(gateway, name, limit="$0.0000001/total") == 3


# Prices that nobody knows


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"model": "in-house"}, "model_not_priced", "model"),
        ({"modalities": ["text", "audio"], "audio": {}}, "feature_not_priced", "modalities"),
    ],
)
async def test_what_has_no_price_is_refused_where_dollars_are_limited(
    start: Start, upstream: Scripted, more: dict[str, object], code: str, param: str
) -> None:
    gateway = await start(limits='["$1/day", "5 requests/total", "1M tokens/total"]')
    async with gateway.post(CHAT, QUESTION | more) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"], error["param"]) == (400, code, param)
    assert upstream.calls == 0
    assert await books.used(gateway) == [0, 0, 0]
    row = await books.row(gateway)
    assert (row.status, row.error, row.cost) == (400, code, 0)


async def test_and_served_where_they_are_only_watched(start: Start, upstream: Scripted) -> None:
    limits = '[{ limit = "$1/day", mode = "shadow" }, "$1/day on gpt-6*", "5 requests/total"]'
    gateway = await start(limits=limits)
    assert await _status(gateway, QUESTION | {"model": "in-house"}) == 200
    row = await books.row(gateway)
    assert (row.cost, row.status) == (None, 200)
    assert await books.used(gateway) == [0, 0, 1]
    assert await books.metric(gateway, "gateway_unpriced_requests_total") == 1


# What is usual


async def test_a_learned_limit_lets_honest_requests_in_and_charges_the_odd_one(
    start: Start, upstream: Scripted
) -> None:
    # 16384 tokens at most, of 600 nano-dollars each: the worst case is ten times the budget.
    limits = '[{ limit = "$0.001/total", estimate = "learned" }]'
    gateway = await start("[cache]\nenabled = false", limits='["9M tokens/total"]')
    other = await start("[cache]\nenabled = false", limits=limits, store=gateway.store_url, name="b")
    assert await _ask(other, 0, None) == 429
    upstream.plan(chat(usage=usage(8, 20)))
    for number in range(ENOUGH):
        assert await _ask(gateway, number, None) == 200
    # What an answer was cut to says nothing of how long it would have been.
    upstream.plan(chat(usage=usage(8, 900)))
    assert await _ask(gateway, 1, 900) == 200
    await gateway.concluded()
    # A process that starts now knows what the ledger knows.
    again = await start("[cache]\nenabled = false", limits=limits, store=gateway.store_url, name="c")
    await until(lambda: len(again.gateway.learned) > 0)
    assert again.gateway.learned.expect("test", "chat.completions", "gpt-4o-mini") == 21
    upstream.plan(chat(usage=usage(8, 20)))
    assert await _ask(again, 1, None) == 200
    upstream.plan(chat(usage=usage(8, 3000)))
    assert await _ask(again, 2, None) == 200
    await again.concluded()
    spent = 2 * 8 * 150 + 3020 * 600
    assert (await books.used(again)) == [spent]
    worst = 8 * 150 + 21 * 600
    assert await books.nano(again, "gateway_overrun_dollars_total") == 8 * 150 + 3000 * 600 - worst
    assert await _ask(again, 3, None) == 429


async def test_several_choices_are_learned_one_by_one(start: Start, upstream: Scripted) -> None:
    gateway = await start("[cache]\nenabled = false")
    upstream.plan(chat(usage=usage(8, 30)))
    for _ in range(ENOUGH):
        assert await _status(gateway, QUESTION | {"n": 3}) == 200
    await gateway.concluded()
    assert gateway.gateway.learned.expect("test", "chat.completions", "gpt-4o-mini") == 10


async def _status(gateway: Running, body: dict[str, object], key: str = KEY) -> int:
    async with gateway.post(CHAT, body, key=key) as answer:
        await answer.read()
        return int(answer.status)


async def _ask(gateway: Running, number: int, max_tokens: int | None) -> int:
    async with gateway.post(CHAT, QUESTION | {"seed": number, "max_tokens": max_tokens}) as answer:
        await answer.read()
        return int(answer.status)


async def _used(gateway: Running) -> int:
    await gateway.concluded()
    client = gateway.gateway.clients.client("test")
    assert client is not None
    standings = await gateway.gateway.holds.standings(
        client.shard, client.limits, gateway.gateway.clock.now()
    )
    return standings[0].used
