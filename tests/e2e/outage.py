"""A store server that can be hurt, gateways on it, and what their books say afterwards."""

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from gateway.store import keyspace
from gateway.store.keyspace import Keyspace
from tests.running import ADMIN_KEY, ENVIRONMENT, KEY, configuration
from tests.scripted import Answer, Scripted, sse
from tests.store.servers import Server
from tests.waiting import until_answer

SERVED = (200, None)
REFUSED = (503, "quota_store_unavailable")
RESET = (503, "quota_store_reset")
RATE_LIMITED = (429, "rate_limit_exceeded")
USED_UP = (429, "insufficient_quota")
WRONG_KEY = (401, "invalid_api_key")

CHAT = "/v1/chat/completions"
RATED = "sk-gw-rated-0123456789abcdef"  # the key of the client `rated`, who has a rate and no budget
INPUT, OUTPUT = 150, 600  # what gpt-4o-mini costs, in nano-dollars per token
BASE = Keyspace().bases[0]
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"id": "c", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
STREAMED = 7 * INPUT + 5 * OUTPUT  # what `gated` costs

ENVIRON: Mapping[str, str] = {
    **ENVIRONMENT,
    "RATED": RATED,
    "GATEWAY_STORE__LEASE": "1s",
}


def config(
    upstream: Scripted,
    folder: Path,
    store: str,
    *,
    money: str = '["$1/total"]',
    rates: str = "[]",
    more: str = "",
    deadline: str = "250ms",
) -> str:
    """The client `test` is limited by `money`, the client `rated` by `rates`. Nothing is cached."""
    rated = f'[[keys]]\nname = "rated"\nsecret = "env:RATED"\nlimits = {rates}\n'
    cache = "" if "[cache]" in more else "[cache]\nenabled = false\n"
    text = configuration(upstream.base_url, folder, rated + cache + more, limits=money, store=store)
    return text.replace("[store]", f'[store]\ndeadline = "{deadline}"', 1)


def gated(gate: asyncio.Event) -> Answer:
    """A stream that stops after its first event until the gate opens."""
    return sse([DELTA, gate, DELTA, END, USAGE])


def question(text: str = "Where are the lamps?", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}


@dataclass(frozen=True)
class Told:
    """What a client was told."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-gateway-error")

    @property
    def outcome(self) -> tuple[int, str | None]:
        return self.status, self.code

    @property
    def cost(self) -> int:
        """Nano-dollars that the upstream bills for this answer."""
        if self.status != 200:
            return 0
        if self.headers["content-type"].startswith("text/event-stream"):
            return STREAMED
        usage = json.loads(self.body)["usage"]
        return int(usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT)


class Gateways:
    """Gateways on one store: asked, and audited, by their addresses."""

    def __init__(self, session: aiohttp.ClientSession, *places: tuple[str, str]) -> None:
        """`places` are public and admin URLs."""
        self._session = session
        self.places = places
        self.ids: dict[str, str] = {}  # of keys that were made here, by their name

    async def ask(self, key: str = KEY, at: int = 0, **more: Any) -> Told:
        headers = {"Authorization": f"Bearer {key}"}
        url = self.places[at][0] + CHAT
        async with self._session.post(url, json=question(**more), headers=headers) as answer:
            return Told(answer.status, answer.headers, await answer.read())

    def streaming(self, key: str = KEY, at: int = 0) -> "Streaming":
        return Streaming(self, key, at)

    async def admin(self, method: str, path: str, body: Any = None, at: int = 0) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        url = f"{self.places[at][1]}/admin/v1/{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, at: int = 0) -> tuple[int, Any]:
        """From the admin listener, without a key."""
        async with self._session.get(self.places[at][1] + path) as answer:
            return answer.status, await answer.json()

    async def metric(self, series: str, at: int = 0) -> float:
        async with self._session.get(self.places[at][1] + "/metrics") as answer:
            found = [line for line in (await answer.text()).splitlines() if line.startswith(series + " ")]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    async def make_key(self, name: str, *limits: str, team: str | None = None) -> str:
        """A new key, which all of them know."""
        status, made = await self.admin("POST", "keys", {"name": name, "limits": list(limits), "team": team})
        assert status == 201, made
        for at in range(len(self.places)):
            await until_answer(lambda at=at: self._knows(made["key"], at), True)  # type: ignore[misc]
        self.ids[name] = made["id"]
        return str(made["key"])

    async def _knows(self, key: str, at: int) -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        async with self._session.get(self.places[at][0] + "/gateway/me", headers=headers) as answer:
            return answer.status == 200

    async def rows(self, at: int = 0) -> list[dict[str, Any]]:
        """The whole ledger, oldest first."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            status, page = await self.admin("GET", f"ledger?limit=500&order=oldest{cursor}", at=at)
            assert status == 200, page
            rows += page["data"]
            if not page["has_more"]:
                return rows
            cursor = f"&cursor={page['next_cursor']}"

    async def used(self, client: str = "test", limit: str = "$1/total", at: int = 0) -> int:
        """What is used of that limit, what is held included: nano-dollars, or what else it counts."""
        status, answer = await self.admin("GET", f"limits/{self.ids.get(client, client)}", at=at)
        assert status == 200, answer
        (found,) = (each for each in answer["limits"] if each["limit"] == limit)
        used = Decimal(str(found["used"]))
        return int(used * 10**9) if found["unit"] == "dollars" else int(used)


