"""Lines to a stream, from a thread of its own: a reader who stopped reading never stops the writer."""

import os
import select
import threading
from collections.abc import Callable
from typing import TextIO

Sink = Callable[[bytes], None]

# How long the thread waits for more before it writes: under load many lines cost one wake-up.
_GATHER_SECONDS = 0.02


class LogWriter:
    """A bounded queue in front of a sink. What does not fit is dropped and counted, never waited for.

    `most` bounds the bytes that wait, those being written included.
    """

    def __init__(self, sink: Sink, most: int = 8 * 2**20) -> None:
        self._sink = sink
        self._most = most
        self._lines: list[bytes] = []
        self._size = 0
        self._closing = False
        self._state = threading.Condition()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line, its newline included. Never blocks, never raises."""
        with self._state:
            if self._closing or self._size + len(line) > self._most:
                self.dropped += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if len(self._lines) == 1:
                self._state.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all was written; False if it was not within that time."""
        with self._state:
            return self._state.wait_for(lambda: self._size == 0, seconds)

    def close(self, seconds: float) -> bool:
        """Write what waits and end. A sink that blocks for longer than that is left behind."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (lines := self._take()) is not None:
            try:
                self._sink(b"".join(lines))
            except (OSError, ValueError):  # a full disk, a reader gone, a closed stream
                self.dropped += len(lines)
            with self._state:
                self._size -= sum(map(len, lines))
                self._state.notify_all()

    def _take(self) -> list[bytes] | None:
        with self._state:
            self._state.wait_for(lambda: self._lines or self._closing)
            if not self._closing:
                self._state.wait_for(lambda: self._closing, _GATHER_SECONDS)
            lines, self._lines = self._lines, []
            return lines or None

    def __repr__(self) -> str:
        return f"<LogWriter {self._size} bytes waiting, {self.dropped} lines dropped>"


def sink_of(stream: TextIO) -> Sink:
    """How to write to this stream: to its file descriptor where it has one, past the locks of its buffer."""
    try:
        stream.fileno()
    except (OSError, AttributeError):
        return lambda data: _to_text(stream, data)
    # Asked each time: a descriptor remembered is somebody else's file once the stream was closed.
    return lambda data: _to_fd(stream.fileno(), data)


def _to_text(stream: TextIO, data: bytes) -> None:
    stream.write(data.decode())
    stream.flush()


def _to_fd(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
            select.select((), (fd,), ())
