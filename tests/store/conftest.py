"""Every server in turn, empty; stores opened and closed; nothing left running."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.store.redis import RedisStore, open_store
from tests.store.servers import EVERY, SINGLE, Cluster, Connect, Server, Spawned, started, valkey

Park = Callable[[str], Server | Cluster]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def park() -> Iterator[Park]:
    """Servers by kind, each started when it is first asked for."""
    servers: dict[str, Server | Cluster] = {}
    with ExitStack() as stack:

        def park(kind: str) -> Server | Cluster:
            if kind not in servers:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gw"))
                servers[kind] = started(kind, Path(folder))
                stack.callback(servers[kind].stop)
            return servers[kind]

        yield park


@pytest.fixture(scope="session", params=EVERY)
def running(request: pytest.FixtureRequest, park: Park) -> Server | Cluster:
    return park(request.param)


@pytest.fixture
def server(running: Server | Cluster) -> Server | Cluster:
    """Every server in turn, the cluster among them, empty."""
    return emptied(running)


@pytest.fixture(params=SINGLE)
def single(request: pytest.FixtureRequest, park: Park) -> Server | Cluster:
    """Every server that is one process, in turn, empty."""
    return emptied(park(request.param))


@pytest.fixture
def cluster(park: Park) -> Server | Cluster:
    """The cluster alone, empty."""
    return emptied(park("cluster"))


def emptied(server: Server | Cluster) -> Server | Cluster:
    assert server.tell("FLUSHALL") == b"+OK"
    assert server.tell("SCRIPT FLUSH") == b"+OK"
    return server


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
async def store(server: Server | Cluster, connect: Connect) -> RedisStore:
    return await connect(server.url)
