"""Fixtures of all tests: an upstream that does as it is told, and a gateway in front of it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import hypothesis
import pytest

from tests.running import Running, configuration, running
from tests.scripted import Scripted

# How long an example takes is no promise of ours: speed belongs to bench/.
hypothesis.settings.register_profile("gateway", deadline=None)
hypothesis.settings.load_profile("gateway")

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def upstream() -> AsyncIterator[Scripted]:
    async with Scripted() as scripted:
        yield scripted


@pytest.fixture
async def start(upstream: Scripted, tmp_path: Path) -> AsyncIterator[Start]:
    """Start gateways in front of `upstream`: `await start(more_toml, limits='["7 requests/minute"]')`."""
    async with contextlib.AsyncExitStack() as stack:

        async def _start(
            more: str = "", *, limits: str = "[]", everybody: str = "[]", store: str = "", name: str = "a"
        ) -> Running:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            text = configuration(
                upstream.base_url, folder / "data", more, limits=limits, everybody=everybody, store=store
            )
            return await stack.enter_async_context(running(text, folder))

        yield _start


@pytest.fixture
async def gateway(start: Start) -> Running:
    return await start()
