"""A request's body that is passed on as it arrives."""

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import web

from gateway.exchange import ClientGone
from gateway.web.reading import SLOWEST, begin, in_words, too_large


class RequestUpload:
    """`exchange.Upload` over a request. Nothing is read ahead but what aiohttp's buffer holds, so a client
    sends as fast as its bytes are taken.

    Only the time counts in which the client is waited for, because whoever reads may be slow himself. The
    client may be silent for `patience` seconds, and may use up as many in all, but for those that what it
    has sent has bought.
    """

    __slots__ = ("_begun", "_limit", "_patience", "_request", "_size", "_waited")

    def __init__(self, request: web.BaseRequest, limit: int, patience: float) -> None:
        self._request = request
        self._limit = limit  # bytes
        self._patience = patience
        self._size = 0
        self._waited = 0.0  # seconds
        self._begun = False

    @property
    def length(self) -> int | None:
        return self._request.content_length if self._request.body_exists else 0

    def __aiter__(self) -> Self:
        if self._begun:
            raise RuntimeError("a request's body can be read once")
        self._begun = True
        begin(self._request)
        return self

    async def __anext__(self) -> bytes:
        """Raises RequestTooLarge as soon as that is known, RequestTimeout, BadFraming, ClientGone."""
        with in_words():
            data = await self._arrive(asyncio.get_running_loop().time)
        if not data:
            raise StopAsyncIteration
        self._size += len(data)
        if self._size > self._limit:
            raise too_large(self._limit)
        return data

    async def _arrive(self, clock: Callable[[], float]) -> bytes:
        content = self._request.content
        if self._request.transport is None and not content.is_eof():
            raise ClientGone
        began = clock()
        left = self._patience + self._size / SLOWEST - self._waited
        async with asyncio.timeout(min(self._patience, left)):
            data = await content.readany()
        self._waited += clock() - began
        return data

    def __repr__(self) -> str:
        return f"<RequestUpload {self._size} of {self.length} bytes>"
