"""What one process has noted, in its order: what waits to be replayed, and how far that has come."""

from collections.abc import Callable, Iterator

import msgspec

from gateway.away.frames import Ended, Frame, Pending, Upto, decode, encode
from gateway.away.logfile import LogFile

_MARK_EVERY = 100  # replays that a crash may have us repeat; the store knows them by their id

Damaged = Callable[[bytes], None]


class Log:
    """The log of this process, or that of a dead one (`inherit`).

    What is noted stays on the disk. Memory has the ids of requests under way, and one entry that is next.
    """

    def __init__(self, file: LogFile, damaged: Damaged) -> None:
        self.file = file
        self.waiting = 0
        self._damaged = damaged
        self._under_way: dict[str, Pending | None] = {}  # of a dead process: what it had under way
        self._position = 0
        self._unmarked = 0
        self._next: tuple[Pending, int] | None = None
        self._dead = False

    @classmethod
    def inherit(cls, file: LogFile, damaged: Damaged) -> "Log":
        """What its process had under way when it died is charged as it was noted then."""
        log = cls(file, damaged)
        log._dead = True
        whole = 0
        settled: list[int] = []
        for line, whole in file.lines(0):
            frame = _read(line)
            if isinstance(frame, Upto):
                log._position = frame.offset
            elif isinstance(frame, Ended):
                log._under_way.pop(frame.hold, None)
            elif isinstance(frame, Pending):
                log._under_way.pop(frame.hold, None)
                if frame.dispatched:
                    log._under_way[frame.hold] = frame
                else:
                    settled.append(whole)
        if whole < file.size:
            file.cut(whole)  # half a line: its process died before it could rely on it
        log.waiting = sum(end > log._position for end in settled) + len(log._under_way)
        return log

    def note(self, pending: Pending) -> None:
        """Raises OSError, and has noted nothing then."""
        self.file.append(encode(pending))
        if pending.dispatched:
            self._under_way[pending.hold] = None
        else:
            self._under_way.pop(pending.hold, None)
            self.waiting += 1

    def forget(self, hold: str) -> None:
        """The store heard itself of the end of what was noted as dispatched. Raises OSError."""
        if hold in self._under_way:
            self.file.append(encode(Ended(hold)))
            del self._under_way[hold]
            self._tidy()

    def oldest(self) -> Pending | None:
        """What is to be replayed next; the same until it is `done`."""
        if self._next is None:
            self._next = self._orphan() or self._read_on()
        return None if self._next is None else self._next[0]

    def done(self) -> None:
        """The store has been told of the oldest. Raises OSError; it may then be told once more."""
        assert self._next is not None
        (pending, end), self._next = self._next, None
        self.waiting -= 1
        if pending.dispatched:
            del self._under_way[pending.hold]
            self.file.append(encode(Ended(pending.hold)))
        else:
            self._position = end
            self._mark()
        self._tidy()

    @property
    def empty(self) -> bool:
        return not self.waiting and not self._under_way

    def _orphan(self) -> tuple[Pending, int] | None:
        if not self._dead:
            return None
        pending = next(iter(self._under_way.values()), None)
        return None if pending is None else (pending, 0)

    def _read_on(self) -> tuple[Pending, int] | None:
        if not self.waiting:
            return None
        for frame, end in self._frames():
            if isinstance(frame, Pending) and not frame.dispatched:
                return frame, end
            self._position = end
        self.waiting = 0  # what was counted turned out to be damaged
        return None

    def _frames(self) -> Iterator[tuple[Frame | None, int]]:
        for line, end in self.file.lines(self._position):
            frame = _read(line)
            if frame is None and line:
                self._damaged(line)
            yield frame, end

    def _mark(self) -> None:
        self._unmarked += 1
        if self._unmarked >= _MARK_EVERY:
            self._unmarked = 0
            self.file.append(encode(Upto(self._position)))

    def _tidy(self) -> None:
        if self.empty and self.file.size:
            self.file.cut(0)
            self._position = self._unmarked = 0

    def __repr__(self) -> str:
        return f"<Log {self.file!r} {self.waiting} waiting, {len(self._under_way)} under way>"


def _read(line: bytes) -> Frame | None:
    try:
        return decode(line)
    except (ValueError, msgspec.DecodeError):
        return None
