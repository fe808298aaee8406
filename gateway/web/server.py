"""A listener: connections in, calls to one handler, and every failure answered in words."""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any, cast

from aiohttp import helpers, http_parser, web

from gateway.errors import GatewayError
from gateway.exchange import ClientGone
from gateway.settings import Server as ServerSettings
from gateway.web.body import RequestBody
from gateway.web.call import Call, Handler
from gateway.web.connection import IDLE_SECONDS, Connection, Refused
from gateway.web.downstream import HttpDownstream
from gateway.web.failing import failure, note
from gateway.web.framing import check, path_of
from gateway.web.lane import Enter, Lane, Lanes
from gateway.web.requestids import request_id

_OPTIONS: dict[str, Any] = {
    "access_log": None,  # aiohttp's prints query strings
    "auto_decompress": False,  # a compressed body is refused, not unpacked
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": 2.0,  # for the rest of a body that was refused: closing at once would reset the answer
    "read_bufsize": 32 * 1024,  # a body may be ahead of its reader by twice that
}


class Server(web.Server):
    """aiohttp's low-level server, without its application: none of their routes, none of their error pages.

    `handler` may raise GatewayError; whatever else it raises is a 500 that says the request's id. `refused`
    is told each GatewayError that is answered here. While `closing` says so, connections end with their
    response. Where there is an `enter` and `server.lane` is on, each connection begins in the lane.
    """

    def __init__(
        self,
        handler: Handler,
        settings: ServerSettings,
        refused: Refused,
        closing: Callable[[], bool],
        enter: Enter | None = None,
    ) -> None:
        super().__init__(self._serve, handler_cancellation=True)
        self._lanes: Lanes | None = None
        if enter is not None and settings.lane:
            self._lanes = Lanes(enter, settings, closing, self._connection)
        self._handler = handler
        self._settings = settings
        self._refused = refused
        self._closing = closing

    def __call__(self) -> Any:
        """The first protocol of a connection."""
        return self._connection() if self._lanes is None else Lane(self._lanes, asyncio.get_running_loop())

    def pre_shutdown(self) -> None:
        """No connection takes another request."""
        for lane in self._open_lanes():
            lane.close()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:
        """End every connection: what is answered has `timeout` seconds, and is cancelled then."""
        ends = (lane.shutdown(timeout or 0.0) for lane in self._open_lanes())
        await asyncio.gather(super().shutdown(timeout), *ends)

    def _open_lanes(self) -> list[Lane]:
        return [] if self._lanes is None else list(self._lanes.open)

    def _connection(self) -> Connection:
        return Connection(
            self,
            head_timeout=self._settings.header_timeout,
            refused=self._refused,
            loop=asyncio.get_running_loop(),
            **_OPTIONS,
        )

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = self._call(request)
        # A client that has left is told nothing; its connection is gone.
        with contextlib.suppress(ClientGone):
            try:
                self._check(call)
                await self._handler(call)
                if not call.downstream.begun:
                    await call.refuse(failure(call.id))
            except GatewayError as error:
                self._refused(error)
                await call.refuse(error)
            except ClientGone:
                raise
            except Exception as bug:
                note(call.id, bug)
                await call.refuse(failure(call.id))
        return call.downstream.sent()

    def _call(self, request: web.BaseRequest) -> Call:
        settings = self._settings
        name = request_id()
        return Call(
            id=name,
            path=path_of(request.raw_path),
            request=request,
            body=RequestBody(request, settings.max_body, settings.body_timeout, settings.max_upload),
            downstream=HttpDownstream(
                request, name, settings.write_timeout, functools.partial(self._ends, request)
            ),
        )

    def _ends(self, request: web.BaseRequest) -> bool:
        """Whether the response to this request is the last one on its connection."""
        return self._closing() or not cast(Connection, request.protocol).may_go_on(request)

    def _check(self, call: Call) -> None:
        try:
            check(call.request)
        except GatewayError:
            call.downstream.close_after()
            raise


def require_c_parser() -> None:
    """Raises RuntimeError on aiohttp's Python parser: it reads HTTP differently, with faults of its own."""
    if helpers.NO_EXTENSIONS or not hasattr(http_parser, "HttpRequestParserC"):
        raise RuntimeError("aiohttp's C extensions are missing or switched off (AIOHTTP_NO_EXTENSIONS)")
