"""A request's body that goes out as it comes in."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_exceptions import ClientConnectionResetError

from gateway.exchange import Upload
from gateway.upstream.sending import SLICE, alive
from gateway.upstream.watch import Watch


class Relay(Payload):
    """An upload, sent with its exact length, or in chunks where nobody knows it.

    The upload is asked for its first bytes when `begun` has become true, never before. Whatever goes wrong
    afterwards, the connection is cut before the body is complete, so the upstream cannot take it for whole.
    `error` is what reading from the client raised: not the upstream's fault. `silent`: the upstream took
    nothing, or after the last byte said nothing, for `patience` seconds.
    """

    def __init__(self, upload: Upload, patience: float) -> None:
        super().__init__(upload, content_type="application/octet-stream")
        self._size = upload.length
        self._patience = patience
        self._watch: Watch | None = None
        self.begun = False
        self.error: Exception | None = None

    @property
    def silent(self) -> bool:
        return self._watch is not None and self._watch.expired

    async def write(self, writer: AbstractStreamWriter) -> None:
        transport = alive(writer)
        if self.begun:
            raise ClientConnectionResetError("what has been read from the client cannot be sent again")
        self.begun = True
        self._watch = Watch(transport, self._patience)
        try:
            # At once: an upstream that refuses by the head need not wait for a client's first bytes.
            writer.send_headers()
            await self._pass_on(writer)
        except BaseException:
            self.unwatch()
            transport.abort()
            raise
        self._watch.sent_all()

    async def _pass_on(self, writer: AbstractStreamWriter) -> None:
        sent = 0
        pieces = self._pieces()
        while data := await self._next(pieces):
            sent += len(data)
            if self._size is not None and sent > self._size:
                break
            for start in range(0, len(data), SLICE):
                # A turn of the loop: an upstream that answers early and hangs up has its answer read before
                # a write finds the connection gone, and the answer with it.
                await asyncio.sleep(0)
                await writer.write(data[start : start + SLICE])
        if self._size is not None and sent != self._size:
            raise ClientConnectionResetError("the body is not as long as was promised")

    def _pieces(self) -> AsyncIterator[bytes]:
        upload: Upload = self._value
        return aiter(upload)

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes:
        try:
            return await anext(pieces, b"")
        except Exception as error:
            self.error = error
            raise

    def unwatch(self) -> None:
        """The answer has begun, or there will be none: whoever reads it has a watch of his own."""
        if self._watch is not None:
            self._watch.stop()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("an upload cannot be shown: it is read once")

    def __repr__(self) -> str:
        return f"<Relay of {self._size} bytes, {'begun' if self.begun else 'not begun'}>"
