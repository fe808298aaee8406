"""Where an answer's bytes come from: the cache, a call that several read, or a call of one's own."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.flights import Flight
from gateway.incoming import Incoming

Pairs = list[tuple[str, str]]


class Source(Protocol):
    """What `deliver` hands to a client. `length` None: a stream."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Pairs: ...

    @property
    def length(self) -> int | None: ...

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

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks:
            yield chunk

    def close(self) -> None:
        """Nothing stands behind it."""


@dataclass(frozen=True, slots=True)
class Direct:
    """An answer that one client alone reads, straight from the upstream."""

    incoming: Incoming
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

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        async for piece in self.incoming.pieces():
            if self.show_extra or not piece.extra:
                yield piece.data

    def close(self) -> None:
        self.incoming.close()


@dataclass(frozen=True, slots=True)
class Shared:
    """An answer that several may read. `reader` has entered the flight, and leaves it on `close`."""

    flight: Flight
    reader: object
    incoming: Incoming
    show_extra: bool

    @property
    def status(self) -> int:
        return self.incoming.status

    @property
    def headers(self) -> Pairs:
        return self.incoming.headers

    @property
    def length(self) -> int | None:
        return self.incoming.length

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        async for piece in self.flight.pieces(self.reader):
            if self.show_extra or not piece.extra:
                yield piece.data

    def close(self) -> None:
        self.flight.leave(self.reader)
