"""What was used, from the command line: through the admin API of a gateway that runs."""

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.conftest import Start
from tests.running import ADMIN_KEY, Running

CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}
ASKED = 7


@pytest.fixture
async def gateway(start: Start) -> Running:
    running = await start("[cache]\nenabled = false", limits='["$5/day"]')
    for _ in range(ASKED):
        async with running.post("/v1/chat/completions", CHAT, x_gateway_tags="site=a") as answer:
            assert answer.status == 200
    await running.concluded()
    return running


@pytest.fixture
def call(gateway: Running) -> Callable[..., "asyncio.Future[Result]"]:
    environ = {"GATEWAY_ADMIN_KEY": ADMIN_KEY, "GATEWAY_ADMIN_URL": gateway.admin_url}

    def _call(*arguments: str) -> "asyncio.Future[Result]":
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(None, lambda: CliRunner().invoke(main, arguments, env=environ))

    return _call


Calling = Callable[..., "asyncio.Future[Result]"]


async def test_the_ledger_is_exported_as_it_is_shown(call: Calling, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    assert (await call("ledger", "export", "-o", str(file))).exit_code == 0
    lines = (await call("ledger", "export", "--format", "jsonl", "--tag", "site=a")).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    with file.open(newline="") as opened:
        sheet = list(csv.DictReader(opened))
    assert [int(row["number"]) for row in sheet] == [row["number"] for row in rows] == [*range(1, ASKED + 1)]
    assert [int(row["cost_nano"]) for row in sheet] == [row["cost_nano"] for row in rows]
    report = json.loads((await call("usage", "--by", "tag", "--json")).stdout)
    assert report["data"][0]["cost_nano"] == sum(row["cost_nano"] for row in rows) > 0


async def test_the_chain_is_verified_with_the_head_of_earlier(call: Calling, gateway: Running) -> None:
    head = (await call("ledger", "verify")).stdout.splitlines()[-1].split()[1]
    assert head.startswith(f"{ASKED}:")
    async with gateway.post("/v1/chat/completions", CHAT):
        pass
    await gateway.concluded()
    assert (await call("ledger", "verify", "--expect", head)).exit_code == 0
    assert (
        await call("ledger", "verify", "--expect", f"{ASKED - 1}:{head.partition(':')[2]}")
    ).exit_code == 1


async def test_usage_and_limits_are_tables(call: Calling) -> None:
    head, line, total = ((await call("usage")).stdout).splitlines()
    assert line.split()[:3] == ["test", "test", str(ASKED)]
    assert total.split()[:2] == ["TOTAL", str(ASKED)]
    assert line[head.index("HITS") - 12 :].split() == total[head.index("HITS") - 12 :].split()
    limits = (await call("limits", "show", "test")).stdout.splitlines()
    assert limits[1].startswith("$5/day  key:test  enforce  $0.")


async def test_nobody_accepts_a_store_that_nobody_doubts(call: Calling) -> None:
    result = await call("store", "accept", "--yes")
    assert (result.exit_code, "nothing to accept" in result.stderr) == (1, True)
