"""One file of lines that only grows, private, and locked for as long as its process lives."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 2**16
_NAME_BYTES = 8


class LogFile:
    """Made by `create`, or taken over from a process that has died by `adopt`.

    The kernel gives the lock up when the process ends, however it ends.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path) -> "LogFile":
        """Raises OSError. The file gets its name once it is locked: nobody takes it for that of the dead."""
        path = folder / f"{secrets.token_hex(_NAME_BYTES)}.log"
        unnamed = path.with_suffix(".new")
        descriptor = os.open(unnamed, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(path)
        except OSError:
            os.close(descriptor)
            unnamed.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> "LogFile | None":
        """None where its process lives, or somebody else has adopted it already. Raises OSError."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before may have finished with the file, and taken its name away.
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None

    def append(self, line: bytes) -> None:
        """All of it, or OSError and nothing of it. The kernel has it then: a killed process loses nothing."""
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                self.cut(self.size)
            raise
        self.size += len(line)

    def lines(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Whole lines from `offset` on, without their newline, each with the offset at which it ends."""
        rest = b""
        while chunk := os.pread(self._descriptor, _CHUNK, offset + len(rest)):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                offset += len(line) + 1
                yield line, offset

    def cut(self, size: int) -> None:
        """Take away what stands behind `size`."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def sync(self) -> None:
        """Until here it is on the disk. Blocks: call it off the loop."""
        os.fdatasync(self._descriptor)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._descriptor)

    def __repr__(self) -> str:
        return f"<LogFile {self.path.name} {self.size} bytes>"
