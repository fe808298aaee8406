"""Bytes that are put aside for a moment: a little in memory, more in a file that has no name."""

import asyncio
import contextlib
import logging
import tempfile
from collections import deque
from collections.abc import Callable
from typing import IO, Any, TypeVar

from gateway.errors import Unavailable

_T = TypeVar("_T")

log = logging.getLogger("gateway")


class Spool:
    """First in, first out: put everything, then take it back. `room` is in bytes: what memory may hold.

    The file is where `TMPDIR` says; it has no name, so nothing is left of it however the process ends. It is
    written and read by threads, in pieces of `room`, so that a slow disk holds up nobody else. `put` and
    `take` raise Unavailable when the disk is full or fails.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: deque[bytes] = deque()  # what follows the file's content
        self._size = 0  # of what is held
        self._file: IO[bytes] | None = None
        self._rewound = False
        self._closed = False
        self._job: asyncio.Future[Any] | None = None

    async def put(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > self._room:
            full = b"".join(self._held)
            self._held.clear()
            self._size = 0
            await self._in_thread(lambda: self._write(full))

    async def take(self) -> bytes:
        """The next bytes; none at the end. Raises ValueError when closed: what is gone is not the end."""
        if self._closed:
            raise ValueError("the spool is closed")
        if self._file is not None:
            if data := await self._in_thread(self._read):
                return data
            self._shut()
        return self._held.popleft() if self._held else b""

    def close(self) -> None:
        """Let go of the file, and not under a thread that is busy with it. Called again it does nothing."""
        self._closed = True
        self._held.clear()
        if self._job is not None and not self._job.done():
            self._job.add_done_callback(self._close_after)
        else:
            self._shut()

    def _close_after(self, job: asyncio.Future[Any]) -> None:
        if not job.cancelled():
            job.exception()  # seen: nobody is left to be told
        self._shut()

    def _shut(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        job = asyncio.get_running_loop().run_in_executor(None, work)
        self._job = job
        try:
            # Shielded: a cancelled caller must not believe that the thread has let go of the file.
            return await asyncio.shield(job)
        except OSError as error:
            log.error("spooling failed", extra={"error": type(error).__name__})
            raise Unavailable("The gateway has no room for this upload.") from None

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` ends it
        self._file.write(data)

    def _read(self) -> bytes:
        assert self._file is not None
        if not self._rewound:
            self._file.seek(0)
            self._rewound = True
        return self._file.read(self._room)

    def __repr__(self) -> str:
        return f"<Spool {self._size} bytes held, {'a' if self._file is not None else 'no'} file>"
