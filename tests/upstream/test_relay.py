"""Bodies that go out as they come in."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp.abc import AbstractStreamWriter

from gateway.errors import (
    RequestTimeout,
    RequestTooLarge,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.exchange import ClientGone, Outbound, Reply
from gateway.settings import Duration
from gateway.upstream.relay import Relay
from tests.arriving import Arriving, pieces_of
from tests.scripted import Scripted, close_now, early, hold, raw
from tests.scripted import json as answer
from tests.upstream.conftest import At, Bench, read
from tests.upstream.test_sending import gone

TYPE = 'multipart/form-data; boundary="a b"; x=y'
BODY = bytes(range(256)) * 20_000
REFUSAL = b'HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{"a":1}'


@pytest.fixture
def own_client() -> bool:
    """Uploads are aiohttp's, whatever the switch says; off, they share its connections with all else."""
    return False


async def send(bench: Bench, upload: Arriving, method: str = "POST", query: str = "") -> Reply:
    outbound = Outbound(method, "/files", (("content-type", TYPE),), upload, query)
    return await bench.transport.open("up", outbound)


async def ask(bench: Bench, upload: Arriving, **more: Any) -> tuple[int, bytes]:
    reply = await send(bench, upload, **more)
    try:
        return reply.status, await read(reply)
    finally:
        reply.close()


async def test_a_body_of_known_length_has_it(upstream: Scripted, bench: Bench) -> None:
    assert (await ask(bench, Arriving(*pieces_of(BODY, 99_999))))[0] == 404  # the small OpenAI has no files
    seen = upstream.requests[0]
    assert seen.body == BODY
    assert seen.header("content-length") == str(len(BODY))
    assert seen.header("transfer-encoding") is None
    assert seen.header("content-type") == TYPE


async def test_a_body_of_unknown_length_goes_in_chunks(upstream: Scripted, bench: Bench) -> None:
    await ask(bench, Arriving(*pieces_of(BODY, 99_999), known=False))
    seen = upstream.requests[0]
    assert seen.body == BODY
    assert (seen.header("content-length"), seen.header("transfer-encoding")) == (None, "chunked")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_empty_body_is_none(upstream: Scripted, bench: Bench, method: str) -> None:
    await ask(bench, Arriving(), method=method)
    seen = upstream.requests[0]
    assert seen.body == b""
    assert seen.header("transfer-encoding") is None
    assert seen.header("content-length") == {"POST": "0", "GET": None}[method]


async def test_a_query_goes_out_as_it_is_written(upstream: Scripted, bench: Bench) -> None:
    await ask(bench, Arriving(b"x"), query="include[]=a&include[]=b&after=x%26y+z&empty=")
    assert upstream.requests[0].path == "/v1/files?include[]=a&include[]=b&after=x%26y+z&empty="


async def test_the_connection_is_kept(upstream: Scripted, bench: Bench) -> None:
    for known in (True, False, True):
        await ask(bench, Arriving(BODY, known=known))
    assert (upstream.calls, upstream.connections) == (3, 1)


async def test_bytes_go_out_before_the_last_has_come(upstream: Scripted, bench: Bench) -> None:
    more = asyncio.Event()
    upstream.plan(early(answer(200, {})))
    # Answered by the head alone: so the head has arrived, while the client has sent nothing.
    assert (await ask(bench, Arriving(more, b"x", length=1)))[0] == 200


# ---- the upstream's faults ------------------------------------------------------------------------------


async def test_nobody_there_means_that_nothing_was_read(upstream: Scripted, bench: Bench) -> None:
    await upstream.stop()
    upload = Arriving(BODY)
    with pytest.raises(UpstreamUnreachable):
        await send(bench, upload)
    assert upload.asked == 0


