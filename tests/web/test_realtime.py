"""Malformed handshakes and frames on the wire (RFC 6455): the right status or code, and nothing forwarded."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.realtime import Realtime
from tests.running import KEY, Running, configuration, running
from tests.waiting import until

UPGRADE = (
    "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: x\r\n"
    f"Authorization: Bearer {KEY}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
async def up() -> AsyncIterator[Realtime]:
    async with Realtime() as server:
        yield server


@pytest.fixture
async def gateway(up: Realtime, tmp_path: Path) -> AsyncIterator[Running]:
    text = configuration(up.base_url, tmp_path / "data", '[endpoints]\nallow = ["all"]\n')
    async with running(text, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def raw(gateway: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.listeners.public_port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    first = (0x80 if fin else 0) | rsv | opcode
    bit = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 2**16:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    key = b"\x11\x22\x33\x44"
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return head + (key + masked if mask else payload)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    assert not second & 0x80  # a server never masks
    size = second & 0x7F
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
    return first & 0xF, await reader.readexactly(size)


async def closed_with(reader: asyncio.StreamReader) -> int:
    """The code of the close frame that comes, and then the end of the connection."""
    async with asyncio.timeout(10):
        while True:
            opcode, payload = await read_frame(reader)
            if opcode == 8:
                break
    return int.from_bytes(payload[:2])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Version: 13", "Version: 12"), b"400"),
        (("Version: 13", "Version: 13, 8"), b"400"),
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: c2hvcnQ="), b"400"),
        (("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), b"400"),
        (("Connection: Upgrade", "Connection: Upgrade\r\nContent-Length: 3"), b"400"),
        (("Upgrade: websocket\r\n", "Upgrade: websocket\r\nSec-WebSocket-Protocol: a b\r\n"), b"400"),
        (("Bearer sk-", f"Bearer sk-\r\nSec-WebSocket-Protocol: openai-insecure-api-key.{KEY}"), b"401"),
        (("?model=gpt-realtime", "?model=gpt-realtime&x=\x7f"), b"400"),
    ],
)
async def test_a_wrong_handshake_is_refused_and_the_connection_ends(
    gateway: Running, up: Realtime, change: tuple[str, str], status: bytes
) -> None:
    async with raw(gateway) as (reader, writer):
        writer.write(UPGRADE.replace(*change, 1).encode() + b"\r\n" + frame(b"{}"))
        answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in answer.lower()
    assert KEY.encode() not in answer
    assert up.handshakes == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"{}", mask=False), 1002),
        (frame(b"{}", rsv=0x40), 1002),
        (frame(b"{}", rsv=0x10), 1002),
        (frame(b"{}", opcode=3), 1002),
        (frame(b"{}", opcode=9, fin=False), 1002),
        (frame(b"x" * 126, opcode=9), 1002),
        (frame(b"{}", opcode=0), 1002),
        (frame(b"a", fin=False) + frame(b"b"), 1002),
        (frame(b"\xff\xfe"), 1007),
        (frame(b"\xc3", fin=False) + frame(b"(", opcode=0), 1007),
        (frame(b"\x03", opcode=8), 1002),
        (frame(struct.pack(">H", 1005), opcode=8), 1002),
        (frame(struct.pack(">H", 3000) + b"\xff", opcode=8), 1007),
        (b"\x81\xff" + struct.pack(">Q", 2**24 + 1) + b"\0\0\0\0", 1009),
        (b"\x81\xff" + struct.pack(">Q", 2**63) + b"\0\0\0\0", 1009),
    ],
    ids=[
        *("unmasked", "compressed", "reserved bit", "reserved opcode", "control in pieces", "large control"),
        *("nothing to continue", "two at once", "no UTF-8", "no UTF-8 in pieces", "half a code"),
        *("a code that is never sent", "a reason that is no UTF-8", "too large", "absurdly large"),
    ],
)
@pytest.mark.parametrize("with_the_head", [True, False])
async def test_a_wrong_frame_ends_the_session_with_its_code(
    gateway: Running, up: Realtime, sent: bytes, code: int, with_the_head: bool
) -> None:
    async with raw(gateway) as (reader, writer):
        writer.write(UPGRADE.encode() + b"\r\n" + (sent if with_the_head else b""))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 101")
        if not with_the_head:
            writer.write(sent)
        assert await closed_with(reader) == code
        assert await asyncio.wait_for(reader.read(), 10) == b""
    assert up.received == []
    await until(lambda: not gateway.gateway.serving)


async def test_pieces_pings_and_a_proper_end(gateway: Running, up: Realtime) -> None:
    async with raw(gateway) as (reader, writer):
        writer.write(UPGRADE.encode() + b"\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"x-gateway-request-id" in head
        assert b"sec-websocket-extensions" not in head.lower()
        whole = b'{"type":"test.echo"}'
        writer.write(frame(whole[:5], fin=False) + frame(b"hi", opcode=9) + frame(whole[5:], opcode=0))
        frames = [await asyncio.wait_for(read_frame(reader), 10) for _ in range(3)]
        assert (10, b"hi") in frames
        assert (1, whole) in frames
        writer.write(frame(struct.pack(">H", 1000) + b"bye", opcode=8))
        assert await closed_with(reader) == 1000
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_a_client_that_vanishes_takes_its_session_with_it(gateway: Running, up: Realtime) -> None:
    async with raw(gateway) as (reader, writer):
        writer.write(UPGRADE.encode() + b"\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.transport.abort()
    await until(lambda: not gateway.gateway.serving and not up.sockets)
    await gateway.concluded()
    assert gateway.gateway.open_holds == {}
