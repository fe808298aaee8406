"""`python bench/exact.py --minutes 10`: mixed requests, some of them cancelled; then the books are compared.

For each finished request, the ledger's row against what the upstream says it billed, to the nano-dollar; then
the ledger's sum against the day's sums, the budget's counter and the metrics. And memory, every few seconds.
"""

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import psutil

from bench.billing import Books, billing
from bench.mixture import Account, Client
from bench.processes import ROOT, free_port
from bench.progress import say

_ADMIN = "bench-admin-key-of-this-run-alone"
_KEYS = [f"bench-key-{number}-of-this-run-alone" for number in range(1, 7)]
_CONFIG = """\
[server]
port = {port}
limits = ["$100000/total"]
[admin]
port = {admin}
key = "env:BENCH_ADMIN_KEY"
[store]
url = "embedded:{folder}/data"
[ledger]
max_rows = 1000000
[[upstreams]]
name = "billing"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:BENCH_UPSTREAM_KEY"
[[teams]]
name = "odd"
limits = ["$10000/month", "1000M tokens/day"]
[[teams]]
name = "even"
limits = ["$10000/month"]
"""
_KEY = """\
[[keys]]
name = "k{number}"
team = "{team}"
secret = "env:BENCH_KEY_{number}"
limits = ["$1000/day", "100k requests/minute", "1000M tokens/hour", "1000 concurrent"]
"""
_SAMPLE_SECONDS = 5.0


class Gateway:
    """`gateway serve` in a process of its own."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.port, self.admin, self.folder = free_port(), free_port(), folder
        text = _CONFIG.format(port=self.port, admin=self.admin, folder=folder, upstream=upstream)
        for number in range(1, len(_KEYS) + 1):
            text += _KEY.format(number=number, team="odd" if number % 2 else "even")
        (folder / "gateway.toml").write_text(text)

    async def start(self) -> None:
        environ = {f"BENCH_KEY_{number}": key for number, key in enumerate(_KEYS, 1)}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(self.folder / "gateway.toml")),
            cwd=ROOT,
            env=os.environ | environ | {"BENCH_ADMIN_KEY": _ADMIN, "BENCH_UPSTREAM_KEY": "sk-bench"},
            stdout=(self.folder / "gateway.log").open("wb"),
            stderr=asyncio.subprocess.STDOUT,
        )

    def resident(self) -> float:
        """MiB of the gateway's own process, its store not among them."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 2**20

    async def stop(self) -> int:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def admin_call(self, session: aiohttp.ClientSession, path: str) -> Any:
        headers = {"authorization": f"Bearer {_ADMIN}"}
        async with session.get(f"http://127.0.0.1:{self.admin}{path}", headers=headers) as answer:
            text = await answer.text()
        return json.loads(text, parse_float=Decimal) if path.startswith("/admin") else text

    async def ready(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.admin}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)


async def measure(minutes: float, clients: int, rate: float, folder: Path) -> dict[str, Any]:
    """Run the load, end the gateway, compare its books. `rate` is requests a second, all clients together."""
    books, account, memory = Books(), Account(), list[float]()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(billing(books))
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        gateway = Gateway(folder, upstream)
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        await gateway.ready(session)
        until = asyncio.get_running_loop().time() + 60 * minutes
        sampling = asyncio.create_task(_sample(gateway, memory, account, until))
        callers = [
            Client(f"http://127.0.0.1:{gateway.port}/v1", _KEYS, account, seed) for seed in range(clients)
        ]
        await asyncio.gather(*(caller.run(session, until, clients / rate) for caller in callers))
        await sampling
        await _settled(gateway, session)
        seen = {
            "metrics": await gateway.admin_call(session, "/metrics"),
            "usage": await gateway.admin_call(session, "/admin/v1/usage?group_by=key"),
            "limits": [
                one
                for key in (await gateway.admin_call(session, "/admin/v1/keys"))["data"][:1]
                for one in (await gateway.admin_call(session, f"/admin/v1/limits/{key['id']}"))["limits"]
            ],
            "verify": await gateway.admin_call(session, "/admin/v1/ledger/verify"),
        }
        status = await gateway.stop()
    return _compare(folder, books, account, seen) | {"memory": _memory(memory), "exit_status": status}


