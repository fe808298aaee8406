"""What stays with aiohttp's client."""

import pytest

from gateway.exchange import Outbound
from tests.scripted import Scripted, raw
from tests.upstream.conftest import Bench, bench_at, read


async def connections(bench: Bench) -> int:
    return len(bench.transport._connections["up"]._all)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_all_of_it_where_the_own_client_is_off(upstream: Scripted, method: str) -> None:
    async with bench_at(upstream.base_url, own_client=False) as bench:
        assert (await bench.ask(method=method))[0] in (200, 404)
        assert await connections(bench) == 0
    assert upstream.calls == 1


async def test_a_head_has_a_length_and_no_body(upstream: Scripted) -> None:
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"))
    async with bench_at(upstream.base_url) as bench:
        for _ in range(2):
            reply = await bench.transport.open("up", Outbound("HEAD", "/files/x/content", (), b""))
            assert (reply.headers["content-length"], await read(reply)) == ("7", b"")
            reply.close()
        assert await connections(bench) == 0
    assert upstream.connections == 1
