"""A gateway as people run it: `gateway serve` in a process of its own, in a folder of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.running import ENVIRONMENT, KEY, SERVER

PATIENCE = 60.0  # seconds until a start or an end that does not come has failed
_ADMIN = re.compile(r"^\s+(sk-gw-admin-\S+)$", re.MULTILINE)
_CLIENT = re.compile(r"^\s+(sk-gw-(?!admin-)\S+)$", re.MULTILINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """One `gateway serve`, its output so far, and its addresses."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, admin_port: int) -> None:
        self.process = process
        self.port, self.admin_port = port, admin_port
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.output = ""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(65536):
            self.output += data.decode()

    @property
    def admin_key(self) -> str:
        return _found(_ADMIN, self.output)

    @property
    def client_key(self) -> str:
        return _found(_CLIENT, self.output)

    async def ready(self) -> None:
        """Wait until /readyz says so. Fails with the output when the process has ended."""
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None, self.output
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.admin_url + "/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()
            await self._reading
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.ended()

    async def metric(self, line: str) -> float:
        """The value of the series that is written like this; 0 if there is none yet."""
        async with aiohttp.ClientSession() as session, session.get(self.admin_url + "/metrics") as answer:
            for found in (await answer.text()).splitlines():
                if found.startswith(line + " "):
                    return float(found.rsplit(" ", 1)[1])
        return 0.0


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match is not None, text
    return match[1]


@contextlib.asynccontextmanager
async def served(
    folder: Path, *arguments: str, config: str | None = None, environ: Mapping[str, str] = ENVIRONMENT
) -> AsyncIterator[Served]:
    """Run it and wait until it is ready. It has ended when the context has."""
    port, admin_port = free_port(), free_port()
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = inherited | dict(environ) | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    environment |= SERVER | {"GATEWAY_SERVER__PORT": str(port), "GATEWAY_ADMIN__PORT": str(admin_port)}
    if config is not None:
        (folder / "gateway.toml").write_text(config)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "serve",
        *arguments,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Served(process, port, admin_port)
    try:
        await running.ready()
        yield running
    finally:
        if process.returncode is None:
            await running.stop()


async def gone(processes: list[psutil.Process]) -> None:
    """Wait until these processes have ended."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, PATIENCE)
    assert not alive


async def ask(
    url: str, body: Any, key: str = KEY, path: str = "/v1/chat/completions"
) -> tuple[int, dict[str, str], Any]:
    """One POST on a connection of its own: status, headers, JSON."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + path, json=body, headers=headers) as answer,
    ):
        text = await answer.text()
        return answer.status, dict(answer.headers), json.loads(text) if text else None
