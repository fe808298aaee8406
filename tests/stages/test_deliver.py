"""Bytes out as they came; a broken stream looks broken; a slow reader holds only itself back."""

import asyncio
import hashlib
import json as jsonlib
import os

import psutil
import pytest

from gateway.drain import drain
from gateway.settings import Duration, Size
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, chat, raw, reset, sse
from tests.waiting import until
from tests.web.raw import Raw

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def delta(text: str, finish: str | None = None) -> dict[str, object]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


async def test_a_stream_arrives_byte_for_byte_however_it_was_cut(
    gateway: Running, upstream: Scripted
) -> None:
    events = [delta("好"), b": comment\n\n", b"event: x\r\ndata: {}\r\n\r\n", delta("🙂", "stop")]
    digests = set()
    for number, chunking in enumerate(("whole", "event", 1, 3)):
        upstream.plan(sse(events, chunking=chunking))  # type: ignore[arg-type]
        async with gateway.post(CHAT, QUESTION | {"seed": number}) as answer:
            digests.add(hashlib.sha256(await answer.read()).hexdigest())
    assert len(digests) == 1


async def test_events_arrive_as_they_come(gateway: Running, upstream: Scripted) -> None:
    more = asyncio.Event()
    upstream.plan(sse([delta("a"), more, delta("b", "stop")]))
    async with gateway.post(CHAT, QUESTION) as answer:
        first = await answer.content.readuntil(b"\n\n")
        assert jsonlib.loads(first[6:])["choices"][0]["delta"]["content"] == "a"
        more.set()
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_breaks_ends_with_an_error_event_and_a_cut(
    gateway: Running, upstream: Scripted
) -> None:
    for end in ("reset", "cut", "clean"):
        # Half an event is on the wire when it breaks: the client must not have to parse it.
        upstream.plan(sse([delta("a"), b'data: {"choices":[{"ind'], end=end))  # type: ignore[arg-type]
        text = await _raw_answer(gateway, QUESTION | {"seed": end})
        events = [part for part in _unchunked(text).split(b"\n\n") if part]
        assert [set(jsonlib.loads(part[6:])) for part in events][-1] == {"error"}
        assert jsonlib.loads(events[-1][6:])["error"]["code"] == "upstream_protocol_error"
        assert not text.endswith(b"0\r\n\r\n"), "a broken stream must not look whole"
        assert b"[DONE]" not in text


async def test_a_refused_connection_leaves_the_connection_usable(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(reset)
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 502
    upstream.plan()
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("prompts", ["hi", ["hi", "there"]])
async def test_an_error_that_ends_the_connection_ends_it(
    gateway: Running, upstream: Scripted, prompts: object
) -> None:
    """Also where the whole body has come, and the next request could follow."""
    gateway.gateway.settings.server.max_body = Size(1000)
    body = jsonlib.dumps({"model": "gpt-4o-mini", "prompt": prompts, "user": "x" * 1000}).encode()
    async with Raw(gateway.app.listeners.public_port) as client:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        await client.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        answer = await client.response()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await client.closed()
    assert upstream.calls == 0


async def test_what_breaks_before_its_first_byte_is_refused_in_words(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start('[endpoints]\nallow = ["all"]\nownership = "off"')
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", end="close"))
    async with gateway.get("/v1/files/file-abc/content") as answer:
        assert answer.status == 502
        assert (await answer.json())["error"]["code"] == "upstream_protocol_error"


async def test_a_reader_that_reads_nothing_holds_only_its_own_upstream_back(
    gateway: Running, upstream: Scripted
) -> None:
    event = delta("x" * 10_000)
    upstream.plan(sse([event] * 3_000))
    reader, writer = await _asked(gateway, QUESTION, cache="bypass")
    await reader.readuntil(b"\r\n\r\n")
    async with gateway.post(CHAT, QUESTION, x_gateway_cache="bypass") as answer:
        whole = len(await answer.read())
    # Another client has had all of it meanwhile. Had the gateway taken in what nobody reads, this upstream
    # would have been done with it too, and would not notice that the client leaves.
    writer.transport.abort()
    await upstream.disconnected()
    assert whole > 30_000_000


async def test_a_stalled_reader_among_three_is_cut_and_the_others_go_on_in_bounded_memory(
    start: Start, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    gateway = await start()
    gateway.gateway.settings.server.write_timeout = Duration(0.3)
    go = asyncio.Event()
    upstream.plan(sse([go, *[delta("x" * 10_000)] * 3_000, delta("", "stop")]))
    _, writer = await _asked(gateway, QUESTION)

    async def read() -> tuple[int, bytes]:
        size, last = 0, b""
        async with gateway.post(CHAT, QUESTION) as answer:
            while last_read := await answer.content.readany():
                size, last = size + len(last_read), last_read
        return size, last

    others = [asyncio.create_task(read()) for _ in range(2)]
    await until(lambda: gateway.gateway.flights.readers() == 3)
    before = psutil.Process(os.getpid()).memory_info().rss
    go.set()
    for size, last in await asyncio.gather(*others):
        assert size > 30_000_000
        assert last.endswith(b"data: [DONE]\n\n")
    assert psutil.Process(os.getpid()).memory_info().rss - before < 15_000_000
    await gateway.concluded()
    assert sorted(_outcomes(caplog)) == ["client_stalled", "complete", "complete"]
    writer.transport.abort()
    assert upstream.calls == 1


async def test_an_error_event_of_the_upstreams_passes_and_is_no_success(
    gateway: Running, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    upstream.plan(sse([delta("a"), {"error": {"message": "overloaded"}}]))
    for _ in range(2):
        async with gateway.post(CHAT, QUESTION) as answer:
            assert b"overloaded" in await answer.read()
            assert answer.headers["x-gateway-cache"] == "miss"
    await gateway.concluded()
    assert _outcomes(caplog) == ["upstream_error"] * 2


async def test_a_plain_body_that_is_cut_has_no_foreign_byte_in_it_or_behind_it(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(chat("x" * 20_000_000))
    reader, writer = await _asked(gateway, QUESTION | {"stream": False}, cache="bypass")
    await reader.readuntil(b"\r\n\r\n")
    await drain(gateway.gateway, 0, asyncio.Event())
    text = b""
    while data := await reader.read(2**20):
        text += data
    writer.close()
    assert b"draining" not in text


def _outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["line"]["outcome"] for record in caplog.records if record.name == "gateway.access"]


async def _asked(
    gateway: Running, body: object, cache: str = "use"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.app.listeners.public_port, limit=2**16
    )
    data = jsonlib.dumps(body).encode()
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nx-gateway-cache: {cache}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    return reader, writer


async def _raw_answer(gateway: Running, body: object) -> bytes:
    reader, writer = await _asked(gateway, body)
    text = b""
    try:
        while data := await reader.read(65536):
            text += data
    except ConnectionResetError:
        pass
    writer.close()
    return text


def _unchunked(text: bytes) -> bytes:
    _, _, rest = text.partition(b"\r\n\r\n")
    out = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size or b"0", 16)
        out, rest = out + rest[:length], rest[length + 2 :]
    return out
