"""Run as a program: becomes a server that dies with its parent.

    python -I -S leash.py <parent pid> <lock file> <program> [argument…]

Linux only. The lock is held by the server itself, for as long as any of its processes lives: whoever starts
the next one on the same files waits until the last one has let go of them. A program of its own, and not code
that runs between fork and exec, because the parent has threads.
"""

import ctypes
import fcntl
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # prctl(2)
PATIENCE = 10.0  # seconds that a predecessor may take to write its last bytes
LOCKED = 75  # exit status, EX_TEMPFAIL of sysexits(3)


def main(parent: int, lock: str, program: list[str]) -> None:
    """Becomes the program, or exits."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(1)
    if os.getppid() != parent:  # it died before it was asked to tell us
        sys.exit(0)
    if take(lock) is None:
        sys.exit(LOCKED)
    os.execv(program[0], program)  # noqa: S606


def take(path: str) -> int | None:
    """Lock the file for good: the descriptor is inherited by what is executed next. None: it stayed taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > give_up:
                os.close(descriptor)
                return None
            time.sleep(0.01)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
