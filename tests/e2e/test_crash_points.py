"""`kill -9` at any moment: nothing that an upstream was asked for is missing from the books, no hold stays.

The store outlives the gateways. `GATEWAY_PROOF` kills two hundred of them instead of a few.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.running import ADMIN_KEY, ENVIRONMENT, KEY, configuration
from tests.scripted import Scripted
from tests.served import Served, served
from tests.stores import server
from tests.waiting import until_answer

KILLS = 200 if os.environ.get("GATEWAY_PROOF") else 6
LEASE_MS = 1000
CLIENTS = 8
LIMITS = '["$1000/total", "4 concurrent", "100k requests/minute", "10M tokens/day"]'
ENVIRON = ENVIRONMENT | {"GATEWAY_STORE__LEASE": f"{LEASE_MS}ms"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[str]:
    async with server("valkey", tmp_path) as url:
        yield url


async def test_nothing_is_unaccounted_for(upstream: Scripted, tmp_path: Path, store: str) -> None:
    text = configuration(upstream.base_url, tmp_path, limits=LIMITS, store=store)
    moments = random.Random(20261122)
    for number in range(KILLS):
        async with served(tmp_path, config=text, environ=ENVIRON) as gateway:
            await _load_until_killed(gateway, upstream, number, moments.uniform(0.0, 0.2))
    async with served(tmp_path, config=text, environ=ENVIRON) as last, aiohttp.ClientSession() as session:
        await until_answer(lambda: _open(session, last), 0)
        # What is held counts as used: once both are the same, every lease has ended.
        await until_answer(lambda: _held(session, last), 0)
        charged = {row["tags"]["call"] for row in await _rows(session, last) if row["settled"] != "none"}
        asked = {seen.json()["user"] for seen in upstream.requests}
        assert asked - charged == set()


async def _load_until_killed(gateway: Served, upstream: Scripted, number: int, seconds: float) -> None:
    """`seconds` after the first request has reached the upstream."""
    before = upstream.calls
    async with aiohttp.ClientSession() as session:
        clients = [asyncio.create_task(_ask(session, gateway, number, client)) for client in range(CLIENTS)]
        await upstream.received(before + 1)
        await asyncio.sleep(seconds)
        gateway.signal(signal.SIGKILL)
        await gateway.ended()
        await asyncio.gather(*clients)


async def _ask(session: aiohttp.ClientSession, gateway: Served, number: int, client: int) -> None:
    """One request after another, until there is nobody left to ask."""
    with contextlib.suppress(aiohttp.ClientError):
        for call in range(1_000_000):
            name = f"{number}-{client}-{call}"
            body = {
                "model": "gpt-4o-mini",
                "max_tokens": 40,
                "user": name,
                "stream": call % 2 == 1,
                "messages": [{"role": "user", "content": f"Where are the lamps? {name}"}],
            }
            headers = {"Authorization": f"Bearer {KEY}", "x-gateway-tags": f"call={name}"}
            async with session.post(
                gateway.url + "/v1/chat/completions", json=body, headers=headers
            ) as answer:
                await answer.read()


async def _held(session: aiohttp.ClientSession, gateway: Served) -> int:
    """Nano-dollars by which the budget's counter and the ledger's sum differ."""
    (budget,) = [one for one in await _limits(session, gateway) if one["limit"].startswith("$1000")]
    usage = await _admin(session, gateway, "usage")
    return int(Decimal(str(budget["used"])) * 10**9) - int(usage["total"]["cost_nano"])


async def _limits(session: aiohttp.ClientSession, gateway: Served) -> list[dict[str, Any]]:
    keys = (await _admin(session, gateway, "keys"))["data"]
    return list((await _admin(session, gateway, f"limits/{keys[0]['id']}"))["limits"])


async def _open(session: aiohttp.ClientSession, gateway: Served) -> int:
    """How many slots are taken: each hold has one."""
    (slots,) = [one for one in await _limits(session, gateway) if one["kind"] == "concurrency"]
    return int(slots["used"])


async def _rows(session: aiohttp.ClientSession, gateway: Served) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await _admin(session, gateway, f"ledger?limit=500{cursor}")
        rows += page["data"]
        if not page["has_more"]:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


async def _admin(session: aiohttp.ClientSession, gateway: Served, path: str) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with session.get(f"{gateway.admin_url}/admin/v1/{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()
