"""Clients of a gateway with workers, who know which worker each of their connections is with."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil

from tests.running import ADMIN_KEY, KEY
from tests.served import Served
from tests.waiting import until

QUESTION: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def workers(gateway: Served) -> list[psutil.Process]:
    """The grandchildren: the nursery forks them."""
    own = psutil.Process(gateway.process.pid)
    near = {child.pid for child in own.children()}
    return [child for child in own.children(recursive=True) if child.pid not in near]


@dataclass(eq=False)
class Client:
    """One connection at a time, kept alive.

    `lost` are the connections that broke: by whom they were served (0: it broke before that was found out),
    and from when to when.
    """

    port: int
    key: str = KEY
    worker: int = 0
    answered: list[str] = field(default_factory=list)  # ids of requests that were served
    lost: list[tuple[int, float, float]] = field(default_factory=list)
    since: float = 0.0
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def ask(self, number: int) -> int | None:
        """The status; None when the connection broke."""
        body = json.dumps(QUESTION | {"seed": number}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            if self._writer is None:
                self.worker, self.since = 0, time.monotonic()
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
            assert self._reader is not None
            self._writer.write(head.encode() + body)
            return await self._answer(self._reader)
        except (OSError, asyncio.IncompleteReadError):
            self.lost.append((self.worker, self.since, time.monotonic()))
            await self.leave()
            return None

    async def _answer(self, reader: asyncio.StreamReader) -> int:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        await reader.readexactly(int(fields["content-length"]))
        status = int(first.split()[1])
        if status == 200:
            self.answered.append(fields["x-gateway-request-id"])
        return status

    def find_worker(self, among: list[psutil.Process]) -> None:
        """Who has the other end of the connection."""
        assert self._writer is not None
        local = self._writer.get_extra_info("sockname")[1]
        for process in among:
            if any(one.raddr and one.raddr.port == local for one in process.net_connections("tcp")):
                self.worker = process.pid

    async def leave(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def crowd(gateway: Served, size: int) -> list[Client]:
    """So many, each with one answer, and with all workers among them."""
    clients: list[Client] = []
    among = workers(gateway)
    while len(clients) < size or {client.worker for client in clients} != {one.pid for one in among}:
        assert len(clients) < 20 * size, "one worker gets no connections"
        client = Client(gateway.port)
        assert await client.ask(1_000_000 + len(clients)) == 200
        client.find_worker(among)
        clients.append(client)
    return clients


async def replaced(gateway: Served, dead: psutil.Process) -> None:
    """Wait until another worker serves in its place."""
    size = len(workers(gateway))
    await until(lambda: dead.pid not in {one.pid for one in workers(gateway)})
    await until(lambda: len(workers(gateway)) >= size)


async def admin(gateway: Served, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, gateway.admin_url + path, json=body, headers=headers) as answer,
    ):
        return await answer.json()


async def rows(gateway: Served) -> list[dict[str, Any]]:
    """All of the ledger."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await admin(gateway, "GET", f"/admin/v1/ledger?limit=500{cursor}")
        found += page["data"]
        if not page.get("next_cursor"):
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def counters(gateway: Served) -> dict[str, float]:
    """Every series of the page that only ever grows."""
    async with aiohttp.ClientSession() as session, session.get(gateway.admin_url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    found: dict[str, float] = {}
    for line in lines:
        series, _, value = line.rpartition(" ")
        name = series.partition("{")[0]
        family = next(
            (name.removesuffix(end) for end in ("_bucket", "_count", "_sum") if name.endswith(end)), name
        )
        if not line.startswith("#") and kinds.get(family) in ("counter", "histogram"):
            found[series] = float(value)
    return found


def gone_back(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [name for name, value in before.items() if after.get(name, -1.0) < value]
