"""A listener with a handler of the test's own, and a watch over what is logged."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop

from gateway.errors import GatewayError
from gateway.settings import Duration, Size
from gateway.settings import Server as ServerSettings
from gateway.store.redis import RedisStore
from gateway.web.call import Handler
from gateway.web.lane import Enter
from gateway.web.listen import Listener, bind
from gateway.web.server import Server
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect
from tests.store.servers import Server as StoreServer
from tests.web.raw import CANARY, PATIENCE

__all__ = ["connect", "home", "own", "spawn"]

# These lean on what a transport does; production runs on uvloop, a developer's machine may not.
_ON_BOTH_LOOPS = {
    "test_body",
    "test_connection",
    "test_downstream",
    "test_framing",
    "test_lane",
    "test_lanebody",
    "test_lanedownstream",
    "test_proxy",
    "test_upload",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in _ON_BOTH_LOOPS:
        loops["asyncio"] = asyncio.new_event_loop
    return loops


def stop_following() -> None:
    """From here on the gateway's table changes only by what this process writes."""
    (following,) = [task for task in asyncio.all_tasks() if task.get_name() == "follow clients"]
    following.cancel()


class Served:
    """A listener that runs."""

    def __init__(self, listener: Listener, server: Server, refused: list[GatewayError]) -> None:
        self.listener = listener
        self.server = server
        self.port = listener.port
        self.refused = refused
        self.closing = False

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what tells nobody when it happens: the state of a connection."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a listener: `await serve(handler, body_timeout=0.1)`; with a lane, where `enter` comes second."""
    async with contextlib.AsyncExitStack() as stack:

        async def _serve(handler: Handler, enter: Enter | None = None, **settings: Any) -> Served:
            refused: list[GatewayError] = []
            server = Server(handler, _settings(**settings), refused.append, lambda: served.closing, enter)
            listener = Listener(bind("127.0.0.1", 0, "server"), server)
            served = Served(listener, server, refused)
            await listener.start()
            stack.push_async_callback(listener.close)
            return served

        yield _serve


_KINDS: dict[str, Callable[[Any], Any]] = {"max_body": Size, "max_upload": Size, "lane": bool}


def _settings(**given: Any) -> ServerSettings:
    settings = ServerSettings()
    for name, value in given.items():
        setattr(settings, name, _KINDS.get(name, Duration)(value))
    return settings


@pytest.fixture
async def store(own: StoreServer, connect: Connect) -> RedisStore:
    """A store of the test's own, empty."""
    return await connect(own.url)


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No key may be logged or printed, and neither aiohttp nor asyncio may have to complain."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        assert CANARY not in repr(record.__dict__) + caplog.text
        assert not record.name.startswith("aiohttp")
        assert record.name != "asyncio" or record.levelno < logging.WARNING
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err
