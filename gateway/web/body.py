"""A request's body: read once, on demand, inside a size and a time."""

import asyncio

from aiohttp import hdrs, web

from gateway.errors import BadFraming, InvalidRequest, RequestTimeout, RequestTooLarge
from gateway.exchange import ClientGone
from gateway.web import wire
from gateway.web.framing import expects_continue

# Bytes that buy a second more of patience: a slow line gets its large body through, a trickle does not.
_SLOWEST = 16 * 1024


class RequestBody:
    """Reading starts when `read` is called, and only then is a `100 Continue` sent: who is refused before
    never sends the body."""

    __slots__ = ("_limit", "_patience", "_request")

    def __init__(self, request: web.BaseRequest, limit: int, patience: float) -> None:
        self._request = request
        self._limit = limit  # bytes
        self._patience = patience  # seconds

    async def read(self) -> bytes:
        """The whole body.

        Raises InvalidRequest for a compressed one, RequestTooLarge as soon as that is known, RequestTimeout,
        BadFraming when its chunks are malformed, ClientGone.
        """
        self._check_head()
        content = self._request.content
        try:
            if content.is_eof():
                return self._within_limit(content.read_nowait())
            if expects_continue(self._request):
                self._invite()
            return await self._collect()
        except TimeoutError:
            raise RequestTimeout("The request's body did not arrive in time.") from None
        except web.RequestPayloadError:
            raise BadFraming("The request's body is malformed.") from None
        except ConnectionError:
            raise ClientGone from None

    def _check_head(self) -> None:
        encoding = self._request.headers.get(hdrs.CONTENT_ENCODING, "identity")
        if encoding.strip().lower() not in ("identity", ""):
            raise InvalidRequest(
                "Compressed request bodies are not supported.", code="unsupported_content_encoding"
            )
        if (self._request.content_length or 0) > self._limit:
            raise self._too_large()

    def _invite(self) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        transport.write(wire.CONTINUE)

    async def _collect(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(self._patience) as deadline:
            while part := await self._request.content.readany():
                parts.append(part)
                size += len(part)
                if size > self._limit:
                    raise self._too_large()
                deadline.reschedule(began + self._patience + size / _SLOWEST)
        return b"".join(parts)

    def _within_limit(self, data: bytes) -> bytes:
        if len(data) > self._limit:
            raise self._too_large()
        return data

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(f"The request's body is larger than {self._limit} bytes.")
