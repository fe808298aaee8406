"""A hundred clients, a limit of seven, two gateway processes on one store: exactly seven pass."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from tests.running import KEY, configuration
from tests.scripted import Scripted, hold
from tests.served import served
from tests.stores import server

LIMITS = ["7 requests/day", "7 concurrent", "7 requests/hour"]


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("limit", LIMITS)
async def test_exactly_seven_of_a_hundred_pass(
    upstream: Scripted, tmp_path: Path, kind: str, limit: str
) -> None:
    answered = asyncio.Event()
    if "concurrent" in limit:
        upstream.plan(hold(answered))
    async with server(kind, tmp_path) as store, contextlib.AsyncExitStack() as stack:
        gateways = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            text = configuration(upstream.base_url, folder, limits=f'["{limit}"]', store=store)
            gateways.append(await stack.enter_async_context(served(folder, config=text)))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        refused = 0

        async def one(number: int) -> int:
            nonlocal refused
            url = gateways[number % 2].url + "/v1/chat/completions"
            body = {"model": "gpt-4o-mini", "seed": number, "messages": [{"role": "user", "content": "hi"}]}
            async with session.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as answer:
                await answer.read()
                refused += answer.status == 429
                if refused == 93:
                    answered.set()
                return answer.status

        statuses = await asyncio.gather(*map(one, range(100)))
    assert (statuses.count(200), statuses.count(429)) == (7, 93)
    assert upstream.calls == 7
