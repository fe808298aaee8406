"""The processes under measurement: start on a core, wait for readiness, account, stop."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from bench.cores import pinned

ROOT = Path(__file__).resolve().parent.parent
_STORES = ("valkey", "redis")
POLL = 0.05
_READY_SECONDS = 30
_STOP_SECONDS = 10


class NotReadyError(Exception):
    """A process ended or stayed deaf; the message ends with the last lines that it wrote."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Process:
    """A child and its descendants, on one core or `also` on others. As a context manager it stops them.

    `seconds` is how long it may take to become ready.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        core: int,
        folder: Path,
        environment: dict[str, str],
        *,
        also: Sequence[int] = (),
        seconds: float = _READY_SECONDS,
    ) -> None:
        self.name = name
        self._seconds = seconds
        self._log = folder / f"{name}.log"
        with pinned(core, *also), self._log.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_inherited() | environment,
            )

    def wait_ready(self, ready: Callable[[], bool], poll: float = POLL) -> None:
        """Return once `ready()` holds, asked every `poll` seconds; raises NotReadyError."""
        deadline = time.monotonic() + self._seconds
        while not ready():
            if self._child.poll() is not None:
                raise NotReadyError(f"{self.name} ended with {self._child.returncode}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"{self.name} is not ready after {self._seconds:g} s: {self._last_words()}"
                )
            time.sleep(poll)

    def _last_words(self) -> str:
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-5:]) or "it wrote nothing"

    def cpu(self) -> dict[str, float]:
        """CPU seconds used so far: by the subject itself, and by the store that it keeps."""
        used = {"subject": 0.0, "store": 0.0}
        for member in self.members():
            used[role(member)] += _cpu_seconds(member.pid)
        return used

    def cpu_since(self, before: dict[str, float]) -> dict[str, float]:
        """CPU seconds used since `cpu()` said that."""
        return {role: seconds - before[role] for role, seconds in self.cpu().items()}

    def memory(self) -> int:
        """Bytes: the proportional set size (PSS) of all of it, shared pages divided among their users."""
        return sum(pss(member.pid) for member in self.members())

    @property
    def pid(self) -> int:
        return self._child.pid

    def members(self) -> list[psutil.Process]:
        parent = psutil.Process(self._child.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after ten seconds. Only for what this object started."""
        if self._child.poll() is not None:
            return
        members = self.members()
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        _, left = psutil.wait_procs(members, timeout=2)
        for member in left:
            member.kill()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


def _inherited() -> dict[str, str]:
    """Our environment without what would configure a gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "OPENAI_"))}


def role(member: psutil.Process) -> str:
    """`store` for the store that a gateway keeps, `subject` for everybody else."""
    return "store" if member.name().startswith(_STORES) else "subject"


def pss(pid: int) -> int:
    """The proportional set size in bytes, as proc(5) rolls it up: shared pages divided among their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def _cpu_seconds(pid: int) -> float:
    """To the nanosecond, where /proc counts in ticks of ten milliseconds.

    The clock of another process, as clock_getcpuclockid(3) makes its number on Linux.
    """
    return time.clock_gettime((~pid << 3) | 2)
