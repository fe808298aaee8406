"""Uploads: byte for byte, in bounded memory, looked into before anything is sent.

`GATEWAY_PROOF` uploads a gigabyte.
"""

import asyncio
import contextlib
import hashlib
import json as jsonlib
import os
import random
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Duration, Size
from tests.conftest import Start
from tests.running import KEY, REAL_KEY, Running, configuration
from tests.scripted import Scripted, early, json, raw
from tests.served import served
from tests.waiting import until
from tests.web.raw import Raw

SIZE = 2**30 if os.environ.get("GATEWAY_PROOF") else 2**26
BLOCK = random.Random(7).randbytes(2**20)
MOST_MEMORY = 150 * 2**20
OPEN = '[endpoints]\nallow = ["all"]\nownership = "off"\n'
ALIASED = OPEN + '[models.aliases]\n"whisper-1" = "gpt-4o-mini-transcribe"\n'
FILES = "/v1/files"
SPEECH = "/v1/audio/transcriptions"
BOUNDARY = "------------------------d74496d66958873e"  # as curl makes them
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MARK = f"--{BOUNDARY}\r\n".encode()
END = f"--{BOUNDARY}--\r\n".encode()
FILE = {"id": "file-abc", "object": "file", "bytes": 1, "purpose": "batch", "filename": "a.bin"}
TEXT = {
    "text": "Hello there.",
    "usage": {"type": "tokens", "input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
}
REFUSAL = (
    b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\n"
    b'Content-Length: 7\r\nConnection: close\r\n\r\n{"a":1}'
)


def field(name: str, value: str) -> bytes:
    return MARK + f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


FILE_HEAD = MARK + (
    b'Content-Disposition: form-data; name="file"; filename="a \xc3\xa9 (1).bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)


def file(content: bytes) -> bytes:
    return FILE_HEAD + content + b"\r\n"


def head(path: str, length: int | None, *fields: str, content_type: str = FORM, key: str = KEY) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {key}", framing, *fields]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, "", ""]).encode()


def port(gateway: Running) -> int:
    return gateway.app.listeners.public_port


async def post(gateway: Running, path: str, body: bytes, *fields: str, **more: str) -> tuple[int, Any]:
    async with Raw(port(gateway)) as client:
        await client.send(head(path, len(body), *fields, **more) + body)
        answer = await client.response()
        return answer.status, jsonlib.loads(answer.body)


# ---- bytes ----------------------------------------------------------------------------------------------


async def test_a_form_arrives_byte_for_byte(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, FILE))
    body = field("purpose", "batch") + file(bytes(range(256)) * 4000) + END
    assert await post(gateway, FILES, body) == (200, FILE)
    seen = upstream.requests[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/files", body)
    assert seen.header("content-type") == FORM
    assert seen.header("content-length") == str(len(body))
    assert seen.header("transfer-encoding") is None
    assert seen.header("authorization") == f"Bearer {REAL_KEY}"


async def test_a_chunked_form_arrives_in_chunks(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, FILE))
    body = field("purpose", "batch") + file(BLOCK) + END
    async with Raw(port(gateway)) as client:
        await client.send(head(FILES, None))
        for start_at in range(0, len(body), 77_777):
            piece = body[start_at : start_at + 77_777]
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200
    assert upstream.requests[0].body == body
    assert upstream.requests[0].header("transfer-encoding") == "chunked"


async def test_a_quoted_boundary_stays_quoted(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, TEXT))
    content_type = f'Multipart/Form-Data; charset=utf-8; Boundary="{BOUNDARY}"'
    await post(gateway, SPEECH, field("model", "whisper-1") + END, content_type=content_type)
    assert upstream.requests[0].header("content-type") == content_type


@pytest.mark.parametrize("first", ["model", "file"])
async def test_an_alias_is_sent_in_the_models_place(start: Start, upstream: Scripted, first: str) -> None:
    gateway = await start(ALIASED)
    upstream.plan(json(200, TEXT))
    parts = [field("model", "whisper-1"), file(BLOCK)]
    body = b"".join(parts if first == "model" else reversed(parts)) + field("language", "en") + END
    assert (await post(gateway, SPEECH, body))[0] == 200
    expected = body.replace(b"whisper-1", b"gpt-4o-mini-transcribe")
    assert upstream.requests[0].body == expected
    assert upstream.requests[0].header("content-length") == str(len(expected))


