"""Every server in turn, empty; stores opened and closed; nothing left running."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.store.redis import RedisStore, open_store
from tests.store.servers import EVERY, PROGRAMS, Connect, Server, Spawned, valkey


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        yield Path(folder)


@pytest.fixture(scope="session", params=EVERY)
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        server = Server(PROGRAMS[request.param](), Path(folder)).start()
        yield server
        server.stop()


@pytest.fixture
def server(running: Server) -> Server:
    """Every server in turn, empty."""
    assert running.tell("FLUSHALL") == b"+OK"
    assert running.tell("SCRIPT FLUSH") == b"+OK"
    return running


@pytest.fixture
def own(home: Path) -> Iterator[Server]:
    """A Valkey that one test may treat badly."""
    server = Server(valkey(), home).start()
    yield server
    server.stop()


@pytest.fixture
async def spawn() -> AsyncIterator[Spawned]:
    """Fails the test where a background task failed, or is left running."""
    spawned = Spawned()
    yield spawned
    left = [task.get_name() for task in spawned.tasks if not task.done()]
    for task in spawned.tasks:
        task.cancel()
    for result in await asyncio.gather(*spawned.tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result
    assert not left


@pytest.fixture
async def connect(spawn: Spawned) -> AsyncIterator[Connect]:
    """Opens stores, as many gateways would; closes them after the test."""
    async with AsyncExitStack() as stack:

        async def connect(url: str, **changes: Any) -> RedisStore:
            settings: dict[str, Any] = {"deadline": 2.0, "timezone": "UTC", "max_memory": 2**20}
            store = await open_store(url, spawn=spawn, **settings | changes)
            stack.push_async_callback(store.close)
            return store

        yield connect


@pytest.fixture
async def store(server: Server, connect: Connect) -> RedisStore:
    return await connect(server.url)
