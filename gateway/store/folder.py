"""The data folder: private, and one gateway's at a time."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

LONGEST_SOCKET = 100  # bytes; sockaddr_un holds 108 with its end (unix(7))


class FolderInUse(RuntimeError):
    """Another gateway serves from this folder."""


class FolderUnfit(RuntimeError):
    """The folder cannot be made private."""


class Folder:
    """`take` it, use it, `give_up`. The kernel gives it up for a gateway that is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self._note = self.path / "socket-folder"  # where the socket is, when its path is too long here

    def take(self) -> None:
        """Raises FolderInUse or FolderUnfit."""
        _make_private(self.path)
        lock = os.open(self.path / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode().strip() or "unknown"
            os.close(lock)
            raise FolderInUse(
                f"the data folder {self.path} is in use by another gateway (process {holder}): "
                "stop that one, or give this one a folder of its own in [store] url"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        self._forget_socket()

    def socket(self) -> Path:
        """Where the server shall listen: in the folder, or in a private one with a shorter name."""
        path = self.path / "valkey.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        short = tempfile.mkdtemp(prefix="gateway-")
        self._note.write_text(short)
        return Path(short) / "valkey.sock"

    def give_up(self) -> None:
        if self._lock is not None:
            self._forget_socket()
            os.close(self._lock)
            self._lock = None

    def _forget_socket(self) -> None:
        if self._note.exists():
            shutil.rmtree(self._note.read_text(), ignore_errors=True)
            self._note.unlink()

    def __repr__(self) -> str:
        return f"<Folder {self.path} {'taken' if self._lock is not None else 'free'}>"


def _make_private(path: Path) -> None:
    """Our own folders are made private. Somebody else's is left alone, and refused if others may enter it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            if any(path.iterdir()) and not (path / "gateway.lock").exists():
                raise FolderUnfit(
                    f"the data folder {path} may be entered by others: chmod 700 it, or name a new one"
                )
            path.chmod(0o700)
    except OSError as error:
        raise FolderUnfit(f"the data folder {path} cannot be used: {error.strerror}") from None
