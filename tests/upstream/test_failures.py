"""Each way in which an answer can fail to begin, and the error that it becomes."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from gateway.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from gateway.settings import Duration
from tests.scripted import Scripted, close_now, hold, json, raw, reset
from tests.upstream.conftest import At, Bench


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def kind_of(bench: Bench) -> str:
    kind: str = bench.transport.status()[0]["last_error"]
    return kind


async def test_refused(at: At) -> None:
    async with at(f"http://127.0.0.1:{free_port()}/v1") as bench:
        with pytest.raises(UpstreamUnreachable) as caught:
            await bench.open()
        assert (caught.value.code, await kind_of(bench)) == ("upstream_unreachable", "connect")
        assert bench.outcomes == [("up", "unreachable")]


async def test_no_such_host(at: At) -> None:
    async with at("http://no-such-host.invalid/v1") as bench:
        with pytest.raises(UpstreamUnreachable):
            await bench.open()
        assert await kind_of(bench) == "dns"


async def test_a_connection_that_never_comes_about(at: At) -> None:
    """A listener whose queue is full drops what arrives, as a black hole does."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        async with at(
            f"http://127.0.0.1:{full.getsockname()[1]}/v1", connect_timeout=Duration(0.05)
        ) as bench:
            with pytest.raises(UpstreamUnreachable):
                await bench.open()
            assert await kind_of(bench) == "connect_timeout"


async def test_a_certificate_that_nobody_vouches_for(at: At) -> None:
    """The key is never sent: nothing is, but a handshake."""
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())
        writer.close()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with server, at(f"https://127.0.0.1:{port}/v1") as bench:
        with pytest.raises(UpstreamUnreachable):
            await bench.open()
        assert await kind_of(bench) == "tls"
    assert heard == b""


async def test_a_plain_server_where_tls_is_expected(upstream: Scripted, at: At) -> None:
    upstream.plan(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    async with at(upstream.base_url.replace("http:", "https:"), connect_timeout=Duration(0.2)) as bench:
        with pytest.raises(UpstreamUnreachable):
            await bench.open()
    assert upstream.calls == 0


@pytest.mark.parametrize("ending", [close_now, reset], ids=["closes", "resets"])
async def test_no_answer_at_all(upstream: Scripted, bench: Bench, ending: object) -> None:
    upstream.plan(ending)  # type: ignore[arg-type]
    with pytest.raises(UpstreamProtocolError) as caught:
        await bench.open()
    assert (caught.value.code, caught.value.should_retry) == ("upstream_protocol_error", True)
    assert upstream.calls == 1


@pytest.mark.parametrize("ending", [close_now, reset], ids=["closes", "resets"])
async def test_a_kept_connection_that_ends_on_reuse_is_not_sent_again(
    upstream: Scripted, bench: Bench, ending: object
) -> None:
    upstream.plan(json(200, {}), ending)  # type: ignore[arg-type]
    await bench.ask()
    with pytest.raises(UpstreamProtocolError) as caught:
        await bench.open()
    assert caught.value.should_retry is True
    assert (upstream.connections, upstream.calls) == (1, 2)


async def test_a_kept_connection_that_ended_before_is_replaced(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", end="close"), json(200, {}))
    await bench.ask()
    await upstream.until(lambda: upstream.open_connections == 0)
    assert (await bench.ask())[0] == 200
    assert upstream.connections == 2


async def test_silence(upstream: Scripted, at: At) -> None:
    upstream.plan(hold(asyncio.Event()))
    async with at(upstream.base_url, first_byte_timeout=Duration(0.05)) as bench:
        with pytest.raises(UpstreamTimeout):
            await bench.open()
        assert (await kind_of(bench), bench.outcomes) == ("first_byte", [("up", "timeout")])
        await upstream.disconnected()


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 2",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "junk",
        "two framings",
        "two lengths",
        "bare CR",
        "endless header",
        "upgrade",
        "half a head",
        "999",
        "600",
    ],
)
async def test_an_answer_that_is_none(upstream: Scripted, bench: Bench, answer: bytes) -> None:
    upstream.plan(raw(answer, end="close"))
    with pytest.raises(UpstreamProtocolError):
        await bench.open()
    await upstream.until(lambda: upstream.open_connections == 0)
    assert bench.outcomes == [("up", "protocol_error")]


async def test_what_follows_an_answer_is_not_the_next_answer(upstream: Scripted, bench: Bench) -> None:
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue" + surplus), json(200, b"fine"))
    assert (await bench.ask())[1] == b"true"
    assert (await bench.ask())[1] == b"fine"
