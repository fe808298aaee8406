"""Identical questions in flight are asked once: one upstream call, any number of readers."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from gateway.answer import Piece
from gateway.errors import GatewayError, InternalError
from gateway.exchange import ClientGone
from gateway.incoming import Incoming


class FlightFailed(Exception):
    """The call that a reader had joined came to nothing; nothing was sent to the reader yet."""


class Flight:
    """One upstream call whose answer is read live by everybody who asked the same question.

    Announced by the one who asks first (before its quota is reserved), launched once it may be sent. The call
    belongs to nobody's connection: it ends early only when its last reader has left. Even then it is read on,
    for at most `usage_wait` seconds, if the model is done and only its usage is still to come.

    While the answer fits `window` bytes it is kept whole, so that late readers start at its beginning. Past
    that nobody can join any more, and the slowest reader holds the upstream back.
    """

    def __init__(self, window: int, usage_wait: float, landed: Callable[["Flight"], None]) -> None:
        self._window = window
        self._usage_wait = usage_wait
        self._landed = landed
        self._pieces: deque[Piece] = deque()
        self._dropped = 0
        self._size = 0
        self._readers: dict[object, int] = {}
        self._waiting: list[asyncio.Future[None]] = []  # readers of what has not come yet
        self._room = asyncio.Event()
        self._head: asyncio.Future[Incoming] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._error: BaseException | None = None
        self._doomed = False  # its last reader has left, and its end is on the way
        self.incoming: Incoming | None = None
        self.ended = asyncio.Event()

    @property
    def launched(self) -> bool:
        return self._task is not None

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def joinable(self) -> bool:
        return self._dropped == 0 and not self._doomed and not self.ended.is_set()

    def launch(
        self,
        call: Callable[[], Awaitable[Incoming]],
        spawn: Callable[..., asyncio.Task[None]],
    ) -> None:
        """Start the call, in a task of its own. The caller reads it like everybody else."""
        self._task = spawn(self._fly(call), name="flight")
        # Cancelled before its first step, a task runs no line of its own: it would never say that it ended.
        self._task.add_done_callback(lambda task: self._end(ClientGone()))

    def abandon(self) -> None:
        """The one who announced it may not ask after all (its quota, its leaving): others go on alone."""
        if not self.launched:
            self._end(FlightFailed())

    async def _fly(self, call: Callable[[], Awaitable[Incoming]]) -> None:
        error: BaseException | None = None
        try:
            self.incoming = await call()
            self._head.set_result(self.incoming)
            async with contextlib.aclosing(self.incoming.pieces()) as pieces:
                async for piece in pieces:
                    await self._push(piece)
        except asyncio.CancelledError:
            error = ClientGone()
        except GatewayError as failure:
            error = failure
        except Exception:
            error = InternalError("The gateway failed while it read the upstream's answer.")
            raise
        finally:
            if self.incoming is not None:
                self.incoming.close()
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self.ended.is_set():
            return
        self._error = error
        if self._cut is not None:
            self._cut.cancel()
        if not self._head.done():
            self._head.set_exception(error or FlightFailed())
            self._head.exception()  # with no reader left, nobody else takes it
        self.ended.set()
        self._tell()
        self._landed(self)

    async def _push(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._size += len(piece.data)
        self._tell()
        while self._size > self._window:
            if self._dropped == 0:
                self._landed(self)
            self._drop_what_all_have_read()
            if self._size <= self._window:
                return
            self._room.clear()
            await self._room.wait()

    def _drop_what_all_have_read(self) -> None:
        least = min(self._readers.values(), default=self._dropped + len(self._pieces))
        while self._dropped < least:
            self._size -= len(self._pieces.popleft().data)
            self._dropped += 1

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():  # its reader may have been cancelled
                news.set_result(None)

    async def head(self) -> Incoming:
        """Wait for the head of the answer. Raises what the call raised."""
        return await asyncio.shield(self._head)

    def enter(self) -> object:
        """Become a reader, from the answer's first byte. `leave` must follow."""
        reader = object()
        self._readers[reader] = self._dropped
        return reader

    def leave(self, reader: object) -> None:
        """The last one to leave ends the call, and with it the upstream's work."""
        self._readers.pop(reader, None)
        self._room.set()
        if self._readers or self._task is None or self._doomed or self.ended.is_set():
            return
        self._doomed = True
        if self.incoming is not None and self.incoming.owes_usage:
            self._cut = asyncio.get_running_loop().call_later(self._usage_wait, self._task.cancel)
        else:
            self._task.cancel()

    async def pieces(self, reader: object) -> AsyncGenerator[Piece, None]:
        """The whole answer, live. Raises what ended the call, if it was not the answer's end."""
        while True:
            at = self._readers[reader] - self._dropped
            if at < len(self._pieces):
                piece = self._pieces[at]
                self._readers[reader] += 1
                if self._size > self._window:
                    self._room.set()
                yield piece
                continue
            if self.ended.is_set():
                if self._error is not None:
                    raise self._error
                return
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news

    def __repr__(self) -> str:
        state = "ended" if self.ended.is_set() else "under way" if self.launched else "announced"
        return f"<Flight {state}, {len(self._readers)} readers, {self._size} bytes kept>"


class Flights:
    """The questions under way in this process, by cache key. `window`: bytes, `usage_wait`: seconds."""

    def __init__(self, window: int, usage_wait: float) -> None:
        self._window = window
        self._usage_wait = usage_wait
        self._flights: dict[bytes, Flight] = {}

    def find(self, key: bytes) -> Flight | None:
        """A flight that may be joined."""
        flight = self._flights.get(key)
        return flight if flight is not None and flight.joinable else None

    def announce(self, key: bytes) -> Flight:
        """A new flight, which is the one that can be joined under `key` from now on.

        Another may be under way there, that is being ended or was not fresh enough for this client.
        """
        flight = Flight(self._window, self._usage_wait, lambda ended: self._forget(key, ended))
        self._flights[key] = flight
        return flight

    def _forget(self, key: bytes, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def readers(self) -> int:
        """How many exchanges read the flights that can be joined."""
        return sum(flight.readers for flight in self._flights.values())

    def __len__(self) -> int:
        return len(self._flights)

    def __repr__(self) -> str:
        return f"<Flights {len(self._flights)} under way>"
