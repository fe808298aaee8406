"""What the tests of the upstream room share: one transport in front of one scripted upstream."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvloop

from gateway.exchange import Outbound, Reply
from gateway.settings import Duration, Upstream
from gateway.upstream.secrets import Secret
from gateway.upstream.transport import Transport
from tests.scripted import Scripted

CANARY = "sk-canary-4f1d"
PROMPT = "prompt-canary-77ab"
# These lean on what a transport does; production runs on uvloop, a developer's machine may not.
_ON_BOTH_LOOPS = {
    "test_arrival",
    "test_asking",
    "test_connection",
    "test_connections",
    "test_failures",
    "test_pool",
    "test_reaching",
    "test_relay",
    "test_response",
    "test_sending",
    "test_transport",
    "test_watch",
}
BODY = b'{"model":"m","messages":[{"role":"user","content":"prompt-canary-77ab"}]}'


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in _ON_BOTH_LOOPS:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


class Bench:
    """A started transport to one upstream named `up`, and the outcomes it told."""

    def __init__(self, base_url: str, own_client: bool = True, **settings: Any) -> None:
        self.own_client = own_client
        self.outcomes: list[tuple[str, str]] = []
        upstream = Upstream(name="up", base_url=base_url, api_key="env:K", **settings)
        self.transport = Transport(
            [upstream],
            {"up": Secret(CANARY, "env:K")},
            lambda name, outcome: self.outcomes.append((name, outcome)),
            own_client=own_client,
        )

    async def open(self, path: str = "/chat/completions", body: bytes = BODY, **more: Any) -> Reply:
        headers = more.get("headers", (("content-type", "application/json"), ("accept-encoding", "identity")))
        return await self.transport.open("up", Outbound(more.get("method", "POST"), path, headers, body))

    async def ask(self, **more: Any) -> tuple[int, bytes]:
        """The whole answer."""
        reply = await self.open(**more)
        try:
            return reply.status, await read(reply)
        finally:
            reply.close()


async def read(reply: Reply) -> bytes:
    return b"".join([data async for data in reply.body])


@asynccontextmanager
async def bench_at(base_url: str, own_client: bool = True, **settings: Any) -> AsyncIterator[Bench]:
    bench = Bench(base_url, own_client, **{"connect_timeout": Duration(5), **settings})
    await bench.transport.start()
    try:
        yield bench
    finally:
        await bench.transport.close()


At = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture(params=[True, False], ids=["own", "aiohttp"])
def own_client(request: pytest.FixtureRequest) -> bool:
    """Each promise is both clients'."""
    own: bool = request.param
    return own


@pytest.fixture
def at(own_client: bool) -> At:
    return partial(bench_at, own_client=own_client)


@pytest.fixture
async def bench(upstream: Scripted, at: At) -> AsyncIterator[Bench]:
    async with at(upstream.base_url) as made:
        yield made
