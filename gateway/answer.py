"""What an upstream answers, as the stages see it, whichever of the two ways it goes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import GatewayError
from gateway.policy.records import Usage


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an answer's bytes. `extra`: the usage event, shown only to those who asked for it."""

    data: bytes
    extra: bool = False


class Answer(Protocol):
    """What an upstream answers, as the stages see it: judged (`Incoming`), or passed on (`passing.Passing`).

    Said of what has been read so far, and of the whole once `pieces` has ended. `close` or `finish` is always
    called.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> list[tuple[str, str]]: ...

    @property
    def length(self) -> int | None: ...

    @property
    def stream(self) -> bool:
        """It is handed on by whole events, and may be told of an error between two of them."""
        ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def owes_usage(self) -> bool: ...

    @property
    def failed(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    @property
    def output_texts(self) -> list[str]: ...

    @property
    def output_bytes(self) -> int: ...

    def estimate(self, input: int, output: int) -> Usage: ...

    def pieces(self) -> AsyncGenerator[Piece, None]: ...

    async def finish(self, wait: float) -> None:
        """Nobody reads it any more: wait for what is owed, at most `wait` seconds; then close."""
        ...

    def close(self) -> None: ...


async def finish(answer: Answer, wait: float) -> None:
    """Read on, at most `wait` seconds, where a usage is owed; then close."""
    try:
        if answer.owes_usage:
            with contextlib.suppress(GatewayError, TimeoutError):
                async with asyncio.timeout(wait):
                    async for _ in answer.pieces():
                        pass
    finally:
        answer.close()
