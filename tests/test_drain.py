"""Draining: what runs may finish, what cannot is cut honestly, and every hold is settled."""

import asyncio
import json
import socket

import aiohttp
import pytest

from gateway.drain import drain
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, hold, sse
from tests.waiting import unmoved, until

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}


async def test_a_running_answer_finishes_and_new_requests_are_refused(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["5 concurrent"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    running = asyncio.create_task(_ask(gateway))
    await upstream.received(1)
    draining = asyncio.create_task(drain(gateway.gateway, 60, asyncio.Event()))
    await until(lambda: gateway.gateway.draining)
    async with gateway.post(CHAT, QUESTION) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "draining")
    async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
        assert answer.status == 503
    async with gateway.session.get(gateway.admin_url + "/healthz") as answer:
        assert answer.status == 200
    answered.set()
    assert await running == 200
    assert await draining == 0
    assert gateway.gateway.open_holds == {}


async def test_a_stream_that_outlasts_the_drain_is_cut_with_an_error_event(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["5 concurrent"]')
    upstream.plan(sse([DELTA], end="hang"))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
        assert await answer.content.readuntil(b"\n\n")
        reading = asyncio.create_task(answer.content.readuntil(b"\n\n"))
        assert await drain(gateway.gateway, 0, asyncio.Event()) == 1
        assert json.loads((await reading)[6:])["error"]["code"] == "draining"
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()
    await upstream.disconnected()
    assert gateway.gateway.open_holds == {}


async def test_a_second_signal_does_not_wait(start: Start, upstream: Scripted) -> None:
    gateway = await start()
    upstream.plan(hold(asyncio.Event()))
    waiting = asyncio.create_task(_ask(gateway))
    await upstream.received(1)
    hurry = asyncio.Event()
    draining = asyncio.create_task(drain(gateway.gateway, 3600, hurry))
    hurry.set()
    assert await draining == 1
    assert await waiting == 503


async def _ask(gateway: Running) -> int:
    async with gateway.post(CHAT, QUESTION) as answer:
        await answer.read()
        return int(answer.status)


async def test_a_client_that_takes_nothing_holds_up_neither_the_exit_nor_its_settlement(
    start: Start, upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.drain._CONCLUDE_SECONDS", 0.2)
    gateway = await start(limits='["5 concurrent"]')
    upstream.plan(sse([DELTA | {"pad": "x" * 100_000}] * 300))
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", gateway.app.listeners.public_port))
    reader, writer = await asyncio.open_connection(sock=line, limit=4096)
    body = json.dumps(QUESTION | {"stream": True}).encode()
    head = [f"POST {CHAT} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    writer.write("\r\n".join(head).encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    await unmoved(lambda: upstream.sent)  # it holds up all that comes behind
    assert 0 < upstream.sent < 30_000_000
    assert len(gateway.gateway.serving) == 1
    await drain(gateway.gateway, 0, asyncio.Event())
    assert (gateway.gateway.serving, gateway.gateway.open_holds) == (set(), {})
    client = gateway.gateway.clients.client("test")
    assert client is not None
    now = gateway.gateway.clock.now()
    assert [s.used for s in await gateway.gateway.holds.standings(client.shard, client.limits, now)] == [0]
    writer.transport.abort()


async def test_all_who_wait_for_one_call_are_told_and_settled(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["5 concurrent"]')
    upstream.plan(hold(asyncio.Event()))
    asking = [asyncio.create_task(_ask(gateway)) for _ in range(3)]
    await upstream.received(1)
    await until(lambda: gateway.gateway.flights.readers() == 3)
    assert await drain(gateway.gateway, 0, asyncio.Event()) == 3
    assert await asyncio.gather(*asking) == [503] * 3
    await upstream.disconnected()
    assert (len(gateway.gateway.flights), gateway.gateway.open_holds) == (0, {})
    assert upstream.calls == 1
