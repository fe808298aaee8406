"""`kill -9`, SIGTERM and a second start: nothing is lost, nothing is left behind."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.running import KEY, configuration
from tests.scripted import Scripted, hold, sse
from tests.served import Served, ask, gone, served
from tests.waiting import until_answer

DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def config(upstream: Scripted, folder: Path, more: str = "", limits: str = '["1 concurrent"]') -> str:
    return configuration(upstream.base_url, folder / "data", more, limits=limits)


async def test_kill_9_in_mid_stream_leaves_no_orphan_no_lost_key_and_no_taken_slot(
    upstream: Scripted, tmp_path: Path
) -> None:
    environ = {
        "KEY": KEY,
        "REAL": "sk-real",
        "ADMIN": "sk-gw-admin-0123456789abcdef",
        "GATEWAY_STORE__LEASE": "2s",
    }
    text = config(upstream, tmp_path)
    upstream.plan(sse([DELTA], end="hang"))
    async with served(tmp_path, config=text, environ=environ) as first, aiohttp.ClientSession() as session:
        made = await _make_key(session, first)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with session.post(
            first.url + "/v1/chat/completions", json=QUESTION | {"stream": True}, headers=headers
        ) as answer:
            await answer.content.readuntil(b"\n\n")
            status, _, _ = await ask(first.url, QUESTION | {"seed": 1})
            assert status == 429
            children = first.children()
            assert children
            first.signal(signal.SIGKILL)
            await first.ended()
            await gone(children)
            with pytest.raises(aiohttp.ClientError):
                await answer.content.read()
    await upstream.disconnected()
    upstream.plan()
    async with served(tmp_path, config=text, environ=environ) as second:
        status, _, _ = await ask(second.url, QUESTION | {"seed": 2}, key=made)
        assert status == 200
        await until_answer(lambda: _status(second), 200)


async def test_sigterm_lets_a_running_stream_finish_and_exits_0(upstream: Scripted, tmp_path: Path) -> None:
    more = asyncio.Event()
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    upstream.plan(sse([DELTA, more, end]))
    async with (
        served(tmp_path, config=config(upstream, tmp_path)) as gateway,
        aiohttp.ClientSession() as session,
    ):
        headers = {"Authorization": f"Bearer {KEY}"}
        async with session.post(
            gateway.url + "/v1/chat/completions", json=QUESTION | {"stream": True}, headers=headers
        ) as answer:
            await answer.content.readuntil(b"\n\n")
            children = gateway.children()
            gateway.signal(signal.SIGTERM)
            await _not_ready(session, gateway)
            more.set()
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
        assert await gateway.ended() == 0
        await gone(children)


async def test_sigint_ends_everything_and_drain_timeout_is_kept(upstream: Scripted, tmp_path: Path) -> None:
    text = config(upstream, tmp_path).replace("[server]", '[server]\ndrain_timeout = "300ms"')
    upstream.plan(hold(asyncio.Event()))
    async with served(tmp_path, config=text) as gateway:
        asking = asyncio.create_task(ask(gateway.url, QUESTION))
        await upstream.received(1)
        children = gateway.children()
        gateway.signal(signal.SIGINT)
        status, _, body = await asking
        assert (status, body["error"]["code"]) == (503, "draining")
        assert await gateway.ended() == 0
        await gone(children)
        assert "Traceback" not in gateway.output


async def test_one_data_folder_serves_one_gateway(upstream: Scripted, tmp_path: Path) -> None:
    text = config(upstream, tmp_path)
    async with served(tmp_path, config=text) as gateway:
        with pytest.raises(AssertionError) as refused:
            async with served(tmp_path, config=text):
                pass
        assert "in use" in str(refused.value)
        assert str(gateway.process.pid) in str(refused.value)
        assert "Traceback" not in str(refused.value)


async def _status(gateway: Served) -> int:
    return (await ask(gateway.url, QUESTION | {"seed": 3}))[0]


async def _make_key(session: aiohttp.ClientSession, gateway: Served) -> str:
    headers = {"Authorization": "Bearer sk-gw-admin-0123456789abcdef"}
    async with session.post(
        gateway.admin_url + "/admin/v1/keys", json={"name": "x"}, headers=headers
    ) as made:
        return str((await made.json())["key"])


async def _not_ready(session: aiohttp.ClientSession, gateway: Served) -> None:
    while True:
        async with session.get(gateway.admin_url + "/readyz") as answer:
            if answer.status == 503:
                return
