"""A client that sends exactly the bytes it is told, and reads what comes back."""

import asyncio
import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

CANARY = "sk-gw-00c0ffee-CANARYcanaryCANARYcanary"
PATIENCE = 20.0  # seconds: then the test has failed


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True  # it ended as its framing promised

    @property
    def code(self) -> Any:
        return json.loads(self.body)["error"]["code"]


class Raw:
    """One connection."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self._port = port
        self._receive_buffer = receive_buffer
        self.method = "GET"

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        except BaseException:
            sock.close()
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=2**12)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    async def send(self, data: bytes | str) -> None:
        data = data.encode("latin-1") if isinstance(data, str) else data
        if data.startswith(b"HEAD "):
            self.method = "HEAD"
        self._writer.write(data)
        await self._writer.drain()

    def leave(self) -> None:
        """Hang up, as the kernel does for a process that ends."""
        self._writer.transport.abort()

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readexactly(count)

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            text = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = text.rstrip().split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return int(line.split()[1]), dict(pairs)

    async def response(self) -> Response:
        """The next final response."""
        status, headers = await self.head()
        if status in (204, 304):
            return Response(status, headers, b"")
        try:
            return Response(status, headers, await self._body(headers))
        except asyncio.IncompleteReadError as error:
            return Response(status, headers, error.partial, whole=False)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if self.method == "HEAD":
            return b""
        if "content-length" in headers:
            return await self.read(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunks()
        return await self.rest()

    async def _chunks(self) -> bytes:
        parts = []
        while True:
            size = int(await self._line(), 16)
            parts.append(await self.read(size))
            assert await self.read(2) == b"\r\n"
            if not size:
                return b"".join(parts)

    async def _line(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readuntil(b"\r\n")

    async def rest(self) -> bytes:
        """Everything until the other side ends the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read()

    async def closed(self) -> bool:
        """Wait for the end of the connection. False: there was something before it."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True


async def ask(port: int, data: bytes | str) -> Response:
    """One request on a connection of its own."""
    async with Raw(port) as client:
        await client.send(data)
        return await client.response()


def post(body: bytes = b"{}", path: str = "/v1/x", *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {CANARY}", *fields]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
