"""Uploads for tests: bodies that come in the pieces that a test says."""

import asyncio
from collections.abc import AsyncIterator, Iterable


class Arriving:
    """An `exchange.Upload`. An Event among the pieces is waited for, an exception is raised.

    `known`: whether its length is known; `length` may also be given, and may be wrong.
    """

    def __init__(
        self,
        *pieces: bytes | asyncio.Event | Exception,
        known: bool = True,
        length: int | None = None,
    ) -> None:
        self._pieces = pieces
        self.length = length
        if known and length is None:
            self.length = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        self.asked = 0  # how often the next piece has been asked for

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._rest = iter(self._pieces)
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        for piece in self._rest:
            if isinstance(piece, bytes):
                return piece
            if isinstance(piece, Exception):
                raise piece
            await piece.wait()
        raise StopAsyncIteration


def pieces_of(data: bytes, size: int) -> Iterable[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


async def whole(upload: AsyncIterator[bytes]) -> bytes:
    return b"".join([data async for data in upload])
