"""Request rates and concurrency: exactly as many as the limit says, hits included."""

import asyncio

from tests.conftest import Start
from tests.scripted import Scripted, hold

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def question(number: int) -> dict[str, object]:
    return QUESTION | {"seed": number}


async def test_a_hundred_at_once_and_exactly_seven_pass(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["7 requests/day"]')

    async def one(number: int) -> int:
        async with gateway.post(CHAT, question(number)) as answer:
            await answer.read()
            return int(answer.status)

    statuses = await asyncio.gather(*map(one, range(100)))
    assert (statuses.count(200), statuses.count(429)) == (7, 93)
    assert upstream.calls == 7


async def test_a_rate_says_when_to_come_back_and_a_budget_says_not_to_retry(
    start: Start, upstream: Scripted
) -> None:
    rate = await start(limits='["2 requests/minute"]')
    for _ in range(2):
        async with rate.post(CHAT, QUESTION) as answer:
            assert answer.status == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
    async with rate.post(CHAT, QUESTION) as answer:
        assert answer.status == 429
        error = (await answer.json())["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert "2 requests/minute" in error["message"]
        assert 0 < int(answer.headers["retry-after-ms"]) <= 30_000
        assert int(answer.headers["retry-after"]) == -(-int(answer.headers["retry-after-ms"]) // 1000)
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    budget = await start(limits='["1 requests/day"]', name="b")
    async with budget.post(CHAT, QUESTION) as answer:
        assert answer.status == 200
    async with budget.post(CHAT, QUESTION) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["type"], error["code"]) == (
            429,
            "insufficient_quota",
            "insufficient_quota",
        )
        assert answer.headers["x-should-retry"] == "false"


async def test_a_concurrency_slot_comes_back_when_the_answer_ends(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1 concurrent"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    first = asyncio.create_task(_status(gateway, 1))
    await upstream.received(1)
    assert await _status(gateway, 2) == 429
    answered.set()
    assert await first == 200
    await gateway.concluded()
    assert await _status(gateway, 3) == 200


async def test_a_team_limit_holds_for_all_its_keys_together(start: Start, upstream: Scripted) -> None:
    gateway = await start()
    async with gateway.admin("POST", "/admin/v1/teams", {"name": "t", "limits": ["3 requests/day"]}) as made:
        assert made.status == 201, await made.text()
    keys = []
    for name in "ab":
        async with gateway.admin("POST", "/admin/v1/keys", {"name": name, "team": "t"}) as made:
            keys.append((await made.json())["key"])
    statuses = []
    for number in range(6):
        async with gateway.post(CHAT, question(number), key=keys[number % 2]) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 200, 429, 429, 429]


async def test_an_exhausted_rate_is_no_reason_to_serve_from_the_cache(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["1 requests/day"]')
    assert await _status(gateway, 1) == 200
    assert await _status(gateway, 1) == 429


async def _status(gateway: object, number: int) -> int:
    async with gateway.post(CHAT, question(number)) as answer:  # type: ignore[attr-defined]
        await answer.read()
        return int(answer.status)


async def test_the_six_headers_are_of_the_tightest_limit_that_is_enforced(
    start: Start, upstream: Scripted
) -> None:
    shadow = '{ limit = "1 requests/hour", mode = "shadow" }'
    limits = f'["9 requests/minute", "5 requests/day", "9k tokens/minute", {shadow}]'
    gateway = await start(limits=limits, everybody='["7 requests/hour", "2k tokens/day"]')
    async with gateway.post(CHAT, QUESTION | {"max_tokens": 500}) as answer:
        headers = {
            name.lower().removeprefix("x-ratelimit-"): value
            for name, value in answer.headers.items()
            if name.lower().startswith("x-ratelimit-")
        }
    held = 2000 - int(headers.pop("remaining-tokens"))
    assert 500 < held < 520
    left = 86_400_000 - gateway.gateway.clock.now() % 86_400_000
    for name in ("reset-requests", "reset-tokens"):
        assert abs(_ms(headers.pop(name)) - left) < 5_000
    assert headers == {"limit-requests": "5", "remaining-requests": "4", "limit-tokens": "2000"}


async def test_retry_after_is_right_when_it_is_obeyed(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["20 requests/second"]')
    refused = 0
    for number in range(60):
        async with gateway.post(CHAT, question(number)) as answer:
            if answer.status == 200:
                continue
            wait = int(answer.headers["retry-after-ms"]) / 1000
        refused += 1
        await asyncio.sleep(wait)
        assert await _status(gateway, number) == 200
    assert refused > 0


def _ms(duration: str) -> int:
    """`1h2m3.5s`, as the headers have it."""
    total, number = 0.0, ""
    units = {"h": 3_600_000, "m": 60_000, "s": 1_000}
    for sign in duration.replace("ms", ""):
        if sign in units:
            total, number = total + float(number) * units[sign], ""
        else:
            number += sign
    return round(total + float(number or 0))
