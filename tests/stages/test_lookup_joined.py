"""One call answers all who ask the same meanwhile, and each pays what is its own."""

import asyncio
import contextlib

import aiohttp

from gateway.exchange import Exchange
from tests import books
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, hold, sse
from tests.scripted import json as plain
from tests.stages.questions import CHAT, QUESTION, said
from tests.waiting import until


async def test_identical_questions_in_flight_are_asked_once(gateway: Running, upstream: Scripted) -> None:
    answered = asyncio.Event()
    upstream.plan(hold(answered))

    async def one(stream: bool) -> tuple[str, bytes]:
        async with gateway.post(CHAT, QUESTION | ({"stream": True} if stream else {})) as answer:
            return answer.headers["x-gateway-cache"], await answer.read()

    clients = [asyncio.create_task(one(i % 2 == 1)) for i in range(20)]
    await upstream.received(1)
    await until(lambda: gateway.gateway.flights.readers() >= 20)
    answered.set()
    results = await asyncio.gather(*clients)
    assert upstream.calls == 1
    assert sorted(cache for cache, _ in results) == ["joined"] * 19 + ["miss"]
    assert len({body for _, body in results[::2]}) == 1
    assert len({body for _, body in results[1::2]}) == 1


async def test_the_first_to_ask_may_leave_and_the_others_still_get_their_answer(
    gateway: Running, upstream: Scripted
) -> None:
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    first = asyncio.create_task(_read(gateway))
    await upstream.received(1)
    second = asyncio.create_task(_read(gateway))
    await until(lambda: gateway.gateway.flights.readers() >= 2)
    first.cancel()
    await until(lambda: gateway.gateway.flights.readers() <= 1)
    answered.set()
    assert await second == "joined"
    assert (upstream.calls, upstream.hangups) == (1, 0)


