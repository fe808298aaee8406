"""The client's end of the connection, as `exchange.Downstream` promises it to the line."""

from collections.abc import Callable
from typing import cast

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10

from gateway.exchange import Headers
from gateway.web import wire
from gateway.web.connection import Connection
from gateway.web.response import Response
from gateway.web.sent import CLOSED, KEPT, Sent


class HttpDownstream(Response):
    """The response to a request that aiohttp has read."""

    __slots__ = ("_closing", "_request")

    def __init__(
        self, request: web.BaseRequest, request_id: str, patience: float, closing: Callable[[], bool]
    ) -> None:
        super().__init__(cast(Connection, request.protocol), request_id, patience, request.keep_alive)
        self._request = request
        self._closing = closing  # asked when the head is written: is this connection to end?

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        self.begun = True
        self._silent = status in wire.BODILESS or self._request.method == hdrs.METH_HEAD
        self._chunked = length is None and not self._silent and self._request.version != HttpVersion10
        self._owed = None if self._silent else length
        # An unread body would be taken for the next request.
        if self._closing() or not self._request.content.is_eof():
            self._keep = False
        if length is None and not self._chunked and not self._silent:
            self._keep = False
        data = wire.head(status, headers, self._id, *self._framing(status, length))
        if self._owed:
            self._held = data
        else:
            self._send(data)

    def sent(self) -> Sent:
        """For aiohttp, when the request is over."""
        return KEPT if self.kept() else CLOSED

    def _framing(self, status: int, length: int | None) -> list[str]:
        lines = []
        if self._chunked:
            lines.append("transfer-encoding: chunked")
        elif length is not None and status not in wire.BODILESS:
            lines.append(f"content-length: {length}")
        if not self._keep:
            lines.append("connection: close")
        elif self._request.version == HttpVersion10:
            lines.append("connection: keep-alive")
        return lines
