"""The newest `openai` of npm: what it gets through the gateway is what it gets without it."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients import cases
from tests.clients.packages import installed
from tests.clients.session import Played, directly, through_a_gateway

SCRIPT = Path(__file__).parent / "client.mjs"
PATIENCE = 60.0  # seconds

pytestmark = pytest.mark.xdist_group("clients-npm")


async def play(base_url: str, key: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(shutil.which("node") or "node", str(SCRIPT), base_url, key),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    lines = [json.loads(line) for line in out.splitlines()]
    return {line.pop("case"): line.get("result", line) for line in lines}


@pytest.fixture(scope="module")
def direct() -> Played:
    for package in ("openai", "ws"):
        installed(f"{package}/package.json")
    return asyncio.run(directly(play))


@pytest.fixture(scope="module")
def through(direct: Played, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(through_a_gateway(play, tmp_path_factory.mktemp("clients")))


@pytest.mark.parametrize("case", cases.CASES)
def test_same_result(case: str, direct: Played, through: Played) -> None:
    assert "error" not in str(direct.results[case])
    assert through.results[case] == direct.results[case]


def test_the_upstream_got_the_same_requests(direct: Played, through: Played) -> None:
    assert [one["path"] for one in through.received] == [one["path"] for one in direct.received]
    assert through.received == direct.received


def test_both_languages_see_the_same(direct: Played) -> None:
    assert direct.results == asyncio.run(directly(cases.play)).results
