"""Gateways on servers of their own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import AOF, Build, House
from tests.e2e.outage import ENVIRON, config
from tests.e2e.snare import Snare
from tests.running import running
from tests.scripted import Scripted
from tests.sessions import begin, up
from tests.store.conftest import home
from tests.store.servers import PROGRAMS, Server

__all__ = ["begin", "home", "up"]


@pytest.fixture
async def build(upstream: Scripted, home: Path) -> AsyncIterator[Build]:
    """A gateway on a server of its own. With `bad`, over a line that loses what it is told to.

    With `apart`, cached answers would stand elsewhere: the store is asked for one thing after the other.
    """
    async with AsyncExitStack() as stack:

        async def _build(
            kind: str = "valkey", *, bad: bool = False, apart: bool = False, **how: Any
        ) -> House:
            server = Server(PROGRAMS[kind](), home, AOF).start()
            stack.callback(lambda: server.stop())
            line = Snare(server.socket)
            await stack.enter_async_context(line)
            if apart:
                how["more"] = f'[cache]\nenabled = false\nurl = "{server.url}"\n' + how.get("more", "")
            text = config(upstream, home, f"{line.url}?db=0" if bad else server.url, **how)
            return House(await stack.enter_async_context(running(text, home, ENVIRON)), server, home, line)

        yield _build
