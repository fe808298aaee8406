"""The command line as a whole: what there is, and what it loads to say so."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import main
from tests.running import ADMIN_KEY, KEY, configuration
from tests.scripted import Scripted
from tests.served import PATIENCE, Served, ask, served

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_the_commands_are_those_that_are_there() -> None:
    assert sorted(main.commands) == [
        *("chat", "check", "keys", "ledger", "limits", "login", "logout"),
        *("prices", "serve", "store", "teams", "usage"),
    ]
    assert sorted(main.commands["keys"].commands) == ["create", "list", "revoke", "show"]  # type: ignore[attr-defined]
    assert sorted(main.commands["teams"].commands) == ["create", "delete", "list", "show"]  # type: ignore[attr-defined]


def test_the_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"gateway {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["keys", "create"]])
def test_wrong_use_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom gateway.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'aiohttp', 'redis', 'msgspec', 'asyncio', 'http.client'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)


async def gateway(served: Served, *arguments: str, typed: str = "", **environ: str) -> tuple[int, str, str]:
    """Run the command line against a gateway: exit code, standard output, standard error."""
    addresses = {"GATEWAY_ADMIN_URL": served.admin_url, "GATEWAY_BASE_URL": f"{served.url}/v1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        env=os.environ | addresses | {"GATEWAY_ADMIN_KEY": ADMIN_KEY} | environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_key_is_made_used_and_revoked(upstream: Scripted, tmp_path: Path) -> None:
    config = configuration(upstream.base_url, tmp_path / "data")
    async with served(tmp_path, config=config) as running:
        code, key, said = await gateway(running, "keys", "create", "alice", "--limit", "60 requests/minute")
        assert code == 0, said
        key = key.strip()
        assert (await ask(running.url, QUESTION, key))[0] == 200
        code, listed, _ = await gateway(running, "keys", "list", "--json")
        ids = {each["name"]: each["id"] for each in json.loads(listed)["data"]}
        assert ids.keys() == {"test", "alice"}
        assert (await gateway(running, "keys", "revoke", ids["alice"]))[0] == 0
        assert (await ask(running.url, QUESTION, key))[0] == 401
        code, _, said = await gateway(running, "keys", "revoke", "test")
        assert code == 1
        assert "declared in the configuration" in said
        assert key not in listed


async def test_a_team_is_made_and_deleted(upstream: Scripted, tmp_path: Path) -> None:
    async with served(tmp_path, config=configuration(upstream.base_url, tmp_path / "data")) as running:
        assert (await gateway(running, "teams", "create", "ops", "--limit", "8 concurrent"))[0] == 0
        assert (await gateway(running, "keys", "create", "bob", "--team", "ops"))[0] == 0
        code, _, said = await gateway(running, "teams", "delete", "ops")
        assert (code, "revoke them first" in said) == (1, True)
        code, listed, _ = await gateway(running, "teams", "list")
        assert [line.split()[0] for line in listed.splitlines()] == ["NAME", "research", "ops"]


async def test_a_chat_through_the_gateway(upstream: Scripted, tmp_path: Path) -> None:
    async with served(tmp_path, config=configuration(upstream.base_url, tmp_path / "data")) as running:
        code, out, said = await gateway(running, "chat", "--model", "m", typed="Hi\n", GATEWAY_API_KEY=KEY)
        assert code == 0, said
        assert out.strip()
        assert "cache: miss, upstream: scripted" in said
        code, _, said = await gateway(running, "chat", "--model", "m", typed="Hi\n", GATEWAY_API_KEY="sk-no")
        assert (code, "Incorrect API key" in said) == (1, True)
