"""Which connection is used next, and how long one waits for that."""

import asyncio
from collections.abc import Callable

import pytest
from yarl import URL

from gateway.errors import UpstreamUnreachable
from gateway.upstream import connections, reaching, transport
from gateway.upstream.connection import Connection
from gateway.upstream.connections import Connections
from tests.scripted import Scripted, hold, json
from tests.upstream.conftest import Bench, bench_at
from tests.waiting import until


def pool(bench: Bench) -> Connections:
    return bench.transport._connections["up"]


async def busy(upstream: Scripted, bench: Bench, count: int) -> None:
    """So many requests at once, and then as many idle connections."""
    go_on = asyncio.Event()
    upstream.plan(hold(go_on, json(200, {})))
    calls = [asyncio.create_task(bench.ask()) for _ in range(count)]
    await upstream.received(upstream.calls + count)
    go_on.set()
    await asyncio.gather(*calls)
    upstream.plan()


async def test_the_youngest_is_used_next(upstream: Scripted) -> None:
    async with bench_at(upstream.base_url) as bench:
        await busy(upstream, bench, 3)
        *_, youngest = pool(bench)._idle
        taken = pool(bench).take(asyncio.get_running_loop().time())
        assert taken is youngest
        assert repr(pool(bench)) == "<Connections: 3, 2 of them idle>"


async def test_what_nobody_uses_is_closed_and_what_is_used_is_not(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "KEEPALIVE", 0.2)
    async with bench_at(upstream.base_url) as bench:
        await busy(upstream, bench, 3)

        async def one_left() -> None:
            while upstream.open_connections > 1:
                await bench.ask()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(one_left(), 20)
        assert upstream.connections == 3
        await until(lambda: upstream.open_connections == 0)
        assert not pool(bench)._all


async def test_one_that_waited_too_long_is_not_taken(upstream: Scripted) -> None:
    """However late the loop is."""
    async with bench_at(upstream.base_url) as bench:
        await bench.ask()
        assert pool(bench).take(asyncio.get_running_loop().time() + transport.KEEPALIVE) is None
        assert not pool(bench)._all


async def test_all_that_ended_unseen_are_passed_over(upstream: Scripted) -> None:
    """An upstream that restarts ends every one of them at once."""
    async with bench_at(upstream.base_url) as bench:
        await busy(upstream, bench, 5)
        for connection in list(upstream._open):
            connection.wire._writer.transport.abort()
        await upstream.until(lambda: upstream.open_connections == 0)
        assert (await bench.ask())[0] == 200
        assert upstream.connections == 6


async def test_closed_none_is_left(upstream: Scripted) -> None:
    async with bench_at(upstream.base_url) as bench:
        await busy(upstream, bench, 3)
        upstream.plan(hold(asyncio.Event()))
        call = asyncio.create_task(bench.ask())
        await upstream.received(4)
        closed = pool(bench)
        await bench.transport.close()
        assert repr(closed) == "<Connections: 0, 0 of them idle>"
        assert await asyncio.gather(call, return_exceptions=True)
        await upstream.until(lambda: upstream.open_connections == 0)


async def test_one_that_has_ended_already_is_not_remembered(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reach(url: URL, make: Callable[[], Connection]) -> Connection:
        connection = await reaching.reach(url, make)
        connection._transport.abort()
        await upstream.until(lambda: upstream.connections > 0 and upstream.open_connections == 0)
        return connection

    monkeypatch.setattr(connections, "reach", reach)
    async with bench_at(upstream.base_url) as bench:
        with pytest.raises(UpstreamUnreachable):
            await bench.ask()
        assert not pool(bench)._all


async def test_one_that_comes_about_too_late_is_closed(upstream: Scripted) -> None:
    async with bench_at(upstream.base_url) as bench:
        call = asyncio.create_task(bench.ask())
        await asyncio.sleep(0)
        await bench.transport.close()
        with pytest.raises(Exception, match="Upstream `up`"):
            await call
        await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.calls == 0
