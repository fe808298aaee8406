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
        self._waiting = bytearray()
        self._lines = 0
        self._size = 0  # of what waits and what is being written
        self._closing = False
        # Entered directly where each line comes by: a quarter of the time. Re-entrant, because what is
        # collected as garbage in the middle of `put` may have something to say.
        self._lock = threading.RLock()
        self._state = threading.Condition(self._lock)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def put(self, text: bytes, lines: int = 1) -> None:
        """Queue so many lines, their newlines included. Never blocks, never raises."""
        size = len(text)
        with self._lock:
            if self._closing or self._size + size > self._most:
                self.dropped += lines
                return
            # One buffer, not a list: 20 ms of lines would be spread over a megabyte of fresh memory.
            self._waiting += text
            self._size += size
            if not self._lines:
                self._state.notify_all()
            self._lines += lines

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
        while (taken := self._take()) is not None:
            data, lines = taken
            try:
                self._sink(data)
            except (OSError, ValueError):  # a full disk, a reader gone, a closed stream
                self.dropped += lines
            with self._state:
                self._size -= len(data)
                self._state.notify_all()

    def _take(self) -> tuple[bytes, int] | None:
        with self._state:
            self._state.wait_for(lambda: self._lines or self._closing)
            if not self._closing:
                self._state.wait_for(lambda: self._closing, _GATHER_SECONDS)
            data, lines = bytes(self._waiting), self._lines
            self._waiting.clear()
            self._lines = 0
            return (data, lines) if lines else None

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
