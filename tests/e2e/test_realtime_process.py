"""WebSocket sessions in a gateway as people run it: what they take, and give back however they end.

`GATEWAY_PROOF` opens two hundred of them, and floods with more.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import WSMsgType, web

from tests.realtime import Realtime
from tests.running import ADMIN_KEY, ENVIRONMENT, KEY, configuration
from tests.served import Served, gone, served
from tests.waiting import until, until_answer

PROOF = bool(os.environ.get("GATEWAY_PROOF"))
SESSIONS = 200 if PROOF else 40
MOST_PER_SESSION = 150 * 1024  # bytes; measured: a third of that
MESSAGES = 400 if PROOF else 100  # of a megabyte
MOST_WAITING = 80 * 2**20  # bytes: four messages of the largest size, and what Python keeps besides
DRAIN_SECONDS = 20.0
PATH = "/v1/realtime?model=gpt-realtime"
MODEL = "gpt-realtime"
LEASE = {"GATEWAY_STORE__LEASE": "2s"}

WebSocket = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def up() -> AsyncIterator[Realtime]:
    async with Realtime() as server:
        yield server


def config(up: Realtime, folder: Path, limits: str = '["1M tokens/day", "1000 concurrent"]') -> str:
    text = configuration(up.base_url, folder / "data", '[endpoints]\nallow = ["all"]\n', limits=limits)
    return text.replace("[server]", f'[server]\ndrain_timeout = "{DRAIN_SECONDS:.0f}s"')


@contextlib.asynccontextmanager
async def sessions(gateway: Served, count: int) -> AsyncIterator[list[WebSocket]]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        opened = [await connect(session, gateway) for _ in range(count)]
        yield opened
        await asyncio.gather(*(each.close() for each in opened))


async def connect(session: aiohttp.ClientSession, gateway: Served) -> WebSocket:
    headers = {"Authorization": f"Bearer {KEY}"}
    opened = await session.ws_connect(gateway.url + PATH, headers=headers, max_msg_size=0)
    await event(opened, "session.created")
    return opened


async def event(opened: WebSocket, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            message = await opened.receive()
            assert message.type is WSMsgType.TEXT, message
            said: dict[str, Any] = json.loads(message.data)
            if said["type"] == kind:
                return said


def memory(gateway: Served) -> int:
    """Bytes that are this process's own, and its share of what it has in common with others."""
    return int(psutil.Process(gateway.process.pid).memory_full_info().pss)


async def rows(gateway: Served) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as session,
        session.get(f"{gateway.admin_url}/admin/v1/ledger") as answer,
    ):
        found: list[dict[str, Any]] = (await answer.json())["data"]
        return found


async def slots_free(gateway: Served) -> bool:
    """Where one session may be open at a time: may another?"""
    async with aiohttp.ClientSession() as session:
        try:
            opened = await connect(session, gateway)
        except aiohttp.WSServerHandshakeError as refused:
            if refused.status != 429:
                raise
            return False
        await opened.close()
        return True


async def test_idle_sessions_take_little_and_are_told_when_the_gateway_ends(
    up: Realtime, tmp_path: Path
) -> None:
    async with served(tmp_path, config=config(up, tmp_path)) as gateway:
        async with sessions(gateway, 5):  # what the first ones import and allocate stays
            pass
        await until(lambda: not up.sockets)
        before = memory(gateway)
        async with sessions(gateway, SESSIONS) as opened:
            each = (memory(gateway) - before) / SESSIONS
            print(f"{SESSIONS} idle sessions: {each / 1024:.0f} KiB each")
            assert each < MOST_PER_SESSION
            began = asyncio.get_running_loop().time()
            gateway.signal(signal.SIGTERM)
            for one in opened:
                message = await one.receive(timeout=DRAIN_SECONDS)
                assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1001, "draining")
            assert await gateway.ended() == 0
            assert asyncio.get_running_loop().time() - began < DRAIN_SECONDS
        assert "Traceback" not in gateway.output
    await until(lambda: len(up.closes) == SESSIONS + 5)


async def test_a_turn_that_is_under_way_may_end_before_the_gateway_does(up: Realtime, tmp_path: Path) -> None:
    up.hold = asyncio.Event()
    async with served(tmp_path, config=config(up, tmp_path)) as gateway, sessions(gateway, 1) as (one,):
        await one.send_json({"type": "response.create"})
        await event(one, "response.output_text.delta")
        gateway.signal(signal.SIGTERM)
        await asyncio.sleep(1.5)  # longer than it takes to end a silent one
        up.hold.set()
        await event(one, "response.done")
        message = await one.receive(timeout=DRAIN_SECONDS)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert await gateway.ended() == 0


