"""A stream that several processes write whole lines to."""

import fcntl
import io
import os
import select


class WholeLines(io.TextIOBase):
    """Made before the fork, and inherited: what one process writes at once stands together.

    Beyond PIPE_BUF (4096 bytes, pipe(7)) the kernel does not promise that, and a busy worker's lines come by
    the hundred. The lock is the kernel's, by process: it ends with whoever holds it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = os.memfd_create("whole lines")

    def write(self, text: str) -> int:
        left = memoryview(text.encode())
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
                    select.select((), (self._descriptor,), ())
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
        return len(text)
