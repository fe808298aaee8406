"""What a gateway weighs that nobody asks, and how soon after its start it answers."""

import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

import psutil

from bench import probe, subjects
from bench.apparatus import Running, start
from bench.cores import Cores
from bench.processes import NotReadyError, free_port, pss, role
from bench.progress import say
from bench.rest import grown, put_off
from bench.results import Results

_STARTS = 5
_ASKED = 40  # questions, each on a connection of its own: every worker gets some
_POLL = 0.002


def measure(folder: Path, results: Results, complaints: list[str]) -> None:
    """Fill `results.idle` and `results.starts`.

    To be called while nothing else of the benchmark runs: who shares libraries with a process makes its
    proportional size smaller.
    """
    cores = Cores.choose()
    with ExitStack() as stack:
        upstream = start(subjects.upstream(free_port()), cores.upstream, folder, stack).subject.port
        try:
            results.starts = [_start(number, upstream, cores, folder) for number in range(_STARTS)]
            say(f"start to first answer: {statistics.median(results.starts):.2f} s")
            for workers in (1, 2):
                results.idle[workers] = _weigh(workers, upstream, cores, folder)
        except (OSError, HTTPException, psutil.Error, NotReadyError) as error:
            complaints.append(f"start and idle memory were not measured: {error!r}")


def _start(number: int, upstream: int, cores: Cores, folder: Path) -> float:
    """Seconds from the command to the first answer to a completion, with a new data folder."""
    subject = subjects.gateway(f"start-{number}", upstream, folder)
    answering = replace(subject, ready=lambda: probe.answers_chat(subject.port, {}))
    with ExitStack() as stack:
        begun = time.monotonic()
        start(answering, cores.subject, folder, stack, poll=_POLL)
        return time.monotonic() - begun


def _weigh(workers: int, upstream: int, cores: Cores, folder: Path) -> list[float]:
    """Bytes of each worker's process, the tokenizer loaded."""
    subject = subjects.gateway(f"idle-{workers}", upstream, folder, workers=workers)
    with ExitStack() as stack:
        running = start(subject, cores.subject, folder, stack)
        for number in range(_ASKED):
            probe.ask(subject.port, f"{number:016d}")
        put_off(running.process)
        grown(running.process)
        parent, working = _workers(running)
        sizes = [float(pss(worker.pid)) for worker in working]
        told = ", ".join(f"{size / 1e6:.1f} MB" for size in sizes)
        beside = f"; their parent {pss(parent.pid) / 1e6:.1f} MB" if parent not in working else ""
        say(f"idle, workers = {workers}: {told}{beside}")
        return sizes


def _workers(running: Running) -> tuple[psutil.Process, list[psutil.Process]]:
    """The first process, and those that serve: its children, or itself where it has none."""
    parent, *others = running.process.members()
    return parent, [other for other in others if role(other) == "subject"] or [parent]
