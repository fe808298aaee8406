"""Connections to upstreams that are used again, and the proof that nothing is left in them."""

import functools
from typing import Any, cast

import aiohttp
from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage

from gateway.upstream.answerhead import is_sound


class Line(ResponseHandler):
    """A connection whose other end may speak only while it is asked.

    aiohttp takes whatever arrives on an idle connection for the answer to the next request. That would be
    another client's: so such a connection ends (RFC 9112 section 9.2).
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self._asked = False
        self._parsing = False

    def set_response_params(self, **how: Any) -> None:
        """The next request is about to be sent."""
        self._asked = True
        super().set_response_params(**how)

    def answered(self) -> None:
        """The answer has been read, or given up."""
        self._asked = False
        if not self._parsing:
            self._end_if_more()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls this for each piece read, paused or not: a parser run and a system call for nothing.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            if data.strip(b"\r\n"):  # old servers send one line end too many
                self.close()
            return
        self._parsing = True
        try:
            super().data_received(data)
        finally:
            self._parsing = False
            self._after_parsing()

    def _after_parsing(self) -> None:
        if not self._asked:
            self._end_if_more()
        elif self._exception is not None and self._payload is not None and not self._payload.is_eof():
            # aiohttp tells who waits for the head, and lets who waits for the body wait.
            self._payload.set_exception(aiohttp.ClientPayloadError("malformed body"))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """A head has been read. One that can be read in two ways is none."""
        if is_sound(data[0]):
            super().feed_data(data, size)
            return
        if self.transport is not None:
            self.transport.close()
        self.set_exception(BadHttpMessage("malformed head"))

    def _end_if_more(self) -> None:
        if self._buffer or self._tail or self._has_begun():
            self.close()

    def _has_begun(self) -> bool:
        """Has the parser seen a part of another answer's head?"""
        if self._parser is None:
            return False
        try:
            return self._parser.feed_eof() is not None
        except Exception:
            return True


class Pool(aiohttp.TCPConnector):
    """aiohttp's, of such lines."""

    def __init__(self, *, keepalive: float) -> None:
        # No limit: streams are long, and the 101st would wait behind a hundred of them in silence.
        super().__init__(limit=0, keepalive_timeout=keepalive)
        self._factory = cast(Any, functools.partial(Line, loop=self._loop))

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if isinstance(protocol, Line):
            protocol.answered()
        super()._release(key, protocol, should_close=should_close or not protocol.is_connected())