async def test_a_connection_found_dead_is_replaced_before_anything_is_read(
    upstream: Scripted, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.ask()
    write, times = Relay.write, 1

    async def ended(relay: Relay, writer: AbstractStreamWriter) -> None:
        nonlocal times
        if times and writer.transport is not None:
            times -= 1
            writer.transport.abort()
        await write(relay, writer)

    monkeypatch.setattr(Relay, "write", ended)
    await ask(bench, Arriving(BODY))
    assert (upstream.calls, upstream.connections) == (2, 2)
    assert upstream.requests[1].body == BODY


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_has_begun_is_never_sent_again(upstream: Scripted, bench: Bench, method: str) -> None:
    """aiohttp itself repeats methods that are idempotent, on a connection that was kept."""
    await bench.ask()
    upstream.plan(close_now)
    with pytest.raises(UpstreamProtocolError):
        await send(bench, Arriving(BODY), method=method)
    assert upstream.calls == 2


async def test_an_upstream_that_takes_nothing_is_a_timeout(upstream: Scripted, at: At) -> None:
    upstream.plan(early(hold(asyncio.Event())))
    async with at(upstream.base_url, first_byte_timeout=Duration(0.2)) as bench:
        with pytest.raises(UpstreamTimeout):
            await send(bench, Arriving(*pieces_of(b"x" * 30_000_000, 2**16)))
        await gone(upstream)
        assert bench.outcomes == [("up", "timeout")]


async def test_an_upstream_that_says_nothing_is_a_timeout(upstream: Scripted, at: At) -> None:
    upstream.plan(hold(asyncio.Event()))
    async with at(upstream.base_url, first_byte_timeout=Duration(0.1)) as bench:
        with pytest.raises(UpstreamTimeout):
            await send(bench, Arriving(BODY))
        await gone(upstream)


async def test_a_slow_client_is_not_the_upstreams_fault(upstream: Scripted, at: At) -> None:
    class Slow(Arriving):
        async def __anext__(self) -> bytes:
            await asyncio.sleep(0.3)
            return await super().__anext__()

    async with at(upstream.base_url, first_byte_timeout=Duration(0.1)) as bench:
        await ask(bench, Slow(b"ab", b"cd"))
    assert upstream.requests[0].body == b"abcd"


async def test_an_early_answer_is_passed_on(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(early(raw(REFUSAL, end="hang")))
    assert await ask(bench, Arriving(*pieces_of(b"x" * 30_000_000, 2**16))) == (413, b'{"a":1}')
    await gone(upstream)


@pytest.mark.parametrize("end", ["close", "keep"])
async def test_an_early_answer_is_passed_on_however_the_connection_ends(
    upstream: Scripted, bench: Bench, end: Any
) -> None:
    """A server that closes with bytes unread resets the connection, right behind its answer."""
    upstream.plan(early(raw(REFUSAL, end=end)))
    for _ in range(20):
        assert await ask(bench, Arriving(*pieces_of(b"x" * 3_000_000, 2**16))) == (413, b'{"a":1}')


async def test_an_answer_that_comes_while_the_body_is_still_coming_is_whole(
    upstream: Scripted, bench: Bench
) -> None:
    go_on = asyncio.Event()
    head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"helloagain"
    upstream.plan(early(raw(head + body[:5], go_on, body[5:])))
    reply = await send(bench, Arriving(b"a", go_on, b"b", length=2))
    assert await anext(reply.body) == b"hello"
    go_on.set()
    assert await read(reply) == b"again"
    reply.close()
    assert bench.outcomes == [("up", "ok")]


# ---- the client's faults --------------------------------------------------------------------------------

FAULTS = [ClientGone(), RequestTimeout("late"), RequestTooLarge("large")]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_a_clients_fault_cuts_the_upstream_off(
    upstream: Scripted, bench: Bench, fault: Exception, known: bool
) -> None:
    upload = Arriving(b"x" * 1000, fault, length=2000) if known else Arriving(b"x" * 1000, fault, known=False)
    with pytest.raises(type(fault)):
        await send(bench, upload)
    await gone(upstream)
    await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.calls == 0  # it has never seen a whole request
    assert bench.outcomes == []
    assert bench.transport.status()[0]["in_flight"] == 0


async def test_a_clients_fault_during_the_answer_is_the_clients(upstream: Scripted, bench: Bench) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
    upstream.plan(early(raw(head, end="hang")))
    stop = asyncio.Event()
    reply = await send(bench, Arriving(b"a", stop, RequestTimeout("late"), length=2))
    assert await anext(reply.body) == b"hello"
    stop.set()
    with pytest.raises(RequestTimeout):
        await anext(reply.body)
    assert bench.outcomes == [("up", "ok")]
    assert bench.transport.status()[0]["in_flight"] == 0


@pytest.mark.parametrize("pieces", [(b"ab",), (b"ab", b"cd")])
async def test_a_body_of_another_length_than_promised_is_never_complete(
    upstream: Scripted, bench: Bench, pieces: tuple[bytes, ...]
) -> None:
    with pytest.raises(UpstreamProtocolError):
        await send(bench, Arriving(*pieces, length=3))
    await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.calls == 0


async def test_cancelling_while_the_client_is_slow_lets_go_of_the_upstream(
    upstream: Scripted, bench: Bench
) -> None:
    upload = Arriving(b"x" * 1000, asyncio.Event(), length=2000)
    call = asyncio.create_task(send(bench, upload))
    await upstream.until(lambda: upstream.open_connections == 1)
    async with asyncio.timeout(20):
        while upload.asked < 2:
            await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(upstream)


def test_its_repr_shows_no_body() -> None:
    async def made() -> Relay:
        return Relay(Arriving(b"secret"), 1)

    relay = asyncio.run(made())
    assert repr(relay) == "<Relay of 6 bytes, not begun>"
    with pytest.raises(TypeError):
        json.dumps(relay.decode())