async def test_kill_9_in_mid_turn_loses_neither_the_turn_nor_the_slot(up: Realtime, tmp_path: Path) -> None:
    up.hold = asyncio.Event()
    text = config(up, tmp_path, '["1M tokens/day", "1 concurrent"]')
    environ = {**ENVIRONMENT, **LEASE}
    async with served(tmp_path, config=text, environ=environ) as first, sessions(first, 1) as (one,):
        await one.send_json({"type": "response.create"})
        await event(one, "response.output_text.delta")
        children = first.children()
        first.signal(signal.SIGKILL)
        await first.ended()
        await gone(children)
    up.hold.set()
    async with served(tmp_path, config=text, environ=environ) as second:
        await until_answer(lambda: slots_free(second), True)

        async def turns() -> list[tuple[str, str]]:
            return [(row["endpoint"], row["settled"]) for row in await rows(second) if "." in row["id"]]

        await until_answer(turns, [("realtime", "lease")])
        (turn,) = [row for row in await rows(second) if "." in row["id"]]
        assert turn["input_tokens"] + turn["output_tokens"] > 0


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_who_vanishes_in_the_middle_gives_everything_back(
    up: Realtime, tmp_path: Path, who: str
) -> None:
    up.hold = asyncio.Event()
    text = config(up, tmp_path, '["1M tokens/day", "1 concurrent"]')
    async with served(tmp_path, config=text) as gateway:
        process = psutil.Process(gateway.process.pid)
        assert await slots_free(gateway)
        await until(lambda: not up.sockets)
        before = process.num_fds()
        for number in range(1, 6):
            async with aiohttp.ClientSession() as session:
                one = await connect(session, gateway)
                await one.send_json({"type": "response.create"})
                await event(one, "response.output_text.delta")
                if who == "client":
                    reset(one)
                    await until(lambda: not up.sockets)
                else:
                    up.cut()
                    message = await one.receive(timeout=20)
                    assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
            await until_answer(lambda: slots_free(gateway), True)
            await until(lambda: not up.sockets)

            async def turns() -> int:
                return len([row for row in await rows(gateway) if "." in row["id"]])

            await until_answer(turns, number)
        await until(lambda: process.num_fds() <= before + 5)  # of the ledger, and of the pool
        assert "Traceback" not in gateway.output


def reset(one: WebSocket) -> None:
    """RST instead of a close: what a process leaves that is killed."""
    connection = one._conn
    assert connection is not None
    assert connection.transport is not None
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


async def test_a_reader_that_stops_costs_no_memory(up: Realtime, tmp_path: Path) -> None:
    sent = 0
    big = {"type": "test.big", "pad": "x" * 1_000_000}

    async def flood(upstream: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(MESSAGES):
            await upstream.send_json(big)
            sent += 1

    async with served(tmp_path, config=config(up, tmp_path)) as gateway, sessions(gateway, 1) as (one,):
        before = memory(gateway)
        flooding = up._spawn(flood(next(iter(up.sockets))))
        quiet = -1
        while quiet != sent:
            quiet = sent
            await asyncio.sleep(0.5)
        taken = memory(gateway) - before
        print(f"{sent} of {MESSAGES} MB were taken, and {taken / 2**20:.0f} MiB of memory")
        assert sent < 30
        assert taken < MOST_WAITING
        for _ in range(MESSAGES):
            await event(one, "test.big")
        await flooding
        assert memory(gateway) - before < MOST_WAITING


async def test_a_writer_whose_upstream_stops_is_held_back(up: Realtime, tmp_path: Path) -> None:
    free, sent = asyncio.Event(), 0
    reading = up._read

    async def slowly(upstream: web.WebSocketResponse, text: str, spoken: bool) -> None:
        await free.wait()
        await reading(upstream, text, spoken)

    up._read = slowly  # type: ignore[method-assign]
    big = json.dumps({"type": "test.big", "pad": "x" * 1_000_000})
    async with served(tmp_path, config=config(up, tmp_path)) as gateway, sessions(gateway, 1) as (one,):
        before = memory(gateway)

        async def flood() -> None:
            nonlocal sent
            for _ in range(MESSAGES):
                await one.send_str(big)
                sent += 1

        flooding = asyncio.create_task(flood())
        quiet = -1
        while quiet != sent:
            quiet = sent
            await asyncio.sleep(0.5)
        taken = memory(gateway) - before
        print(f"{sent} of {MESSAGES} MB were taken, and {taken / 2**20:.0f} MiB of memory")
        assert sent < 30
        assert taken < MOST_WAITING
        free.set()
        await flooding
        await until(lambda: len(up.received) == MESSAGES)