class Streaming:
    """A stream under way: `async with` until its first event has come, then `rest()`."""

    def __init__(self, gateways: Gateways, key: str, at: int) -> None:
        self._gateways, self._key, self._at = gateways, key, at

    async def __aenter__(self) -> "Streaming":
        headers = {"Authorization": f"Bearer {self._key}"}
        url = self._gateways.places[self._at][0] + CHAT
        self._answer = await self._gateways._session.post(url, json=question(stream=True), headers=headers)
        assert self._answer.status == 200, await self._answer.text()
        self._begun = await self._answer.content.readuntil(b"\n\n")
        return self

    @property
    def id(self) -> str:
        return self._answer.headers["x-gateway-request-id"]

    async def rest(self) -> Told:
        body = self._begun + await self._answer.content.read()
        assert body.endswith(b"data: [DONE]\n\n")
        return Told(200, self._answer.headers, body)

    async def __aexit__(self, *error: object) -> None:
        self._answer.release()


async def audit(
    gateways: Gateways,
    server: Server,
    told: Iterable[Told],
    *,
    client: str = "test",
    limit: str = "$1/total",
    usage: bool = True,
) -> None:
    """Every book says the same of this client, as soon as it has all been told: each answer once.

    One that was refused because nobody heard what the store said may have been charged, and given that back.
    Without `usage`, the daily sums are left out: they are not put back when a store was emptied.
    """
    key = gateways.ids.get(client, client)
    answers = list(told)
    cost = sum(each.cost for each in answers)
    await until_answer(lambda: holds(server), 0)
    await until_answer(lambda: gateways.used(client, limit), cost)
    rows = [row for row in await gateways.rows() if row["key"] == key]
    first = [row["id"] for row in rows if not row["correction"]]
    assert len(first) == len(set(first))
    assert sum(row["cost_nano"] for row in rows) == cost
    charged = Counter[str]()
    for row in rows:
        charged[row["id"]] += row["cost_nano"]
    assert {each for each, nano in charged.items() if nano} == {
        each.headers["x-gateway-request-id"] for each in answers if each.status == 200
    }
    if usage:
        _, sums = await gateways.admin("GET", "usage?group_by=key")
        assert sum(each["cost_nano"] for each in sums["data"] if each["key"] == key) == cost
    assert await unbroken(gateways)


async def unbroken(gateways: Gateways) -> bool:
    """Whether the ledger's chain holds, from its first row to its last."""
    after = ""
    while True:
        status, report = await gateways.admin("GET", f"ledger/verify{after}")
        assert status == 200, report
        if report["done"] or report["broken"]:
            return report["broken"] is None
        after = f"?after={report['next']}"


async def in_step(gateways: Gateways, database: Path) -> bool:
    """The database has all rows that the store has."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            ((count,),) = connection.execute("SELECT count(*) FROM gateway_ledger")
    except sqlite3.OperationalError:  # it has no table yet
        return False
    return bool(count == len(await gateways.rows()))


async def holds(server: Server) -> int:
    """How many are open."""
    return int(server.ask("ZCARD", keyspace.leases(BASE)))


async def asked_until(ask: Callable[[], Awaitable[Told]], *outcome: object) -> list[Told]:
    """Ask again until it ends like this; all that was told."""
    told: list[Told] = []

    async def one() -> tuple[object, ...]:
        told.append(await ask())
        return told[-1].outcome

    await until_answer(one, outcome)
    return told
