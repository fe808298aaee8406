"""Names, addresses and certificates."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from gateway.errors import UpstreamUnreachable
from gateway.upstream import reaching
from gateway.upstream.reaching import reach
from tests.scripted import Scripted, _Connection
from tests.upstream.conftest import bench_at

PEM = Path(__file__).with_name("self_signed.pem")


@pytest.fixture(autouse=True)
def new_context() -> None:
    reaching._trusting.cache_clear()


@asynccontextmanager
async def behind_tls(upstream: Scripted, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The scripted upstream at an https address."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PEM)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(upstream), host, 0, ssl=tls)
    async with server:
        yield f"https://{host}:{server.sockets[0].getsockname()[1]}/v1"


async def test_over_tls_where_the_certificate_is_trusted(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    async with behind_tls(upstream) as url, bench_at(url) as bench:
        for _ in range(3):
            assert (await bench.ask(body=b'{"model":"m"}' + b" " * 500_000))[0] in (200, 400)
        assert (upstream.connections, upstream.calls) == (1, 3)
        (connection,) = bench.transport._connections["up"]._all
        assert connection._transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_another_address_than_the_certificates(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    async with behind_tls(upstream, "127.0.0.2") as url, bench_at(url) as bench:
        with pytest.raises(UpstreamUnreachable, match="certificate"):
            await bench.ask()
    assert upstream.calls == 0


async def test_the_next_address_where_the_first_is_dead(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def known(loop: Any, host: str, port: int) -> Any:
        asked.append(host)
        tcp = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *tcp, ("::1", port, 0, 0)),
            (socket.AF_INET, *tcp, ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(reaching, "addresses", known)
    async with bench_at(upstream.base_url.replace("127.0.0.1", "up.example")) as bench:
        for _ in range(2):
            assert (await bench.ask())[0] == 200
            assert asked == ["up.example"]
        await asyncio.gather(bench.ask(), bench.ask())
    assert asked == ["up.example"] * 2  # once for each connection


async def test_an_address_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", "::1"):
        (found,) = await reaching.addresses(loop, host, 80)
        assert found[4][:2] == (host, 80)


async def test_what_has_come_about_sends_at_once(upstream: Scripted) -> None:
    """Small writes do not wait for each other's acknowledgement."""
    made = await reach(URL(upstream.base_url), Plain)
    option = made.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert option
    made.transport.abort()


class Plain(asyncio.Protocol):
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def test_trust_is_read_once() -> None:
    loop = asyncio.get_running_loop()
    assert await reaching.tls_context(loop) is await reaching.tls_context(loop)


async def test_cancelled_in_the_handshake_nothing_is_left(upstream: Scripted) -> None:
    """A server that speaks no TLS, and so never answers the greeting."""
    call = asyncio.create_task(reach(URL(upstream.base_url.replace("http:", "https:")), Plain))
    await upstream.until(lambda: upstream.open_connections == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await upstream.until(lambda: upstream.open_connections == 0)
