"""A request's body: read once, on demand, inside a size and a time."""

import asyncio

from aiohttp import web

from gateway.exchange import Upload
from gateway.web.reading import SLOWEST, begin, check_head, in_words, too_large
from gateway.web.upload import RequestUpload


class RequestBody:
    """Reading starts when it is asked for, and only then is a `100 Continue` sent: who is refused before
    never sends the body. It is read either whole or as it arrives, and once."""

    __slots__ = ("_limit", "_patience", "_request", "_upload_limit")

    def __init__(
        self, request: web.BaseRequest, limit: int, patience: float, upload_limit: int | None = None
    ) -> None:
        self._request = request
        self._limit = limit  # bytes, of a body that is read whole
        self._patience = patience  # seconds
        self._upload_limit = (
            limit if upload_limit is None else upload_limit
        )  # bytes, of one that is passed on

    async def read(self) -> bytes:
        """The whole body.

        Raises InvalidRequest for a compressed one, RequestTooLarge as soon as that is known, RequestTimeout,
        BadFraming when its chunks are malformed, ClientGone.
        """
        check_head(self._request, self._limit)
        content = self._request.content
        if content.is_eof() and content.exception() is None:
            return self._within_limit(content.read_nowait())
        with in_words():
            begin(self._request)
            return await self._collect()

    def stream(self) -> Upload:
        """The body as it arrives; it begins to be read with the first piece that is asked for.

        Raises InvalidRequest for a compressed one and RequestTooLarge by its Content-Length. Reading it
        raises what `read` does, and RequestTimeout also for a client that is silent for too long.
        """
        check_head(self._request, self._upload_limit)
        return RequestUpload(self._request, self._upload_limit, self._patience)

    async def _collect(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._patience) as deadline:
                while part := await self._request.content.readany():
                    parts.append(part)
                    size += len(part)
                    if size > self._limit:
                        raise too_large(self._limit)
                    deadline.reschedule(began + self._patience + size / SLOWEST)
        finally:
            del deadline  # it knows the task, whose cancellation knows this frame
        return b"".join(parts)

    def _within_limit(self, data: bytes) -> bytes:
        if len(data) > self._limit:
            raise too_large(self._limit)
        return data
