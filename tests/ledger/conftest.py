"""A store with a ledger, and every database in turn, empty."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.ledger.sink import Sink
from gateway.store.redis import RedisStore
from tests.ledger import postgres
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server

__all__ = ["connect", "home", "own", "spawn"]

Open = Callable[[], Awaitable[Sink]]

BOTH = [pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
async def store(own: Server, connect: Connect) -> RedisStore:
    return await connect(own.url)


@pytest.fixture(scope="session")
def database() -> Iterator[postgres.Server]:
    server = postgres.make()
    yield server
    postgres.remove(server)


@pytest.fixture
def empty(database: postgres.Server) -> postgres.Server:
    """PostgreSQL without the ledger's tables."""
    database.run("DROP TABLE IF EXISTS gateway_ledger, gateway_ledger_schema")
    return database


@pytest.fixture(params=BOTH)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger may be drained to: a file, then a server."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'ledger.sqlite3'}"
    server: postgres.Server = request.getfixturevalue("empty")
    return server.url


@pytest.fixture
async def open_sink(target: str) -> AsyncIterator[Open]:
    """Opens sinks on one database, as many gateways would."""
    async with AsyncExitStack() as stack:

        async def _open() -> Sink:
            sink = await Sink.open(target)
            stack.push_async_callback(sink.close)
            return sink

        yield _open


@pytest.fixture
async def sink(open_sink: Open) -> Sink:
    return await open_sink()
