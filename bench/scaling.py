"""Two workers against one, where the load generator and the upstream need cores as well.

The cores that the gateway gets are those of the test less what the load generator, the upstream and others
took of them. Each round therefore says: so many requests a second, for each core that the gateway used or
left idle. What nobody used counts against the gateway; only what others used does not. With four cores or
more the load has cores of its own, and nothing is left to be accounted for.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil

from bench import probe, subjects, wrk
from bench.apparatus import Apparatus, Running, start
from bench.cores import Busy, pinned
from bench.plain import CONNECTIONS
from bench.processes import NotReadyError, free_port
from bench.progress import say
from bench.rest import put_off
from bench.results import Results, WorkersRound

_ROUNDS = 4


def measure(apparatus: Apparatus, results: Results, seconds: int) -> None:
    """Fill `results.workers`: one worker and all else on a core, two and twice that load on two, in turns."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        apparatus.complain("two workers were not measured: there is one core")
        return
    try:
        with ExitStack() as stack:
            cells = [_start(apparatus, cores, number, stack) for number in (1, 2)]
            for number in range(1, _ROUNDS + 1):
                for workers, running in enumerate(cells, 1):
                    one = _round(apparatus, running, cores, workers, seconds)
                    results.workers.setdefault(workers, []).append(one)
                    say(
                        f"round {number} of {_ROUNDS}: workers = {workers}: {one.rate:,.0f} requests/s, "
                        f"{one.per_core:,.0f} for a core of its own; {one.idle:.2f} cores idle"
                    )
    except (OSError, psutil.Error, NotReadyError, wrk.WrkError) as error:
        apparatus.complain(f"two workers were not measured: {error!r}")


def _load_cores(cores: Sequence[int], workers: int) -> Sequence[int]:
    return cores[2 : 2 + workers] if len(cores) >= 4 else cores[:workers]


def _start(apparatus: Apparatus, cores: Sequence[int], workers: int, stack: ExitStack) -> Running:
    first, *also = _load_cores(cores, workers)
    upstream = subjects.upstream(free_port(), f"upstream-of-{workers}")
    start(upstream, first, apparatus.folder, stack, also=also)
    first, *also = cores[:workers]
    subject = subjects.gateway(f"workers-{workers}", upstream.port, apparatus.folder, workers=workers)
    running = start(subject, first, apparatus.folder, stack, also=also)
    probe.ask(subject.port, f"{next(apparatus.numbers):016d}")
    _shoot(apparatus, running, _load_cores(cores, workers), 1)
    put_off(running.process)
    return running


def _round(
    apparatus: Apparatus, running: Running, cores: Sequence[int], workers: int, seconds: int
) -> WorkersRound:
    busy, used, begun = Busy(apparatus.cores), running.process.cpu(), time.monotonic()
    shots = _shoot(apparatus, running, _load_cores(cores, workers), seconds)
    lasted = time.monotonic() - begun
    idle = busy.idle(cores[:workers])
    put_off(running.process)
    if failed := sum(shot.failed for shot in shots):
        apparatus.complain(f"workers = {workers}: {failed} requests failed")
    own = sum(running.process.cpu_since(used).values())
    return WorkersRound(sum(shot.requests for shot in shots) / lasted, own / lasted, idle / lasted)


def _shoot(apparatus: Apparatus, running: Running, cores: Sequence[int], seconds: int) -> list[wrk.Shot]:
    """One wrk for each of the cores, which are theirs together."""

    def shoot(first: int) -> wrk.Shot:
        with pinned(*cores):  # this thread's, and its child's
            return wrk.run(
                running.subject.port,
                unique=True,
                connections=CONNECTIONS,
                seconds=seconds,
                first=first,
                folder=apparatus.folder,
            )

    with ThreadPoolExecutor(len(cores)) as threads:
        return list(threads.map(shoot, [next(apparatus.numbers) for _ in cores]))
