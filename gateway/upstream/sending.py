"""A request's body on its way out."""

import asyncio

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_exceptions import ClientConnectionResetError

# A transport keeps what the socket does not take at once: larger slices would only be copied there.
SLICE = 2**16


class Sending(Payload):
    """Bytes that know whether any of them, or of the head before them, has left.

    aiohttp holds the head back until the body's first write, so `begun` is exact: False is the proof, which
    RFC 9110 section 9.2.2 asks for, that the request cannot have been acted upon. `error` is what kept the
    client from handing over the body: nothing, where it is here already.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/json")
        self._size = len(body)
        self.begun = False
        self.error: Exception | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        transport = alive(writer)
        self.begun = True
        body = memoryview(self._value)
        try:
            for start in range(0, len(body), SLICE):
                await writer.write(body[start : start + SLICE])
        except BaseException:
            transport.abort()  # a mere close would wait for an upstream that takes nothing
            raise

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    def __repr__(self) -> str:
        return f"<Sending {self._size} bytes, {'begun' if self.begun else 'not begun'}>"


def alive(writer: AbstractStreamWriter) -> asyncio.WriteTransport:
    """The connection, if it is one still: what is written to a closing one is silently dropped."""
    transport = writer.transport
    if transport is None or transport.is_closing():
        raise ClientConnectionResetError("the connection ended before anything was sent")
    return transport