async def test_the_file_may_come_first(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, TEXT))
    body = file(BLOCK * 3) + field("model", "whisper-1") + END
    assert await post(gateway, SPEECH, body) == (200, TEXT)
    assert upstream.requests[0].body == body


# ---- refusals -------------------------------------------------------------------------------------------


async def test_a_model_that_the_key_may_not_use_is_refused(start: Start, upstream: Scripted) -> None:
    """Wherever it stands in the form."""
    gateway = await start('models = ["gpt-4o*"]\n' + OPEN)
    for body in (field("model", "whisper-1") + file(BLOCK), file(BLOCK) + field("model", "whisper-1")):
        status, said = await post(gateway, SPEECH, body + END)
        assert (status, said["error"]["code"]) == (403, "model_not_allowed")
    assert upstream.calls == 0


HIDDEN = b'Content-Disposition: form-data; name="model"; name="x"\r\n\r\ndear\r\n'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (field("model", "a") + MARK + HIDDEN + END, "invalid_multipart"),
        (field("model", "a") + field("Model", "b") + END, "invalid_multipart"),
        (field("model", "a") + field("model", "b") + END, "duplicate_key"),
        (field("model", "a") + file(b"\n" + MARK + b"x") + END, "invalid_multipart"),
        (field("model", "a"), "invalid_multipart"),
        (b'{"model":"a"}', "invalid_multipart"),
    ],
)
async def test_what_could_hide_a_model_is_refused(
    start: Start, upstream: Scripted, body: bytes, code: str
) -> None:
    gateway = await start(OPEN)
    status, said = await post(gateway, SPEECH, body)
    assert (status, said["error"]["code"]) == (400, code)
    assert upstream.calls == 0


async def test_a_second_model_far_behind_never_makes_a_whole_request(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, TEXT))
    body = field("model", "a") + file(BLOCK * 4) + field("model", "b") + END
    status, said = await post(gateway, SPEECH, body)
    assert (status, said["error"]["code"]) == (400, "duplicate_key")
    await upstream.until(lambda: upstream.open_connections == 0)
    assert (upstream.connections, upstream.calls) == (1, 0)


async def test_a_form_without_a_model_is_refused_to_who_may_use_some(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(OPEN)
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "a", "models": ["gpt-*"]}) as made:
        key = (await made.json())["key"]
    status, said = await post(gateway, SPEECH, file(b"RIFF") + END, key=key)
    assert (status, said["error"]["code"]) == (400, "missing_model")
    assert upstream.calls == 0


async def test_how_many_pictures_is_known_before_any_is_asked_for(start: Start, upstream: Scripted) -> None:
    """However far behind a file it stands: it is what has to be held."""
    gateway = await start(OPEN, limits='["$3/total"]')
    upstream.plan(
        json(200, {"data": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})
    )
    for n, status in (("10", 429), ("1", 200)):
        body = field("model", "gpt-image-1") + file(BLOCK) + field("prompt", "a cat") + field("n", n) + END
        assert (await post(gateway, "/v1/images/edits", body))[0] == status
    assert upstream.calls == 1
    assert upstream.requests[0].body == body


