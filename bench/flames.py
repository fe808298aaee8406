"""`python bench/flames.py`: where the gateway's time goes, as flame graphs in docs/flames.

One each for misses, hits and relayed streams, recorded with py-spy while the gateway is asked as by the
benchmark: only what holds the interpreter is counted, so that a thread that waits is not. Recording another
process may need to be allowed (`kernel.yama.ptrace_scope`, or root).
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import flamegraph, probe, streaming, wrk
from bench.apparatus import Apparatus, Running, started
from bench.cores import pinned
from bench.load import Fleet
from bench.plain import CONNECTIONS
from bench.processes import ROOT
from bench.progress import say

FOLDER = ROOT / "docs" / "flames"
_HERTZ = 250
_WARM_SECONDS = 2


class RecorderError(Exception):
    """py-spy did not record; the message is what it said."""


def record(name: str, seconds: int, into: Path) -> list[Path]:
    """The graphs that were written: `NAME-miss.svg`, `NAME-hit.svg`, `NAME-stream.svg`."""
    written = []
    with (
        tempfile.TemporaryDirectory(prefix="gateway-flames-") as folder,
        started(["gateway"], Path(folder)) as apparatus,
    ):
        running = apparatus.running[1]
        probe.ask(running.subject.port, "0" * 16)
        for kind, load in _LOADS.items():
            stacks = Path(folder) / f"{kind}.txt"
            load(apparatus, running, seconds, stacks)
            graph = flamegraph.draw(flamegraph.read(stacks.read_text().splitlines()), f"{name}: {kind}")
            path = into / f"{name}-{kind}.svg"
            path.write_text(graph, encoding="utf-8")
            say(f"{path.name}: {len(graph) / 1000:.0f} kB")
            written.append(path)
    return written


def _plain(unique: bool) -> Callable[[Apparatus, Running, int, Path], None]:
    def load(apparatus: Apparatus, running: Running, seconds: int, stacks: Path) -> None:
        for lasts in (_WARM_SECONDS, seconds + 1):
            with ExitStack() as recording, pinned(apparatus.cores.load):
                if lasts > _WARM_SECONDS:
                    recording.enter_context(_Recorder(running, seconds, stacks))
                wrk.run(
                    running.subject.port,
                    unique=unique,
                    connections=CONNECTIONS,
                    seconds=lasts,
                    first=next(apparatus.numbers),
                    folder=apparatus.folder,
                )

    return load


def _streams(apparatus: Apparatus, running: Running, seconds: int, stacks: Path) -> None:
    async def listen() -> None:
        events = round(streaming.RATE * (seconds + _WARM_SECONDS + 2))
        async with Fleet(running.subject.port, events, streaming.RATE, next(apparatus.numbers)) as fleet:
            await fleet.grow(streaming.STREAMS, 1.0)
            with _Recorder(running, seconds, stacks) as recorder:
                await asyncio.to_thread(recorder.wait)

    with pinned(apparatus.cores.load):
        asyncio.run(listen())


class _Recorder:
    """py-spy beside the load. At the end of the context its stacks are written; raises RecorderError."""

    def __init__(self, running: Running, seconds: int, stacks: Path) -> None:
        command = [
            _recorder(),
            "record",
            "--pid",
            running.process.pid,
            "--duration",
            seconds,
            "--rate",
            _HERTZ,
        ]
        command += ["--gil", "--function", "--format", "raw", "--output", stacks]
        self._child = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._seconds = seconds

    def wait(self) -> None:
        try:
            said, _ = self._child.communicate(timeout=self._seconds + 20)
        except subprocess.TimeoutExpired as error:
            self._child.kill()
            raise RecorderError("py-spy did not end in time") from error
        if self._child.returncode:
            raise RecorderError(" | ".join(said.strip().splitlines()[-3:]))

    def __enter__(self) -> "_Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self.wait()


def _recorder() -> str:
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise RecorderError("py-spy is not installed")
    return found


_LOADS = {"miss": _plain(unique=True), "hit": _plain(unique=False), "stream": _streams}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/flames.py", description=__doc__)
    parser.add_argument("--name", default="after", help="what the files' names begin with (default after)")
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--into", type=Path, default=FOLDER)
    given = parser.parse_args(arguments)
    given.into.mkdir(parents=True, exist_ok=True)
    try:
        record(given.name, given.seconds, given.into)
    except (RecorderError, wrk.WrkError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