async def _sample(gateway: Gateway, memory: list[float], account: Account, until: float) -> None:
    loop = asyncio.get_running_loop()
    while (left := until - loop.time()) > 0:
        await asyncio.sleep(min(left, _SAMPLE_SECONDS))
        memory.append(gateway.resident())
        if len(memory) % 6 == 0:
            said = ", ".join(f"{count} {name}" for name, count in sorted(account.outcomes.items()))
            say(f"{said}; {memory[-1]:.1f} MiB")


async def _settled(gateway: Gateway, session: aiohttp.ClientSession) -> None:
    """Until nothing is open and nothing waits to be told."""
    async with asyncio.timeout(60):
        while True:
            text = await gateway.admin_call(session, "/metrics")
            waiting = [
                _metric(text, name) for name in ("gateway_reservations_open", "gateway_journal_entries")
            ]
            if not any(waiting):
                return
            await asyncio.sleep(0.2)


def _compare(folder: Path, books: Books, account: Account, seen: dict[str, Any]) -> dict[str, Any]:
    database = sqlite3.connect(folder / "data" / "ledger.sqlite3")
    rows = {
        row[0]: row[1:]
        for row in database.execute(
            "SELECT id, settled, input, cached, output, cost_nano FROM gateway_ledger WHERE NOT correction"
        )
    }
    (total,) = database.execute("SELECT sum(cost_nano) FROM gateway_ledger").fetchone()
    by_source = dict(
        database.execute("SELECT settled, count(*) FROM gateway_ledger WHERE NOT correction GROUP BY settled")
    )
    database.close()
    wrong = [
        request
        for request, user in account.finished.items()
        if (bill := books.sent.get(user)) is None
        or rows.get(request) != ("usage", bill.input, bill.cached, bill.output, bill.nano)
    ]
    budget = next(one for one in seen["limits"] if one["limit"].startswith("$100000"))
    return {
        "requests": len(rows),
        "outcomes": dict(account.outcomes),
        "settled_from": by_source,
        "finished": len(account.finished),
        "finished_that_differ_from_the_upstream": len(wrong),
        "ledger_nano": total,
        "usage_nano": int(seen["usage"]["total"]["cost_nano"]),
        "budget_nano": int(Decimal(str(budget["used"])) * 10**9),
        "metrics_nano": round(Decimal(str(_metric(seen["metrics"], "gateway_cost_dollars_total"))) * 10**9),
        "chain_intact": not seen["verify"].get("broken"),
    }


def _metric(text: str, name: str) -> Decimal:
    """The sum of all series of that name."""
    values = [
        line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))
    ]
    return sum((Decimal(value) for value in values), Decimal(0))


def _memory(samples: Sequence[float]) -> dict[str, float]:
    """MiB: the medians of the second and of the last quarter; flat is what leaves these two alike."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    return {
        "second_quarter_mib": round(statistics.median(second), 1),
        "last_quarter_mib": round(statistics.median(last), 1),
    }


def exact(result: dict[str, Any]) -> bool:
    """Whether every book says the same."""
    sums = {result[name] for name in ("ledger_nano", "usage_nano", "budget_nano", "metrics_nano")}
    return (
        len(sums) == 1
        and result["finished"] > 0
        and result["finished_that_differ_from_the_upstream"] == 0
        and result["chain_intact"]
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--clients", type=int, default=32)
    arguments.add_argument("--rate", type=float, default=100, help="requests a second, as far as they come")
    arguments.add_argument("--json", action="store_true", help="the result for machines")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        result = asyncio.run(measure(given.minutes, given.clients, given.rate, Path(folder)))
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name.replace('_', ' '):42} {value}")
        print("exact" if exact(result) else "NOT EXACT")
    return 0 if exact(result) else 1


if __name__ == "__main__":
    sys.exit(main())
