"""What leaves, what comes back, and what is told about it."""

import asyncio
import logging

import pytest

from gateway.errors import GatewayError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from gateway.settings import Duration, Upstream
from gateway.upstream import transport
from gateway.upstream.secrets import NO_SECRET
from gateway.upstream.transport import Transport
from tests.scripted import Scripted, close_now, hold, json, raw, sse
from tests.upstream.conftest import CANARY, PROMPT, At, Bench, read


async def test_what_leaves_is_what_was_given_and_one_authorization(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(json(200, b'{"a": 1}'))
    smuggled = (("Authorization", "Bearer other"), ("cookie", "a=b"), ("api-key", "x"), ("x-kept", "y"))
    assert await bench.ask(body=b'{ "odd" :1}', headers=smuggled) == (200, b'{"a": 1}')
    seen = upstream.requests[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions", b'{ "odd" :1}')
    assert sorted((name.lower(), value) for name, value in seen.headers) == [
        ("authorization", f"Bearer {CANARY}"),
        ("content-length", "11"),
        ("host", f"127.0.0.1:{upstream.port}"),
        ("x-kept", "y"),
    ]


async def test_a_get_has_no_body(upstream: Scripted, bench: Bench) -> None:
    status, _ = await bench.ask(method="GET", path="/models", body=b"")
    assert status == 200
    assert upstream.requests[0].header("content-length") is None


async def test_without_a_secret_no_authorization_is_sent(upstream: Scripted, own_client: bool) -> None:
    transport = Transport(
        [Upstream(name="up", base_url=upstream.base_url)],
        {"up": NO_SECRET},
        lambda *_: None,
        own_client=own_client,
    )
    bench = Bench(upstream.base_url)
    bench.transport = transport
    await transport.start()
    await bench.ask()
    await transport.close()
    assert upstream.requests[0].header("authorization") is None


async def test_cookies_are_neither_kept_nor_sent(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(json(200, {}, [("Set-Cookie", "a=b; Path=/")]))
    await bench.ask()
    await bench.ask()
    assert upstream.requests[1].header("cookie") is None


async def test_an_answer_is_passed_as_it_came(upstream: Scripted, bench: Bench) -> None:
    packed = b"\x1f\x8b not really gzip"
    upstream.plan(json(418, packed, [("Content-Encoding", "gzip"), ("X-Request-Id", "req_1")]))
    reply = await bench.open()
    assert (reply.status, reply.upstream, reply.headers["x-request-id"]) == (418, "up", "req_1")
    assert await read(reply) == packed


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_stream_arrives_byte_for_byte(upstream: Scripted, bench: Bench, size: int) -> None:
    upstream.plan(sse([{"n": number} for number in range(20)], chunking=size))
    events = "".join(f'data: {{"n":{number}}}\n\n' for number in range(20)) + "data: [DONE]\n\n"
    assert (await bench.ask())[1].decode() == events


async def test_the_first_bytes_do_not_wait_for_the_rest(upstream: Scripted, bench: Bench) -> None:
    go_on = asyncio.Event()
    upstream.plan(sse(["first", go_on, "second"]))
    reply = await bench.open()
    assert await anext(reply.body) == b"data: first\n\n"
    go_on.set()
    assert b"second" in await read(reply)


async def test_a_body_read_to_its_end_gives_the_connection_back(upstream: Scripted, bench: Bench) -> None:
    for _ in range(3):
        await bench.ask()
    assert (upstream.connections, upstream.calls) == (1, 3)


async def test_an_idle_connection_is_let_go_before_upstreams_do(
    upstream: Scripted, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport.KEEPALIVE < 5
    monkeypatch.setattr(transport, "KEEPALIVE", 0.05)
    async with at(upstream.base_url) as bench:
        await bench.ask()
        await upstream.until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(upstream: Scripted, bench: Bench, status: int) -> None:
    async with Scripted() as elsewhere:
        upstream.plan(json(status, b"", [("Location", f"{elsewhere.base_url}/chat/completions")]))
        with pytest.raises(UpstreamProtocolError) as caught:
            await bench.open()
        assert caught.value.code == "upstream_redirect"
        assert elsewhere.connections == 0
    assert bench.outcomes == [("up", "protocol_error")]


@pytest.mark.parametrize("name", ["If-None-Match", "if-modified-since"])
async def test_what_has_not_changed_is_an_answer_to_who_asked_that(
    upstream: Scripted, bench: Bench, name: str
) -> None:
    """RFC 9110 section 15.4.5: 304 is no redirect."""
    upstream.plan(raw(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 9\r\n\r\n'))
    for _ in range(2):
        reply = await bench.open(headers=((name, '"1"'),))
        assert (reply.status, [data async for data in reply.body]) == (304, [])
    assert upstream.connections == 1
    with pytest.raises(UpstreamProtocolError) as caught:
        await bench.open()
    assert caught.value.code == "upstream_protocol_error"


async def test_a_hundred_and_fifty_streams_run_at_once(upstream: Scripted, bench: Bench) -> None:
    go_on = asyncio.Event()
    upstream.plan(hold(go_on))
    calls = [asyncio.create_task(bench.ask()) for _ in range(150)]
    await upstream.received(150)
    go_on.set()
    assert {status for status, _ in await asyncio.gather(*calls)} == {200}


async def test_cancelling_the_call_ends_it_upstream(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(hold(asyncio.Event()))
    call = asyncio.create_task(bench.open())
    await upstream.received(1)
    assert bench.transport.status()[0]["in_flight"] == 1
    call.cancel()
    await upstream.disconnected()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bench.transport.status()[0]["in_flight"] == 0


@pytest.mark.parametrize(
    ("status", "outcome", "up"),
    [
        (200, "ok", True),
        (404, "client_error", True),
        (429, "rate_limited", True),
        (503, "server_error", True),
    ],
)
async def test_an_answer_is_told_by_its_status(
    upstream: Scripted, bench: Bench, status: int, outcome: str, up: bool
) -> None:
    upstream.plan(json(status, {}))
    assert bench.transport.status()[0]["up"] is None
    await bench.ask()
    assert bench.outcomes == [("up", outcome)]
    assert bench.transport.status() == [
        {
            "name": "up",
            "base_url": upstream.base_url,
            "up": up,
            "last_outcome": outcome,
            "last_error": None,
            "in_flight": 0,
        }
    ]


async def test_a_failure_is_told_once(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(close_now, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", end="close"))
    for _ in range(2):
        with pytest.raises(UpstreamProtocolError):
            await bench.ask()
    assert bench.outcomes == [("up", "protocol_error")] * 2
    report = bench.transport.status()[0]
    assert (report["up"], report["last_error"], report["in_flight"]) == (False, "cut", 0)


def test_the_plan_is_made_of_the_settings() -> None:
    upstreams = [
        Upstream(name="spare", base_url="http://a/v1", priority=1),
        Upstream(name="small", base_url="http://b/v1", models=["gpt-*-mini"]),
        Upstream(name="main", base_url="http://c/v1", weight=5),
    ]
    made = Transport(upstreams, {}, lambda *_: None)
    assert list(made.plan("gpt-4o-mini")) == ["main", "small", "spare"]
    assert list(made.plan("o9")) == ["main", "spare"]


async def test_neither_key_nor_prompt_nor_answer_is_ever_said(
    upstream: Scripted, at: At, caplog: pytest.LogCaptureFixture
) -> None:
    """Every way to fail, and everything that was logged and raised on the way."""
    caplog.set_level(logging.DEBUG)
    echo = f"{CANARY} {PROMPT}".encode()
    upstream.plan(
        raw(b"HTTP/1.1 200 OK\r\nX\x00Bad: " + echo + b"\r\n\r\n", end="close"),
        raw(echo + b"\r\n\r\n", end="close"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + echo, end="reset"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + echo, end="close"),
        json(302, echo, [("Location", f"http://{CANARY}.invalid/")]),
        close_now,
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + echo, end="hang"),
        raw(end="hang"),
    )
    said = []
    async with at(upstream.base_url, idle_timeout=Duration(0.05), first_byte_timeout=Duration(0.5)) as bench:
        for _ in range(8):
            with pytest.raises((UpstreamProtocolError, UpstreamTimeout)) as caught:
                await bench.ask()
            said += [
                str(caught.value),
                repr(caught.value),
                repr(caught.value.__context__),
                repr(vars(caught.value)),
            ]
        said += [repr(bench.transport.status()), repr(bench.transport._providers)]
    said += [record.getMessage() + str(record.exc_info) for record in caplog.records]
    assert [text for text in said if CANARY in text or PROMPT in text] == []


async def test_closed_it_says_so_and_cuts_what_runs(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(sse(["a"], end="hang"))
    reply = await bench.open()
    assert await anext(reply.body)
    await bench.transport.close()
    with pytest.raises(GatewayError):
        await read(reply)
    with pytest.raises(UpstreamUnreachable):
        await bench.open()
