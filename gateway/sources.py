"""Where an answer's bytes come from: the cache, a call that several read, or a call of one's own."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.answer import Answer, Piece
from gateway.flights import Flight

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

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes, once."""
        ...

    def close(self) -> None:
        """Let go of whatever stands behind it. Always called, also when `pieces` was never begun."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that is known already, whole."""

    status: int
    headers: Pairs
    chunks: Sequence[bytes]
    length: int | None
    failed: bool = False  # errors are not kept

    @property
    def stream(self) -> bool:
        return self.length is None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks:
            yield chunk

    def close(self) -> None:
        """Nothing stands behind it."""


@dataclass(frozen=True, slots=True)
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

    def pieces(self) -> AsyncGenerator[bytes, None]:
        return _shown(self.incoming.pieces(), self.show_extra)

    def close(self) -> None:
        if not self.incoming.owes_usage:
            self.incoming.close()


@dataclass(frozen=True, slots=True)
class Shared(Direct):
    """The same, read by several. `reader` has entered the flight, and leaves it on `close`."""

    flight: Flight
    reader: object

    def pieces(self) -> AsyncGenerator[bytes, None]:
        return _shown(self.flight.pieces(self.reader), self.show_extra)

    def close(self) -> None:
        self.flight.leave(self.reader)


async def _shown(pieces: AsyncGenerator[Piece, None], show_extra: bool) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if show_extra or not piece.extra:
                yield piece.data