async def test_a_compressed_upload_is_refused(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    status, said = await post(gateway, FILES, b"x", "Content-Encoding: gzip")
    assert (status, said["error"]["code"]) == (400, "unsupported_content_encoding")
    assert upstream.calls == 0


async def test_an_upload_that_is_too_large_is_refused(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    gateway.gateway.settings.server.max_upload = Size(len(BLOCK))
    upstream.plan(json(200, FILE))
    status, said = await post(gateway, FILES, file(BLOCK) + END)
    assert (status, said["error"]["code"]) == (413, "request_too_large")
    async with Raw(port(gateway)) as client:
        await client.send(head(FILES, None) + b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) + b"1\r\nx\r\n")
        assert (await client.response()).code == "request_too_large"
    await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.calls == 0


# ---- who waits for whom ---------------------------------------------------------------------------------


async def test_a_stranger_is_not_asked_for_the_body(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    async with Raw(port(gateway)) as client:
        await client.send(head(FILES, 1000, "Expect: 100-continue", key="sk-gw-no-one"))
        assert (await client.response()).status == 401
    assert upstream.connections == 0


@pytest.mark.parametrize("path", [FILES, SPEECH])
async def test_a_client_is_asked_for_the_body_once(start: Start, upstream: Scripted, path: str) -> None:
    gateway = await start(OPEN)
    upstream.plan(json(200, TEXT))
    body = field("model", "whisper-1") + file(BLOCK) + END
    async with Raw(port(gateway)) as client:
        await client.send(head(path, len(body), "Expect: 100-continue"))
        assert (await client.head())[0] == 100
        await client.send(body)
        assert (await client.response()).status == 200
    assert upstream.requests[0].body == body


async def test_an_early_refusal_reaches_a_client_that_sends_on(start: Start, upstream: Scripted) -> None:
    """It sends all of it before it reads: RFC 9112 section 9.6."""
    gateway = await start(OPEN)
    upstream.plan(early(raw(REFUSAL, end="close")))
    async with Raw(port(gateway)) as client:
        with contextlib.suppress(ConnectionError):
            await client.send(head(FILES, 32 * len(BLOCK)))
            for _ in range(32):
                await client.send(BLOCK)
        answer = await client.response()
    assert (answer.status, answer.body) == (413, b'{"a":1}')
    assert answer.headers["connection"] == "close"


async def test_who_leaves_in_the_middle_takes_the_upstream_along(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    body = field("purpose", "batch") + file(BLOCK) + END
    async with Raw(port(gateway)) as client:
        await client.send(head(FILES, len(body)) + body[:-1000])
        await upstream.until(lambda: upstream.open_connections == 1)
        client.leave()
    await upstream.until(lambda: upstream.open_connections == 0)
    await until(lambda: not gateway.gateway.serving)
    assert upstream.calls == 0


async def test_who_falls_silent_in_the_middle_is_told(start: Start, upstream: Scripted) -> None:
    gateway = await start(OPEN)
    gateway.gateway.settings.server.body_timeout = Duration(0.3)
    body = field("purpose", "batch") + file(BLOCK) + END
    async with Raw(port(gateway)) as client:
        await client.send(head(FILES, len(body)) + body[:-1000])
        answer = await client.response()
    assert (answer.status, answer.code) == (408, "request_timeout")
    await upstream.until(lambda: upstream.open_connections == 0)
    assert upstream.calls == 0


# ---- memory ---------------------------------------------------------------------------------------------


class Hashing:
    """An upstream that keeps nothing of a body but its hash and its length."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", said, re.IGNORECASE)
        assert length is not None
        while self.size < int(length[1]):
            data = await reader.read(2**20)
            assert data
            self.digest.update(data)
            self.size += len(data)
        answer = jsonlib.dumps(TEXT).encode()
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        writer.write(kind + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()


def large(before: bytes, after: bytes) -> Iterator[bytes]:
    yield before + FILE_HEAD
    for _ in range(SIZE // len(BLOCK)):
        yield BLOCK
    yield b"\r\n" + after + END


MODEL = field("model", "whisper-1")


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [(FILES, field("purpose", "batch"), b""), (SPEECH, MODEL, b""), (SPEECH, b"", MODEL)],
    ids=["unread", "model first", "file first"],
)
async def test_a_large_upload_arrives_byte_for_byte_in_bounded_memory(
    tmp_path: Path, path: str, before: bytes, after: bytes
) -> None:
    hashing = Hashing()
    digest = hashlib.sha256()
    async with hashing.listening() as base_url:
        text = configuration(base_url, tmp_path / "data", OPEN)
        async with served(tmp_path, config=text) as running, Raw(running.port) as client:
            length = sum(len(piece) for piece in large(before, after))
            await client.send(head(path, length))
            for piece in large(before, after):
                digest.update(piece)
                await client.send(piece)
            assert (await client.response()).status == 200
            assert peak(running.process.pid) < MOST_MEMORY
    assert (hashing.size, hashing.digest.digest()) == (length, digest.digest())


def peak(pid: int) -> int:
    """The most memory that a process ever held, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
