"""Identical questions are asked once, and answered as the client asked."""

import asyncio
import json

import aiohttp
import pytest

from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, hold, sse
from tests.scripted import json as plain
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
