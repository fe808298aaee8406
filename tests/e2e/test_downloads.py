"""What is not judged passes: byte for byte, at its reader's speed, in bounded memory, charged exactly.

`GATEWAY_PROOF` downloads a gigabyte.
"""

import asyncio
import hashlib
import json as jsonlib
import os
import random
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from gateway.settings import Duration
from tests import books
from tests.conftest import Start
from tests.running import KEY, configuration
from tests.scripted import Answer, Scripted, Seen, Wire, chunk, event, head, json, raw
from tests.served import served
from tests.waiting import until

SIZE = 2**30 if os.environ.get("GATEWAY_PROOF") else 2**26
BLOCK = random.Random(7).randbytes(2**20)
OPEN = '[endpoints]\nallow = ["all"]\nownership = "off"\n'
FILE = "/v1/files/file-1/content"
IMAGES = "/v1/images/generations"
PICTURE = {"model": "gpt-image-1", "prompt": "a cat"}
USAGE = {
    "input_tokens": 50,
    "output_tokens": 4000,
    "total_tokens": 4050,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
# Nano-dollars: text at $5, images at $10, what comes out at $40 per million.
COST = 10 * 5000 + 40 * 10_000 + 4000 * 40_000
Framing = Literal["length", "chunked", "close"]
Pairs = Sequence[tuple[str, str]]


class Generated:
    """An answer of `size` bytes, made as they are taken; broken off after `until` of them."""

    def __init__(
        self, size: int, framing: Framing = "length", *, until: int | None = None, headers: Pairs = ()
    ) -> None:
        self.size, self.framing, self.headers = size, framing, headers
        self.end = size if until is None else until
        self.taken = 0
        self.digest = hashlib.sha256()

    @property
    def answer(self) -> Answer:
        return Answer(self._send)

    async def _send(self, _: Seen, wire: Wire) -> None:
        framings = {
            "length": ("Content-Length", str(self.size)),
            "chunked": ("Transfer-Encoding", "chunked"),
            "close": ("Connection", "close"),
        }
        kind = ("Content-Type", "application/octet-stream")
        await wire.send(head(200, [kind, framings[self.framing], *self.headers]))
        while self.taken < self.end:
            data = BLOCK[: self.end - self.taken]
            await wire.send(chunk(data) if self.framing == "chunked" else data)
            self.digest.update(data)
            self.taken += len(data)
        if self.end < self.size or self.framing == "close":
            wire.close()
        elif self.framing == "chunked":
            await wire.send(b"0\r\n\r\n")


def binary(data: bytes, kind: str, *, headers: Pairs = ()) -> Answer:
    given = [("Content-Type", kind), ("Content-Length", str(len(data))), *headers]
    return raw(head(200, given) + data)


def events(*given: dict[str, Any]) -> bytes:
    return b"".join(b"event: " + each["type"].encode() + b"\n" + event(each) for each in given)


def stream(data: bytes) -> Answer:
    lines = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
    return raw(
        head(200, lines) + b"".join(chunk(data[at : at + 4096]) for at in range(0, len(data), 4096)),
        b"0\r\n\r\n",
    )


# Bytes


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_large_file_arrives_byte_for_byte_in_bounded_memory(
    upstream: Scripted, tmp_path: Path, framing: Framing
) -> None:
    generated = Generated(SIZE, framing)
    upstream.plan(generated.answer)
    text = configuration(upstream.base_url, tmp_path / "data", OPEN)
    digest = hashlib.sha256()
    async with served(tmp_path, config=text) as running, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with session.get(running.url + FILE, headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_length == (SIZE if framing == "length" else None)
            while data := await answer.content.readany():
                digest.update(data)
        assert digest.digest() == generated.digest.digest()
        assert _peak(running.process.pid) < 150 * 2**20


async def test_a_reader_that_stops_stops_the_upstream(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    gateway.gateway.settings.server.write_timeout = Duration(0.3)
    generated = Generated(2**30)
    upstream.plan(generated.answer)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", gateway.app.listeners.public_port))
        line = f"GET {FILE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        await loop.sock_sendall(client, line.encode())
        await upstream.disconnected()  # after the time in which the client took nothing
    assert generated.taken < 32 * 2**20  # what the kernel holds on the way, and little besides
    row = await books.row(gateway)
    assert (row.endpoint, row.cost, row.status) == ("files.content", 0, 200)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_file_that_is_cut_looks_cut_and_nothing_is_added_to_it(
    start: Start, upstream: Scripted, framing: Framing
) -> None:
    gateway = await start(OPEN)
    generated = Generated(2**21, framing, until=2**20)
    upstream.plan(generated.answer)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.listeners.public_port)
    writer.write(f"GET {FILE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    text = await reader.read()
    writer.close()
    assert b"error" not in text
    if framing == "length":
        assert len(text.partition(b"\r\n\r\n")[2]) < 2**21
    else:
        assert not text.endswith(b"0\r\n\r\n")
    row = await books.row(gateway)
    assert (row.status, row.error) == (200, "upstream_protocol_error")


async def test_a_body_that_ends_with_its_connection_is_passed_on_whole(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(OPEN)
    generated = Generated(2**20, "close")
    upstream.plan(generated.answer)
    async with gateway.get(FILE) as answer:
        assert hashlib.sha256(await answer.read()).digest() == generated.digest.digest()


async def test_what_describes_a_file_goes_with_it(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    named = ("Content-Disposition", 'attachment; filename="rows.jsonl"')
    private = [("Set-Cookie", "a=b"), ("openai-organization", "ours"), ("X-Request-Id", "req_1")]
    upstream.plan(binary(b"{}\n", "application/jsonl", headers=[named, *private]))
    async with gateway.get(FILE) as answer:
        assert await answer.read() == b"{}\n"
        assert answer.headers["content-disposition"] == named[1]
        assert answer.headers["content-type"] == "application/jsonl"
        assert answer.headers["x-request-id"] == "req_1"
        assert not {"set-cookie", "openai-organization"} & {name.lower() for name in answer.headers}


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 404 \r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}", 404, b"{}"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 6\r\nContent-Type: text/html\r\n\r\n<html>", 503, b"<html>"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 1\r\n\r\n\xff", 599, b"\xff"),
    ],
)
async def test_empty_answers_and_errors_pass_as_they_are(
    start: Start, upstream: Scripted, said: bytes, status: int, body: bytes
) -> None:
    gateway = await start(OPEN)
    upstream.plan(raw(said))
    for _ in range(2):  # on one connection, which must have been left in order
        async with gateway.get(FILE) as answer:
            assert (answer.status, await answer.read()) == (status, body)
    assert [(row.status, row.cost) for row in await books.rows(gateway)] == [(status, 0)] * 2
    assert upstream.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_neither_followed_nor_handed_on(
    start: Start, upstream: Scripted, status: int
) -> None:
    gateway = await start(OPEN)
    upstream.plan(raw(head(status, [("Location", "http://127.0.0.1:1/hidden"), ("Content-Length", "0")])))
    async with gateway.get(FILE) as answer:
        text = await answer.text()
        assert (answer.status, jsonlib.loads(text)["error"]["code"]) == (502, "upstream_redirect")
    assert "hidden" not in text + str(answer.headers)
    assert upstream.calls == 1


# Money


async def test_speech_is_passed_on_and_its_tokens_are_estimated(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    sound = BLOCK[:300_001]
    upstream.plan(binary(sound, "audio/mpeg"))
    asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there, how are you?"}
    async with gateway.post("/v1/audio/speech", asked) as answer:
        assert (await answer.read(), answer.headers["content-type"]) == (sound, "audio/mpeg")
        assert "x-gateway-cost" not in answer.headers
    row = await books.row(gateway)
    assert (row.settled, row.input, row.output) == ("estimate", 7, 49)
    assert row.cost == 7 * 600 + 49 * 12_000
    assert await books.used(gateway) == [row.cost]


async def test_speech_as_events_says_what_it_used(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    done = {"type": "speech.audio.done", "usage": {"input_tokens": 9, "output_tokens": 101}}
    said = events({"type": "speech.audio.delta", "audio": "QUJD" * 3000}, done)
    upstream.plan(stream(said))
    asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello", "stream_format": "sse"}
    async with gateway.post("/v1/audio/speech", asked) as answer:
        assert await answer.read() == said
    row = await books.row(gateway)
    assert (row.settled, row.cost) == ("usage", 9 * 600 + 101 * 12_000)


@pytest.mark.parametrize("first", [False, True])
async def test_pictures_cost_exactly_what_their_answer_says(
    start: Start, upstream: Scripted, first: bool
) -> None:
    gateway = await start(OPEN, limits='["$10/total", "100000 tokens/total"]')
    data = {"data": [{"b64_json": "QUJD" * 1_000_000}]}
    body = jsonlib.dumps({"usage": USAGE} | data if first else data | {"usage": USAGE}).encode()
    upstream.plan(json(200, body))
    async with gateway.post(IMAGES, PICTURE) as answer:
        assert (answer.content_length, await answer.read()) == (len(body), body)
    row = await books.row(gateway)
    assert (row.settled, row.cost, row.input, row.output) == ("usage", COST, 50, 4000)
    assert (row.input_image, row.output_image) == (40, 4000)
    assert await books.used(gateway) == [COST, 4050]
    await books.agree(gateway, gateway.gateway.clients.everybody())


async def test_a_stream_of_pictures_costs_exactly_what_it_says(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    said = events(
        {"type": "image_generation.partial_image", "b64_json": "QUJD" * 400_000, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": "QUJD" * 800_000, "usage": USAGE},
    )
    upstream.plan(stream(said))
    async with gateway.post(IMAGES, PICTURE | {"stream": True, "partial_images": 1}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert await answer.read() == said
    row = await books.row(gateway)
    assert (row.settled, row.cost, row.output_image) == ("usage", COST, 4000)
    assert await books.used(gateway) == [COST]


async def test_who_leaves_a_picture_half_read_pays_for_it_exactly(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    body = jsonlib.dumps({"data": [{"b64_json": "QUJD" * 500}], "usage": USAGE}).encode()
    go_on = asyncio.Event()
    lines = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    upstream.plan(raw(head(200, lines) + body[:900], go_on, body[900:]))
    async with gateway.post(IMAGES, PICTURE) as answer:
        await answer.content.readexactly(900)
        answer.close()
    await until(lambda: not gateway.gateway.serving)
    go_on.set()
    row = await books.row(gateway)
    assert (row.settled, row.cost) == ("usage", COST)
    assert await books.used(gateway) == [COST]


async def test_pictures_that_state_no_usage_cost_as_much_as_they_can(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    upstream.plan(json(200, {"data": [{"url": "https://a.example/1"}, {"url": "https://a.example/2"}]}))
    async with gateway.post(IMAGES, PICTURE | {"n": 2}) as answer:
        assert answer.status == 200
    row = await books.row(gateway)
    assert (row.settled, row.output_image) == ("estimate", row.output)
    assert row.output >= 2 * 6240  # two of the largest
    assert await books.used(gateway) == [row.cost]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (IMAGES, PICTURE | {"model": "dall-e-3"}, "model_not_priced"),
        (IMAGES, {"prompt": "a cat"}, "model_not_priced"),
        ("/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "hi"}, "model_not_priced"),
        ("/v1/videos/video_1/remix", {"prompt": "a cat"}, "feature_not_priced"),
    ],
)
async def test_what_nobody_knows_the_price_of_is_refused_where_dollars_are_limited(
    start: Start, upstream: Scripted, path: str, body: dict[str, Any], code: str
) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    async with gateway.post(path, body) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, code)
    assert upstream.calls == 0


async def test_elsewhere_it_is_served_and_never_counted_as_nothing(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, {"data": [{"url": "https://a.example/1"}]}))
    for body in (PICTURE | {"model": "dall-e-3"}, {"prompt": "a cat"}):
        async with gateway.post(IMAGES, body) as answer:
            assert answer.status == 200
    assert [row.cost for row in await books.rows(gateway)] == [None, None]
    assert await books.metric(gateway, "gateway_unpriced_requests_total") == 2


async def test_what_is_sold_by_the_call_is_priced_by_the_call(start: Start, upstream: Scripted) -> None:
    more = '[prices.models."tts-1"]\ninput = 0\noutput = 0\nrequest = 0.01\n'
    gateway = await start(OPEN + more, limits='["$10/total"]')
    upstream.plan(binary(b"ID3", "audio/mpeg"))
    async with gateway.post(
        "/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "hi"}
    ) as answer:
        assert await answer.read() == b"ID3"
    assert (await books.row(gateway)).cost == 10_000_000


@pytest.mark.parametrize(
    ("usage", "row"),
    [
        (
            {
                "type": "tokens",
                "input_tokens": 14,
                "output_tokens": 9,
                "input_token_details": {"audio_tokens": 4},
            },
            ("usage", 14, 4, 9, 10 * 2500 + 4 * 6000 + 9 * 10_000),
        ),
        ({"type": "duration", "seconds": 8.5}, ("estimate", 85, 85, 3, 85 * 6000 + 3 * 10_000)),
    ],
)
async def test_a_transcription_is_paid_for_by_what_was_heard(
    start: Start, upstream: Scripted, usage: dict[str, Any], row: tuple[object, ...]
) -> None:
    gateway = await start(OPEN, limits='["$10/total"]')
    upstream.plan(json(200, {"text": "I see skies", "usage": usage}))
    form = aiohttp.FormData({"model": "gpt-4o-transcribe", "response_format": "json"})
    form.add_field("file", BLOCK, filename="a.wav", content_type="audio/wav")
    url, headers = gateway.url + "/v1/audio/transcriptions", {"Authorization": f"Bearer {KEY}"}
    async with gateway.session.post(url, data=form, headers=headers) as answer:
        assert (answer.status, (await answer.json())["text"]) == (200, "I see skies")
    written = await books.row(gateway)
    assert (written.settled, written.input, written.input_audio, written.output, written.cost) == row
    assert await books.used(gateway) == [written.cost]


def _peak(pid: int) -> int:
    """The most memory that a process ever held, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
