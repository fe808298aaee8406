"""Whether a store that is full of keys and ledger rows makes a request slower than an empty one does."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench import probe, subjects, wrk
from bench.apparatus import Apparatus, Running, start
from bench.cores import pinned
from bench.processes import ROOT, NotReadyError
from bench.progress import say
from bench.rest import put_off
from bench.results import EMPTY, FILLED, Results

KEYS, ROWS = 100_000, 1_000_000
_ROUNDS = 8
_FILL_SECONDS = 600  # it takes a sixth of that


def measure(apparatus: Apparatus, results: Results, seconds: int) -> None:
    """Fill `results.filled`: p50 of misses on one connection, in turns, each round in the other order."""
    data = apparatus.folder / "filled-data"
    try:
        _fill(data)
        with ExitStack() as stack:
            pair = {
                EMPTY: _start(apparatus, EMPTY, None, stack),
                FILLED: _start(apparatus, FILLED, data, stack),
            }
            for number in range(_ROUNDS):
                for name in list(pair)[:: 1 if number % 2 else -1]:
                    shot = _shoot(apparatus, pair[name], seconds)
                    if shot.failed:
                        apparatus.complain(f"{name}: {shot.failed} requests failed")
                    results.filled.setdefault(name, []).append(shot.p50_us)
                said = ", ".join(f"{name} {p50s[-1]:.0f} µs" for name, p50s in results.filled.items())
                say(f"round {number + 1} of {_ROUNDS}: p50: {said}")
    except (OSError, psutil.Error, NotReadyError, wrk.WrkError, subprocess.SubprocessError) as error:
        apparatus.complain(f"the filled store was not measured: {error!r}")


def _fill(data: Path) -> None:
    say(f"filling a store with {KEYS:,} keys and {ROWS:,} ledger rows")
    command = [sys.executable, "-m", "bench.fill", "--folder", data, "--keys", KEYS, "--rows", ROWS]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, timeout=_FILL_SECONDS)


def _start(apparatus: Apparatus, name: str, data: Path | None, stack: ExitStack) -> Running:
    rows = ROWS + ROWS // 10  # none of those that are there may have to go
    subject = subjects.gateway(
        name.replace(" ", "-"), apparatus.upstream, apparatus.folder, data=data, rows=rows
    )
    running = start(subject, apparatus.cores.subject, apparatus.folder, stack)
    probe.ask(subject.port, f"{next(apparatus.numbers):016d}")
    put_off(running.process)
    _shoot(apparatus, running, 1)
    return running


def _shoot(apparatus: Apparatus, running: Running, seconds: int) -> wrk.Shot:
    with pinned(apparatus.cores.load):
        shot = wrk.run(
            running.subject.port,
            unique=True,
            connections=1,
            seconds=seconds,
            first=next(apparatus.numbers),
            folder=apparatus.folder,
        )
    put_off(running.process)
    return shot
