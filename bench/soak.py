"""`python bench/soak.py --seconds 1800`: a thousand open streams for a long time, and nothing may grow.

A tenth of the streams is hung up in the middle; plain requests, some of them asked before, go on beside them.
What is kept by design (answers, ledger rows) is bounded low, so that memory has to be flat. The exit status
is 0, or 1 for an error, a process that grew, or a tail that did.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil
import uvloop

from bench import flat, subjects
from bench.apparatus import Running, start
from bench.cores import Cores, pinned
from bench.crowd import Crowd
from bench.processes import free_port, pss, role
from bench.progress import say

STREAMS = 1000
_ROWS = 5_000
_MORE = """\
[cache]
ttl = "60s"
max_memory = "16MiB"
"""
_AT_LEAST, _AT_MOST = 5.0, 60.0  # seconds of an interval


def interval(seconds: float) -> float:
    """A minute, or in a short run so much that there are twelve of them."""
    return min(_AT_MOST, max(_AT_LEAST, seconds / 12))


async def soak(running: Running, seconds: float, streams: int) -> list[flat.Sample]:
    """The load for that long; one sample, and one line of progress, for each whole interval."""
    crowd, samples, begun = Crowd(running.subject.port, streams), list[flat.Sample](), time.monotonic()
    load = asyncio.create_task(crowd.run(seconds))
    each = interval(seconds)
    while (second := time.monotonic() - begun) + each <= seconds + 1 and not load.done():
        await asyncio.sleep(begun + each * (len(samples) + 1) - time.monotonic())
        second = time.monotonic() - begun
        samples.append(flat.Sample(second, crowd.open, crowd.take(), list(processes(running))))
        say(samples[-1].line())
    await load
    last = crowd.take()
    if last.errors:
        samples.append(flat.Sample(time.monotonic() - begun, crowd.open, last, samples[-1].processes))
    return samples


def processes(running: Running) -> Iterator[flat.Process]:
    """The gateway, its workers and its store, as they are now."""
    first, *others = running.process.members()
    for member in (first, *others):
        name = "store" if role(member) == "store" else "gateway" if member == first else "worker"
        yield flat.Process(f"{name} {member.pid}", pss(member.pid) / 1e6, member.memory_info().rss / 1e6)


def run(seconds: float, streams: int, workers: int, folder: Path) -> list[str]:
    """Start everything, soak it, end it; the complaints."""
    cores = Cores.choose()
    also = sorted(os.sched_getaffinity(0))[1:workers]
    with ExitStack() as stack:
        upstream = start(subjects.upstream(free_port()), cores.upstream, folder, stack)
        subject = subjects.gateway(
            "gateway", upstream.subject.port, folder, workers=workers, rows=_ROWS, more=_MORE
        )
        running = start(subject, cores.subject, folder, stack, also=also)
        with pinned(cores.load), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return flat.complaints(runner.run(soak(running, seconds, streams)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/soak.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="gateway-soak-") as folder:
        try:
            found = run(given.seconds, given.streams, given.workers, Path(folder))
        except (OSError, psutil.Error) as error:
            found = [f"the soak was given up: {error!r}"]
    print("\n".join(found) or "No error; memory and tails stayed as they were.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
