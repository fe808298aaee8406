"""Draining: what runs may finish, what cannot is cut honestly, and every hold is settled."""

import asyncio
import json

import aiohttp
import pytest

from gateway.drain import drain
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, hold, sse
from tests.waiting import until

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
