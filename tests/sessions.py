"""Sessions through a gateway in front of a scripted realtime upstream."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from gateway.policy.ledger import Row
from tests import books
from tests.realtime import Realtime
from tests.running import KEY, Running, configuration, running
from tests.waiting import until

ALL = '[endpoints]\nallow = ["all"]\n'
MODEL = "gpt-realtime"

Begin = Callable[..., Awaitable[Running]]


@pytest.fixture
async def up() -> AsyncIterator[Realtime]:
    async with Realtime() as server:
        yield server


@pytest.fixture
async def begin(up: Realtime, tmp_path: Path) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        async def _begin(more: str = "", limits: str = "[]") -> Running:
            text = configuration(up.base_url, tmp_path / "data", ALL + more, limits=limits)
            return await stack.enter_async_context(running(text, tmp_path))

        yield _begin


def connect(gateway: Running, path: str = f"/v1/realtime?model={MODEL}", key: str = KEY, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return gateway.session.ws_connect(gateway.url + path, headers=headers | more.pop("headers", {}), **more)


async def event(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            assert message.type is WSMsgType.TEXT, message
            said: dict[str, Any] = json.loads(message.data)
            if said["type"] == kind:
                return said


async def turns(gateway: Running, sessions: int = 0) -> list[Row]:
    """The ledger's rows of turns, oldest first, when no more than so many sessions are left."""
    await until(lambda: len(gateway.gateway.serving) <= sessions)
    return [row for row in await books.rows(gateway) if "." in row.id]


async def used(gateway: Running) -> list[int]:
    """What is used of each of the key's limits at this moment, in the order in which they were written."""
    client = gateway.gateway.clients.client("test")
    assert client is not None
    now = gateway.gateway.clock.now()
    return [one.used for one in await gateway.gateway.holds.standings(client.shard, client.limits, now)]
