"""A listener: connections in, calls to one handler, and every failure answered in words."""

import asyncio
import contextlib
import functools
import logging
import secrets
import traceback
from collections.abc import Callable
from typing import Any, cast

from aiohttp import helpers, http_parser, web

from gateway.errors import GatewayError, InternalError
from gateway.exchange import ClientGone
from gateway.settings import Server as ServerSettings
from gateway.web.body import RequestBody
from gateway.web.call import Call, Handler
from gateway.web.connection import Connection, Refused
from gateway.web.downstream import HttpDownstream
from gateway.web.framing import check, path_of

log = logging.getLogger("gateway")

_OPTIONS: dict[str, Any] = {
    "access_log": None,  # aiohttp's prints query strings
    "auto_decompress": False,  # a compressed body is refused, not unpacked
    "keepalive_timeout": 75.0,  # nginx: 75 s
    "lingering_time": 2.0,  # for the rest of a body that was refused: closing at once would reset the answer
    "read_bufsize": 32 * 1024,  # a body may be ahead of its reader by twice that
}


class Server(web.Server):
    """aiohttp's low-level server, without its application: none of their routes, none of their error pages.

    `handler` may raise GatewayError; whatever else it raises is a 500 that says the request's id. `refused`
    is told each GatewayError that is answered here. While `closing` says so, connections end with their
    response.
    """

    def __init__(
        self, handler: Handler, settings: ServerSettings, refused: Refused, closing: Callable[[], bool]
    ) -> None:
        super().__init__(self._serve, handler_cancellation=True)
        self._handler = handler
        self._settings = settings
        self._refused = refused
        self._closing = closing

    def __call__(self) -> web.RequestHandler:
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
                    await call.refuse(_failure(call))
            except GatewayError as error:
                self._refused(error)
                await call.refuse(error)
            except ClientGone:
                raise
            except Exception as bug:
                _note(call, bug)
                await call.refuse(_failure(call))
        return call.downstream.sent()

    def _call(self, request: web.BaseRequest) -> Call:
        settings = self._settings
        request_id = secrets.token_hex(16)
        return Call(
            id=request_id,
            path=path_of(request.raw_path),
            request=request,
            body=RequestBody(request, settings.max_body, settings.body_timeout, settings.max_upload),
            downstream=HttpDownstream(
                request, request_id, settings.write_timeout, functools.partial(self._ends, request)
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


def _failure(call: Call) -> InternalError:
    return InternalError(f"The gateway failed. Its log has request {call.id}.")


def _note(call: Call, bug: Exception) -> None:
    """Type and place alone: a message, or a traceback's values, may carry what the client sent."""
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    log.error("internal error", extra={"request_id": call.id, "error": type(bug).__name__, "place": where})


def require_c_parser() -> None:
    """Raises RuntimeError on aiohttp's Python parser: it reads HTTP differently, with faults of its own."""
    if helpers.NO_EXTENSIONS or not hasattr(http_parser, "HttpRequestParserC"):
        raise RuntimeError("aiohttp's C extensions are missing or switched off (AIOHTTP_NO_EXTENSIONS)")
