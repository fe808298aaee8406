"""What arrives with a body and is none of it: chunk sizes, extensions, trailers."""

from aiohttp import StreamReader

# This much is free; beyond it, so much for each byte of the body. In chunks of one byte, framing takes five.
FREE = 64 * 1024
PER_BYTE = 8


class Overhead:
    """Watches one connection's bodies, one after the other.

    Extensions are read and forgotten without a limit; there ought to be one (RFC 9112 section 7.1.1).
    """

    __slots__ = ("_arrived", "_body")

    def __init__(self) -> None:
        self._body: StreamReader | None = None
        self._arrived = 0

    def is_too_much(self, body: StreamReader, size: int) -> bool:
        """`size` bytes have arrived, the last of them for `body`. Those in which it began are not counted."""
        if body.is_eof():
            self._body = None
            return False
        if body is not self._body:
            self._body, self._arrived = body, 0
            return False
        self._arrived += size
        return self._arrived > FREE + (1 + PER_BYTE) * body.total_bytes
