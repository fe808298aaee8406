"""An answer that is passed on as it comes: whatever its status, its type and its length."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from gateway.answer import Piece, finish
from gateway.errors import UpstreamProtocolError
from gateway.exchange import Reply
from gateway.policy.counts import estimated_passed
from gateway.policy.endpoints import Endpoint
from gateway.policy.headers import to_client
from gateway.policy.records import Usage
from gateway.policy.taps import Tap, encoded, tap_for

_MAX_DIGITS = 18  # an exabyte


@dataclass(slots=True, eq=False)
class Passing:
    """What an upstream answers to an operation that is not `judged`: an `answer.Answer`.

    `pieces` is read once, at the speed of its reader: nothing is held but what has just arrived. What the
    answer used is read beside it, where it states that. It ends as the upstream ended it: what was cut off
    raises, and what has no end of its own (a stream of events, a connection that closes) is never judged by
    what is missing from it.
    """

    endpoint: Endpoint
    reply: Reply
    complete: bool = False  # all of it has come
    watch: Callable[[bytes], None] | None = None  # told what passes, before it is handed on
    _tap: Tap | None = field(init=False)
    _whole: bytes | None = None
    _replaced: bool = False  # what describes the upstream's bytes does not describe these
    _closed: bool = False

    def __post_init__(self) -> None:
        self._tap = tap_for(self.endpoint, self.reply.status, self.reply.headers)

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The upstream's headers that a client may see."""
        return to_client(self.reply.headers, body=not self._replaced)

    @property
    def length(self) -> int | None:
        """In bytes, as the upstream states it. None: nobody knows before the end (RFC 9112 section 6.3)."""
        if self._whole is not None:
            return len(self._whole)
        headers = self.reply.headers
        stated = headers.get("content-length", "")
        known = stated.isascii() and stated.isdigit() and len(stated) <= _MAX_DIGITS
        return int(stated) if known and "transfer-encoding" not in headers else None

    @property
    def stream(self) -> bool:
        """Never: it is handed on by whatever came, which may be half an event, or half a picture."""
        return False

    @property
    def usage(self) -> Usage | None:
        """What the upstream has said so far."""
        return None if self._tap is None else self._tap.usage

    def estimate(self, input: int, output: int) -> Usage:
        """The usage where the upstream states none."""
        if self._tap is None:
            return estimated_passed(self.endpoint.name, input, output)
        return self._tap.estimate(input, output)

    @property
    def owes_usage(self) -> bool:
        """The work is done, and what it used stands in what is still to come."""
        return (
            self._tap is not None
            and self._tap.owing
            and not (self._closed or self.complete)
            and self._tap.usage is None
        )

    @property
    def failed(self) -> bool:
        """An error status, or an error event so far."""
        return self.status >= 400 or (self._tap is not None and self._tap.failed)

    @property
    def output_texts(self) -> list[str]:
        """What was written so far, as far as it is text."""
        return [] if self._tap is None else self._tap.texts

    @property
    def output_bytes(self) -> int:
        """How long all that text is, in UTF-8."""
        return 0 if self._tap is None else self._tap.text_bytes

    async def whole(self, limit: int) -> bytes | None:
        """A success in JSON, read whole before any of it is handed on, as `pieces` does afterwards.

        None: it is an error, or something else than JSON, and nothing was read. Raises UpstreamProtocolError
        when it has more than `limit` bytes, or is broken off.
        """
        if self._whole is not None:
            return self._whole
        kind = self.reply.headers.get("content-type", "").lower()
        if self.status >= 400 or "json" not in kind or encoded(self.reply.headers):
            return None
        read = bytearray()
        async for data in self.reply.body:
            self._passes(data)
            read += data
            if len(read) > limit:
                raise UpstreamProtocolError("The upstream's answer is larger than this gateway accepts.")
        self._ends()
        self._whole = bytes(read)
        return self._whole

    def replace(self, body: bytes) -> None:
        """Hand on `body` instead. Only after `whole` has read what it is made of."""
        assert self._whole is not None
        self._whole, self._replaced = body, True

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer's bytes, as they came. Raises what ended it, if that was not its end."""
        if self._whole is not None:
            yield Piece(self._whole)
            return
        async for data in self.reply.body:
            self._passes(data)
            yield Piece(data)
        self._ends()

    def _passes(self, data: bytes) -> None:
        """It is read for its usage before it is handed on: whoever leaves now has still caused it."""
        if self._tap is not None:
            self._tap.feed(data)
        if self.watch is not None:
            self.watch(data)

    def _ends(self) -> None:
        self.complete = True
        if self._tap is not None:
            self._tap.end()

    async def finish(self, wait: float) -> None:
        await finish(self, wait)

    def close(self) -> None:
        """Let go of the upstream connection: back to the pool if it was read to its end, else cut."""
        self._closed = True
        if self._tap is not None:
            self._tap.end()  # what was broken off may have said it all the same
        self.reply.close()
