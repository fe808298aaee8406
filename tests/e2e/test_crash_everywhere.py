"""`kill -9` in the middle of an upload, a download, a session: the lease accounts for it, the slot is free.

And an upload that takes longer than its lease keeps it.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import books
from tests.e2e.test_crash_points import ENVIRON, LEASE_MS, _held, _open, _rows
from tests.e2e.test_resources_everywhere import BIG, FORM, form
from tests.realtime import Realtime
from tests.running import ENVIRONMENT, KEY, configuration, running
from tests.scripted import Scripted, raw
from tests.scripted import json as plain
from tests.served import Served, served
from tests.stores import server
from tests.waiting import until, until_answer

pytestmark = pytest.mark.timeout(120)

LIMITS = '["$1000/total", "1 concurrent", "100k requests/minute"]'
TOML = """
[endpoints]
allow = ["all"]
ownership = "off"
[prices.operations]
"batches.create" = 0.25
[prices.models."m-*"]
input = 1
output = 2
[prices.models."gpt-*"]
input = 1
output = 2
input_audio = 1
output_audio = 2
"""
UPLOAD = form(("model", b"m-1"), ("file", BIG))
WORST = 16_000 * 1_000 + 7_500 * 2_000  # nano-dollars of a recording
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[str]:
    async with server("valkey", tmp_path) as url:
        yield url


async def send_part(port: int, path: str, body: bytes, part: int, content_type: str) -> asyncio.StreamWriter:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {KEY}"]
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "", ""]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join(lines).encode() + body[:part])
    return writer


async def killed(gateway: Served) -> None:
    gateway.signal(signal.SIGKILL)
    await gateway.ended()


async def accounted(tmp_path: Path, text: str) -> dict[str, Any]:
    """A second gateway: the slot comes back, books agree. Returns the ledger's only row of a lease."""
    async with served(tmp_path, config=text, environ=ENVIRON) as last, aiohttp.ClientSession() as session:
        await until_answer(lambda: _open(session, last), 0)
        await until_answer(lambda: _held(session, last), 0)
        (row,) = [row for row in await _rows(session, last) if row["settled"] == "lease"]
        return row


async def test_killed_in_an_upload(upstream: Scripted, tmp_path: Path, store: str) -> None:
    text = configuration(upstream.base_url, tmp_path, TOML, limits=LIMITS, store=store)
    async with served(tmp_path, config=text, environ=ENVIRON) as gateway:
        writer = await send_part(gateway.port, "/v1/audio/transcriptions", UPLOAD, len(UPLOAD) - 9, FORM)
        await upstream.until(lambda: upstream.open_connections > 0)
        await killed(gateway)
        writer.transport.abort()
    row = await accounted(tmp_path, text)
    assert (row["endpoint"], row["cost_nano"]) == ("audio.transcriptions.create", WORST)


async def test_killed_in_a_download(upstream: Scripted, tmp_path: Path, store: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 999999\r\n\r\n"
    upstream.plan(raw(head + bytes(9), asyncio.Event()))
    text = configuration(upstream.base_url, tmp_path, TOML, limits=LIMITS, store=store)
    async with served(tmp_path, config=text, environ=ENVIRON) as gateway, aiohttp.ClientSession() as session:
        body = {"model": "m-1", "voice": "alloy", "input": "Hello there."}
        answer = await session.post(f"{gateway.url}/v1/audio/speech", json=body, headers=HEADERS)
        await answer.content.readexactly(9)
        await killed(gateway)
    row = await accounted(tmp_path, text)
    assert row["endpoint"] == "audio.speech.create"
    assert row["cost_nano"] > 1_000 * 2_000


async def test_killed_before_a_fee_is_known(upstream: Scripted, tmp_path: Path, store: str) -> None:
    upstream.plan(raw(asyncio.Event()))
    text = configuration(upstream.base_url, tmp_path, TOML, limits=LIMITS, store=store)
    async with served(tmp_path, config=text, environ=ENVIRON) as gateway:
        writer = await send_part(gateway.port, "/v1/batches", b"{}", 2, "application/json")
        await upstream.received(1)
        await killed(gateway)
        writer.transport.abort()
    row = await accounted(tmp_path, text)
    assert (row["endpoint"], row["cost_nano"]) == ("batches.create", 250_000_000)
    assert (row["input_tokens"], row["output_tokens"]) == (0, 0)


async def test_killed_in_a_turn(tmp_path: Path, store: str) -> None:
    async with Realtime() as up:
        up.hold = asyncio.Event()
        text = configuration(up.base_url, tmp_path, TOML, limits=LIMITS, store=store)
        async with (
            served(tmp_path, config=text, environ=ENVIRON) as gateway,
            aiohttp.ClientSession() as session,
        ):
            url = f"{gateway.url}/v1/realtime?model=gpt-realtime"
            async with session.ws_connect(url, headers=HEADERS) as socket:
                asked = {"type": "response.create", "response": {"max_output_tokens": 500}}
                await socket.send_json(asked)
                await until(lambda: "response.create" in up.types())
                await killed(gateway)
        row = await accounted(tmp_path, text)
        assert (row["endpoint"], row["output_tokens"]) == ("realtime", 500)
        assert row["cost_nano"] > 500 * 2_000
        assert row["id"].endswith(".1")


async def test_a_long_upload_keeps_its_lease(upstream: Scripted, tmp_path: Path) -> None:
    """Three times as long as the lease, and nobody has ended it."""
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    upstream.plan(plain(200, {"text": "so", "usage": usage}))
    text = configuration(upstream.base_url, tmp_path / "data", TOML, limits=LIMITS)
    text = text.replace("[store]", f'[store]\nlease = "{LEASE_MS}ms"', 1)
    async with running(text, tmp_path, ENVIRONMENT) as gateway:
        port = gateway.app.listeners.public_port
        writer = await send_part(port, "/v1/audio/transcriptions", UPLOAD, len(UPLOAD) - 9, FORM)
        await upstream.until(lambda: upstream.open_connections > 0)
        clock = gateway.gateway.clock
        began = clock.now()
        while clock.now() - began < 3 * LEASE_MS:
            await asyncio.sleep(LEASE_MS / 4_000)
            client = gateway.gateway.clients.client("test")
            assert client is not None
            held = await gateway.gateway.holds.standings(client.shard, client.limits, clock.now())
            slots = {one.limit.text: one.used for one in held}
            assert slots["1 concurrent"] == 1
        writer.write(UPLOAD[-9:])
        await upstream.received(1)
        await until(lambda: not gateway.gateway.serving)
        await gateway.concluded()
        row = await books.row(gateway)
    assert (row.settled, row.input, row.output) == ("usage", 9, 3)
    writer.close()
