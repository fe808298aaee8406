"""Identical questions in flight are asked once: one upstream call, any number of readers."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from gateway.answer import Piece
from gateway.errors import GatewayError, InternalError
from gateway.exchange import ClientGone, Taker
from gateway.incoming import Extra, Incoming

log = logging.getLogger("gateway")

_Spawn = Callable[..., asyncio.Task[None]]


class FlightFailed(Exception):
    """The call that a reader had joined came to nothing; nothing was sent to the reader yet."""


class Reader:
    """One who reads along: `at` is how many pieces of the answer it has had. `taker`: as an answer's."""

    __slots__ = ("at", "taker")

    def __init__(self) -> None:
        self.at = 0
        self.taker: Taker | None = None


class Flight:
    """One upstream call whose answer is read live by everybody who asked the same question.

    Announced by the one who asks first (before its quota is reserved), launched once it may be sent. The call
    belongs to nobody's connection: it ends early only when its last reader has left. Even then it is read on,
    for at most `usage_wait` seconds, if the model is done and only its usage is still to come.

    Until the answer's head is there, a task waits for it. From then on whoever first wants more than has come
    reads it, for all: most calls have one reader, and that one needs no task between itself and the upstream.
    A reader that is cancelled meanwhile has lost nothing for the others; the next of them reads on.

    While the answer fits `window` bytes it is kept whole, so that late readers start at its beginning; it is
    the record that the cache gets. Past that nobody can join any more, and the slowest reader holds the
    upstream back.
    """

    __slots__ = (
        *("_dropped", "_ended", "_error", "_flights", "_key", "_over", "_pieces", "_readers", "_reading"),
        *("_size", "_spawn", "_task", "_usage_wait", "_waiting", "_window", "doomed", "incoming"),
    )

    def __init__(self, flights: "Flights", key: bytes, window: int, usage_wait: float) -> None:
        self._flights = flights
        self._key = key
        self._window = window
        self._usage_wait = usage_wait
        self._pieces: list[bytes] = []
        self._dropped = 0  # pieces before the first of those
        self._size = 0  # of those, in bytes
        self._readers: set[Reader] = set()
        self._reading = False  # one of them waits for the upstream
        self._waiting: list[asyncio.Future[None]] = []  # the others that want what has not come, or room
        self._task: asyncio.Task[None] | None = None
        self._spawn: _Spawn | None = None
        self._error: BaseException | None = None
        self._over = False
        self._ended: asyncio.Event | None = None
        self.doomed = False  # its last reader has left, and its end is on the way
        self.incoming: Incoming | None = None

    @property
    def launched(self) -> bool:
        return self._spawn is not None

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def over(self) -> bool:
        """Nothing is read any more, and the upstream's connection was let go of."""
        return self._over

    @property
    def ended(self) -> asyncio.Event:
        """Set once it is over."""
        if self._ended is None:
            self._ended = asyncio.Event()
            if self._over:
                self._ended.set()
        return self._ended

    @property
    def joinable(self) -> bool:
        return not (self._dropped or self.doomed or self._over)

    def launch(self, call: Callable[[], Awaitable[Incoming]], spawn: _Spawn) -> None:
        """Make the call, in a task of its own. The caller reads it like everybody else."""
        self._spawn = spawn
        self._task = spawn(self._call(call), name="flight")
        # Cancelled before its first step, a task runs no line of its own: it would never say that it ended.
        self._task.add_done_callback(self._called)

    def abandon(self) -> None:
        """The one who announced it may not ask after all (its quota, its leaving): others go on alone."""
        if not self.launched:
            self._end(FlightFailed())

    async def _call(self, call: Callable[[], Awaitable[Incoming]]) -> None:
        try:
            incoming = await call()
        except asyncio.CancelledError:
            self._end(ClientGone())
        except GatewayError as failure:
            self._end(failure)
        except Exception:
            self._end(InternalError("The gateway failed while it read the upstream's answer."))
            raise
        else:
            self._begin(incoming)

    def _called(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if self.incoming is None:
            self._end(ClientGone())

    def _begin(self, incoming: Incoming) -> None:
        """The head is there, and the whole of what is no stream."""
        self.incoming = incoming
        if incoming.chunks is not None:
            self._pieces = incoming.chunks
        if incoming.body is not None:
            self._arrived([incoming.body])
            self._end(None)  # and those who wait for it are told
        elif self.doomed:
            self._last_words(incoming)
        else:
            self._tell()

    def _end(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        self._error = error
        if self.incoming is not None:
            self.incoming.close()
        if self._ended is not None:
            self._ended.set()
        self._tell()
        self._flights.forget(self._key, self)

    def _arrived(self, pieces: list[bytes]) -> None:
        assert self.incoming is not None
        if self.incoming.chunks is not self._pieces:  # else they stand in that record already
            self._pieces += pieces
        for piece in pieces:
            self._size += len(piece)
        if self._size > self._window:
            self._drop_what_all_have_read()

    def _drop_what_all_have_read(self) -> None:
        if self._dropped == 0:
            self._flights.forget(self._key, self)
            if self.incoming is not None and self._pieces is self.incoming.chunks:
                self._pieces = list(self._pieces)
        least = min((reader.at for reader in self._readers), default=self._dropped + len(self._pieces))
        read = self._pieces[: least - self._dropped]
        del self._pieces[: len(read)]
        self._dropped += len(read)
        self._size -= sum(map(len, read))

    def _tell(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for news in waiting:
                if not news.done():  # its reader may have been cancelled
                    news.set_result(None)

    async def _news(self) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        await news

    async def head(self) -> Incoming:
        """Wait for the head of the answer. Raises what the call raised."""
        while self.incoming is None:
            if self._over:
                raise self._error or FlightFailed()
            await self._news()
        return self.incoming

    def enter(self) -> Reader:
        """Become a reader, from the answer's first byte. `leave` must follow."""
        reader = Reader()
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """The last one to leave ends the call, and with it the upstream's work."""
        self._readers.discard(reader)
        reader.taker = None
        self._tell()
        if self._over and not self._readers:
            self._error = None  # whom it was raised for knows this flight: garbage in a cycle
        if self._readers or not self.launched or self.doomed or self._over:
            return
        self.doomed = True
        if self.incoming is not None:
            self._last_words(self.incoming)
        elif self._task is not None:
            self._task.cancel()

    def _last_words(self, incoming: Incoming) -> None:
        """Nobody reads it any more: what is owed is waited for."""
        if incoming.owes_usage and self._spawn is not None:
            finishing = self._spawn(self._finish(incoming), name="last words")
            finishing.add_done_callback(lambda _: self._end(ClientGone()))
        else:
            self._end(ClientGone())

    async def _finish(self, incoming: Incoming) -> None:
        await incoming.finish(self._usage_wait)
        self._end(None if incoming.complete else ClientGone())

    async def next(self, reader: Reader) -> bytes | None:
        """The next piece of the answer, live; None after its last. Raises what ended the call otherwise."""
        while True:
            at = reader.at - self._dropped
            if at < len(self._pieces):
                reader.at += 1
                if self._waiting and self._size > self._window:
                    self._tell()  # there may be room
                return self._pieces[at]
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            if self._reading or self.incoming is None:
                await self._news()
            elif self._size <= self._window:
                await self._read(self.incoming, reader.taker)
            else:
                self._drop_what_all_have_read()
                if self._size > self._window:
                    await self._news()

    def take(self, reader: Reader, data: bytes) -> list[bytes] | None:
        """What these bytes bring, for all; this reader has had it. None: there is no room for any."""
        incoming = self.incoming
        if incoming is None or self._size > self._window:
            return None
        pieces = incoming.take(data)
        reader.at += len(pieces)
        self._arrived(pieces)
        if self._waiting:
            self._tell()
        return pieces

    async def _read(self, incoming: Incoming, taker: Taker | None) -> None:
        """For all: what the upstream says next, unless the taker can take it."""
        self._reading = True
        incoming.taker = taker
        try:
            pieces = await incoming.next()
        except GatewayError as failure:
            self._end(failure)
        except Exception as bug:
            # The type alone: a message may carry what the client sent.
            log.error("internal error", extra={"task": "flight", "error": type(bug).__name__})
            self._end(InternalError("The gateway failed while it read the upstream's answer."))
        else:
            if pieces is None:
                self._end(None)
            else:
                self._arrived(pieces)
        finally:
            self._reading = False
            if self._waiting:  # also where this reader was cancelled: the next of them reads on
                self._tell()

    async def pieces(self, reader: Reader) -> AsyncGenerator[Piece, None]:
        """The whole answer, live. Raises what ended the call, if it was not the answer's end."""
        while (data := await self.next(reader)) is not None:
            yield Piece(data, extra=type(data) is Extra)

    def __repr__(self) -> str:
        state = "over" if self._over else "under way" if self.launched else "announced"
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
        flight = self._flights[key] = Flight(self, key, self._window, self._usage_wait)
        return flight

    def forget(self, key: bytes, flight: Flight) -> None:
        """It can be joined no more."""
        if self._flights.get(key) is flight:
            del self._flights[key]

    def readers(self) -> int:
        """How many exchanges read the flights that can be joined."""
        return sum(flight.readers for flight in self._flights.values())

    def __len__(self) -> int:
        return len(self._flights)

    def __repr__(self) -> str:
        return f"<Flights {len(self._flights)} under way>"