async def test_the_last_reader_leaving_ends_the_call(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(hold(asyncio.Event()))
    clients = [asyncio.create_task(_read(gateway)) for _ in range(3)]
    await upstream.received(1)
    await until(lambda: gateway.gateway.flights.readers() >= 3)
    for client in clients:
        client.cancel()
    await upstream.disconnected()
    assert upstream.calls == 1


async def test_followers_of_a_call_that_fails_ask_for_themselves(
    gateway: Running, upstream: Scripted
) -> None:
    answered = asyncio.Event()
    upstream.plan(hold(answered, plain(503, {"error": {"message": "busy"}})), hold(answered))
    clients = [asyncio.create_task(_read(gateway)) for _ in range(3)]
    await upstream.received(1)
    await until(lambda: gateway.gateway.flights.readers() >= 3)
    answered.set()
    assert sorted(await asyncio.gather(*clients)) == ["miss"] * 3
    assert upstream.calls == 3


async def _read(gateway: Running) -> str:
    async with gateway.post(CHAT, QUESTION) as answer:
        await answer.read()
        return str(answer.headers["x-gateway-cache"])


async def test_who_wants_it_fresh_joins_nobody_and_leads_those_who_come_after(
    gateway: Running, upstream: Scripted
) -> None:
    old, new = asyncio.Event(), asyncio.Event()
    upstream.plan(hold(old, chat("old")), hold(new, chat("new")))
    first = asyncio.create_task(said(gateway))
    await upstream.received(1)
    fresh = asyncio.create_task(said(gateway, x_gateway_cache="refresh"))
    await upstream.received(2)
    third = asyncio.create_task(said(gateway))
    await until(lambda: gateway.gateway.flights.readers() == 2)
    old.set()
    assert await first == ("miss", "old")
    new.set()
    assert [await fresh, await third] == [("miss", "new"), ("joined", "new")]
    assert await said(gateway) == ("hit", "new")


async def test_usage_is_shown_to_each_as_asked_in_one_call(gateway: Running, upstream: Scripted) -> None:
    go = asyncio.Event()
    upstream.plan(hold(go))

    async def ask(usage: bool) -> bytes:
        more = {"stream_options": {"include_usage": True}} if usage else {}
        async with gateway.post(CHAT, QUESTION | {"stream": True} | more) as answer:
            return bytes(await answer.read())

    asking = [asyncio.create_task(ask(usage)) for usage in (False, True, False)]
    await until(lambda: gateway.gateway.flights.readers() == 3)
    go.set()
    texts = await asyncio.gather(*asking)
    assert [b'"usage":{' in text.replace(b" ", b"") for text in texts] == [False, True, False]
    assert upstream.calls == 1


async def test_asked_plainly_of_a_stream_that_breaks_one_asks_alone(
    gateway: Running, upstream: Scripted
) -> None:
    go = asyncio.Event()
    delta = {"id": "1", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
    filtered = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}
    for calls, broken in ((0, sse([delta, go], end="reset")), (2, sse([delta, go, filtered]))):
        go.clear()
        upstream.plan(broken, chat("whole", finish_reason="content_filter"))
        streaming = asyncio.create_task(_read_stream(gateway))
        await upstream.received(calls + 1)
        asking = asyncio.create_task(said(gateway))
        await until(lambda: gateway.gateway.flights.readers() == 2)
        go.set()
        assert await asking == ("miss", "whole")
        await asyncio.gather(streaming, return_exceptions=True)
    assert upstream.calls == 4


async def test_whoever_is_refused_leaves_the_lead_to_one_of_those_who_wait(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start()
    keys = []
    for name, limits in (("poor", ["5 tokens/day"]), ("a", []), ("b", []), ("c", [])):
        body = {"name": name, "team": "research", "limits": limits}
        async with gateway.admin("POST", "/admin/v1/keys", body) as made:
            keys.append((await made.json())["key"])
    go, counting = asyncio.Event(), gateway.gateway.tokens.input_of

    async def waits(exchange: Exchange) -> int:
        await go.wait()
        return await counting(exchange)

    gateway.gateway.tokens.input_of = waits  # type: ignore[method-assign]
    question = QUESTION | {"max_tokens": 50}

    async def ask(key: str) -> tuple[int, str]:
        async with gateway.post(CHAT, question, key=key) as answer:
            return int(answer.status), str(answer.headers["x-gateway-cache"])

    poor = asyncio.create_task(ask(keys[0]))
    await until(lambda: len(gateway.gateway.flights) == 1)
    others = [asyncio.create_task(ask(key)) for key in keys[1:]]
    await until(lambda: gateway.gateway.flights.readers() == 3)
    go.set()
    assert (await poor)[0] == 429
    assert sorted(await asyncio.gather(*others)) == [(200, "joined"), (200, "joined"), (200, "miss")]
    assert upstream.calls == 1


async def test_private_questions_join_nobody(gateway: Running, upstream: Scripted) -> None:
    go = asyncio.Event()
    upstream.plan(hold(go))
    asking = [asyncio.create_task(said(gateway)) for _ in range(2)]
    asking.append(asyncio.create_task(said(gateway, x_gateway_cache_scope="private")))
    await upstream.received(2)
    go.set()
    assert sorted(cache for cache, _ in await asyncio.gather(*asking)) == ["joined", "miss", "miss"]


async def _read_stream(gateway: Running) -> None:
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
        await answer.read()


async def test_who_asked_first_pays_for_all_even_when_he_has_left(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["$1/total", "10 requests/total", "5 concurrent"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=9, completion_tokens=3)))
    leader = asyncio.create_task(_priced(gateway))
    await upstream.received(1)
    others = [asyncio.create_task(_priced(gateway)) for _ in range(2)]
    await until(lambda: gateway.gateway.flights.readers() == 3)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    await until(lambda: gateway.gateway.flights.readers() == 2)
    answered.set()
    assert await asyncio.gather(*others) == [("joined", "0")] * 2
    assert await _priced(gateway) == ("hit", "0")
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    cost = 9 * 150 + 3 * 600
    assert sorted((row.cache, row.status, row.cost, row.saved) for row in rows) == [
        ("hit", 200, 0, cost),
        ("joined", 200, 0, cost),
        ("joined", 200, 0, cost),
        ("miss", 499, cost, 0),
    ]
    assert await books.used(gateway) == [cost, 4, 0]


async def test_who_joined_somebody_that_is_refused_pays_if_he_can(start: Start, upstream: Scripted) -> None:
    """The first to ask has no money left; those who waited for his answer do, and one of them asks."""
    gateway = await start(limits='["$0.000001/total"]')
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "rich", "team": "research"}) as made:
        rich = (await made.json())["key"]
    results = await asyncio.gather(*(_priced(gateway, key) for key in (KEY, rich, rich)))
    assert results[0] == ("miss", None)
    assert sorted(cache for cache, _ in results[1:]) == ["joined", "miss"]
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert sorted((row.status, row.error, (row.cost or 0) > 0) for row in rows) == [
        (200, None, False),
        (200, None, True),
        (429, "insufficient_quota", False),
    ]
    assert upstream.calls == 1


async def test_a_joined_stream_that_breaks_costs_its_reader_nothing(
    gateway: Running, upstream: Scripted
) -> None:
    more = asyncio.Event()
    choice = {"index": 0, "delta": {"content": "one"}, "finish_reason": None}
    upstream.plan(sse([{"id": "c", "choices": [choice]}, more], end="reset"))
    body = QUESTION | {"stream": True}
    reading = [asyncio.create_task(_broken(gateway, body)) for _ in range(2)]
    await until(lambda: gateway.gateway.flights.readers() == 2)
    more.set()
    assert sorted(await asyncio.gather(*reading)) == ["joined", "miss"]
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert {(row.cache, row.settled, row.saved, row.error) for row in rows} == {
        ("miss", "estimate", 0, "upstream_protocol_error"),
        ("joined", "none", 0, "upstream_protocol_error"),
    }


async def _priced(gateway: Running, key: str = KEY) -> tuple[str, str | None]:
    async with gateway.post(CHAT, QUESTION, key=key) as answer:
        await answer.read()
        return answer.headers["x-gateway-cache"], answer.headers.get("x-gateway-cost")


async def _broken(gateway: Running, body: object) -> str:
    async with gateway.post(CHAT, body) as answer:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await answer.read()
        return str(answer.headers["x-gateway-cache"])
