"""Where an answer's bytes come from: the cache, a call that several read, or a call of one's own."""

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Protocol

from gateway.answer import Answer
from gateway.exchange import Taker
from gateway.flights import Flight, Reader
from gateway.incoming import Extra, Incoming
from gateway.policy import frozen

Pairs = list[tuple[str, str]]


class Source(Protocol):
    """What `deliver` hands to a client. `length` None: nobody knows it before the end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Pairs: ...

    @property
    def length(self) -> int | None: ...

    @property
    def stream(self) -> bool:
        """Events, handed on whole: it may be told of an error between two of them."""
        ...

    @property
    def failed(self) -> bool:
        """It is an error, as far as it has been read: by its status, or by an event in the stream."""
        ...

    @property
    def body(self) -> bytes | None:
        """The whole of it, where it is there already: then `pieces` need not be asked."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes, once."""
        ...

    def close(self) -> None:
        """Let go of whatever stands behind it. Always called, also when `pieces` was never begun."""
        ...


@frozen.dataclass(frozen=True, slots=True)
class Stored:
    """An answer that is known already, whole."""

    status: int
    headers: Pairs
    chunks: Sequence[bytes]
    length: int | None
    failed: bool = False  # errors are not kept

    @property
    def body(self) -> bytes | None:
        return self.chunks[0] if self.length is not None and len(self.chunks) == 1 else None

    @property
    def stream(self) -> bool:
        return self.length is None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks:
            yield chunk

    def close(self) -> None:
        """Nothing stands behind it."""


@frozen.dataclass(frozen=True, slots=True)
class Direct:
    """An answer that one client alone reads, straight from the upstream.

    `close` leaves an answer open whose usage is owed: whoever concludes the exchange must await
    `incoming.finish`, whatever became of the client.
    """

    incoming: Answer
    show_extra: bool  # the usage event, to a client who asked for it

    @property
    def status(self) -> int:
        return self.incoming.status

    @property
    def headers(self) -> Pairs:
        return self.incoming.headers

    @property
    def length(self) -> int | None:
        return self.incoming.length

    @property
    def stream(self) -> bool:
        return self.incoming.stream

    @property
    def failed(self) -> bool:
        return self.incoming.failed

    @property
    def body(self) -> bytes | None:
        return self.incoming.body if isinstance(self.incoming, Incoming) else None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        incoming = self.incoming
        if isinstance(incoming, Incoming) and incoming.stream:
            while (pieces := await incoming.next()) is not None:
                if shown := to_show(pieces, self.show_extra):
                    yield shown
            return
        async for piece in incoming.pieces():
            yield piece.data

    def go_straight(self, taker: Taker) -> Callable[[bytes], list[bytes] | None]:
        """Where it is a stream: `taker` may take what arrives from now on. What is returned reads it; None:
        not now, and nothing was read."""
        incoming = self.incoming
        assert isinstance(incoming, Incoming)
        incoming.taker = taker
        return incoming.take

    def close(self) -> None:
        if not self.incoming.owes_usage:
            self.incoming.close()


@frozen.dataclass(frozen=True, slots=True)
class Shared(Direct):
    """The same, read by several. `reader` has entered the flight, and leaves it on `close`."""

    flight: Flight
    reader: Reader

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        flight, reader, show_extra = self.flight, self.reader, self.show_extra
        while (piece := await flight.next(reader)) is not None:
            if show_extra or type(piece) is not Extra:
                yield piece

    def go_straight(self, taker: Taker) -> Callable[[bytes], list[bytes] | None]:
        self.reader.taker = taker
        return partial(self.flight.take, self.reader)

    def close(self) -> None:
        self.flight.leave(self.reader)


def to_show(pieces: list[bytes], show_extra: bool) -> bytes:
    """What has come at once goes on at once."""
    if len(pieces) > 1:
        return b"".join(piece for piece in pieces if show_extra or type(piece) is not Extra)
    return pieces[0] if show_extra or type(pieces[0]) is not Extra else b""
