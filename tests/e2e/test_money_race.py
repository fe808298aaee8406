"""Two hundred clients race over three gateways for a budget of exactly three requests: three are sent.

And every book says the same: the budget's counter, the ledger, its sums, the metrics, and the upstream.
`GATEWAY_PROOF` repeats it fifty times.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.running import ADMIN_KEY, configuration
from tests.scripted import Scripted, hold
from tests.served import Served, served
from tests.stores import server
from tests.waiting import until, until_answer

REPEATS = 50 if os.environ.get("GATEWAY_PROOF") else 2
CLIENTS, ADMITTED = 200, 3
# What gpt-4o-mini costs, in nano-dollars per token.
INPUT, OUTPUT = 150, 600


class Three:
    """Three gateways on one store."""

    def __init__(self, gateways: list[Served], session: aiohttp.ClientSession) -> None:
        self.gateways, self.session = gateways, session

    async def admin(self, method: str, path: str, body: Any = None, at: int = 0) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        url = f"{self.gateways[at].admin_url}/admin/v1/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def key(self, *limits: str) -> tuple[str, str]:
        """Id and secret of a new key, which all three know."""
        made = await self.admin("POST", "keys", {"name": "racer", "limits": list(limits)})
        for gateway in self.gateways:
            await until_answer(lambda gateway=gateway: self._knows(gateway, made["key"]), True)
        return made["id"], made["key"]

    async def _knows(self, gateway: Served, key: str) -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.get(gateway.url + "/gateway/me", headers=headers) as answer:
            return answer.status == 200

    async def ask(self, number: int, key: str) -> tuple[int, str | None]:
        """Status and error code."""
        body = {
            "model": "gpt-4o-mini",
            "seed": number,
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "Where are the lamps?"}],
        }
        url = self.gateways[number % len(self.gateways)].url + "/v1/chat/completions"
        async with self.session.post(url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-gateway-error")

    async def used(self, id: str) -> int:
        """Nano-dollars of the key's one budget, what is held included."""
        (limit,) = (await self.admin("GET", f"limits/{id}"))["limits"]
        return int(Decimal(str(limit["used"])) * 10**9)

    async def spent(self) -> int:
        """Nano-dollars by the metrics of all three."""
        total = Decimal(0)
        for gateway in self.gateways:
            async with self.session.get(gateway.admin_url + "/metrics") as answer:
                for line in (await answer.text()).splitlines():
                    if line.startswith("gateway_cost_dollars_total{"):
                        total += Decimal(line.rsplit(" ", 1)[1])
        return round(total * 10**9)

    async def statuses(self, id: str) -> list[int]:
        return sorted(row["status"] for row in await self.ledger(id))

    async def ledger(self, id: str) -> list[dict[str, Any]]:
        answer = await self.admin("GET", f"ledger?key={id}&limit=500")
        return list(answer["data"])


@pytest.fixture
async def three(upstream: Scripted, tmp_path: Path) -> AsyncIterator[Three]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(server("valkey", tmp_path))
        gateways = []
        for name in ("one", "two", "three"):
            folder = tmp_path / name
            folder.mkdir()
            text = configuration(upstream.base_url, folder, store=store)
            gateways.append(await stack.enter_async_context(served(folder, config=text)))
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Three(gateways, session)


async def test_a_budget_for_three_requests_lets_three_pass(upstream: Scripted, three: Three) -> None:
    worst = await worst_of_one(upstream, three)
    before = len(upstream.requests)
    billed = sum(map(cost_of, upstream.requests))
    for repeat in range(REPEATS):
        # One nano-dollar less than four requests: room for three.
        name, key = await three.key(f"${Decimal(4 * worst - 1) / 10**9}/total")
        statuses = await race(upstream, three, key)
        assert statuses.count((200, None)) == ADMITTED, f"repeat {repeat}"
        assert statuses.count((429, "insufficient_quota")) == CLIENTS - ADMITTED
        mine = upstream.requests[before:]
        before += ADMITTED
        assert len(mine) == ADMITTED
        charged = sum(map(cost_of, mine))
        billed += charged
        await until_answer(lambda name=name: three.used(name), charged)
        # A refused request leaves its row after its answer.
        everybody = [200] * ADMITTED + [429] * (CLIENTS - ADMITTED)
        await until_answer(lambda name=name: three.statuses(name), everybody)
        assert sum(int(row["cost_nano"]) for row in await three.ledger(name)) == charged
    await until_answer(three.spent, billed)
    usage = await three.admin("GET", "usage?group_by=key")
    assert int(usage["total"]["cost_nano"]) == billed


async def race(upstream: Scripted, three: Three, key: str) -> list[tuple[int, str | None]]:
    """All at once; the upstream answers nobody before everybody who is refused has been."""
    everybody_else_refused = asyncio.Event()
    upstream.plan(*[hold(everybody_else_refused)] * ADMITTED)
    done: list[tuple[int, str | None]] = []

    async def one(number: int) -> None:
        done.append(await three.ask(number, key))

    racing = asyncio.gather(*map(one, range(CLIENTS)))
    try:
        await until(lambda: len(done) >= CLIENTS - ADMITTED)
    finally:
        everybody_else_refused.set()
    await racing
    return done


async def worst_of_one(upstream: Scripted, three: Three) -> int:
    """What one such request has set aside, as its budget says while it is under way.

    Of a large budget it would be a rough bound on that: one that nobody can see.
    """
    name, key = await three.key("$0.01/total")
    answered = asyncio.Event()
    upstream.plan(hold(answered))
    asking = asyncio.create_task(three.ask(0, key))
    await upstream.received(1)
    worst = await three.used(name)
    answered.set()
    assert await asking == (200, None)
    return worst


def cost_of(seen: Any) -> int:
    """What the upstream bills for its answer: see `openai_like.chat`."""
    said = seen.json()["messages"][0]["content"]
    words = len(said.split())
    return (words + 3) * INPUT + (words + 3) * OUTPUT
