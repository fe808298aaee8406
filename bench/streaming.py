"""Streams: the CPU time that an event costs on its way through, and the memory that an open stream holds."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import psutil
import uvloop

from bench.apparatus import Apparatus, Running
from bench.cores import Busy, pinned
from bench.load import Fleet
from bench.progress import say
from bench.rest import grown
from bench.results import Results, StreamRound

_T = TypeVar("_T")

STREAMS = 200
RATE = 25.0  # events a second on each stream
OPEN = (200, 1000)  # streams at which memory is weighed

_RAMP = 1.0  # seconds over which the streams open
_SPARE = 1.0  # seconds that they go on after the window
_IDLE_RATE = 0.5  # events a second on a stream that only holds memory
_IDLE_EVENTS = 120
_WARM_UP = 20


def measure(apparatus: Apparatus, results: Results, *, rounds: int, seconds: int) -> None:
    """Fill `results.streams`: a window of that many seconds per round, with all streams open throughout."""
    for number in range(1, rounds + 1):
        for row, running in _rows(apparatus):
            try:
                one = _run(apparatus, _round(apparatus, running, seconds))
            except (OSError, psutil.Error) as error:
                apparatus.complain(f"{row}: the round was given up: {error!r}")
                continue
            if one.wrong:
                apparatus.complain(f"{row}: {one.wrong} of {STREAMS} streams were not relayed whole")
            results.streams.setdefault(row, []).append(one)
            say(f"round {number} of {rounds}: {row}: {one.cpu_us + one.store_cpu_us:.1f} µs CPU an event")


def weigh(apparatus: Apparatus, results: Results) -> None:
    """Fill `results.memory`. Comes first: a process that was busy before hides growth in memory it kept."""
    for row, running in _rows(apparatus):
        try:
            grown(running.process)
            held = _run(apparatus, _weigh(apparatus, running))
        except (OSError, psutil.Error) as error:
            apparatus.complain(f"{row}: its memory was not weighed: {error!r}")
            continue
        results.memory[row] = held
        say(f"memory: {row}: " + ", ".join(f"{size / 1000:.1f} kB × {n}" for n, size in held.items()))


def _rows(apparatus: Apparatus) -> list[tuple[str, Running]]:
    return [(one.subject.stream_row, one) for one in apparatus.running if one.subject.stream_row is not None]


def _run(apparatus: Apparatus, work: Coroutine[None, None, _T]) -> _T:
    with pinned(apparatus.cores.load), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _fleet(apparatus: Apparatus, running: Running, events: int, rate: float) -> Fleet:
    subject = running.subject
    return Fleet(subject.port, events, rate, next(apparatus.numbers), subject.further)


async def _round(apparatus: Apparatus, running: Running, seconds: int) -> StreamRound:
    events = round(RATE * (_RAMP + seconds + _SPARE))
    async with _fleet(apparatus, running, events, RATE) as fleet:
        await fleet.grow(STREAMS, _RAMP)
        busy, before, seen = Busy(apparatus.cores), running.process.cpu(), fleet.tally.events
        await asyncio.sleep(seconds)
        used = running.process.cpu_since(before)
        shares = busy.shares(sum(used.values()), seconds)
        relayed = max(1, fleet.tally.events - seen)
        await fleet.finish(seconds + 10)
    return StreamRound(
        events=relayed,
        cpu_us=used["subject"] * 1e6 / relayed,
        store_cpu_us=used["store"] * 1e6 / relayed,
        wrong=fleet.wrong(),
        busy=shares,
    )


async def _weigh(apparatus: Apparatus, running: Running) -> dict[int, float]:
    held = {}
    async with _fleet(apparatus, running, 2, RATE) as warm:
        await warm.grow(_WARM_UP, 0.1)
        await warm.finish(10)
    before = running.process.memory()
    async with _fleet(apparatus, running, _IDLE_EVENTS, _IDLE_RATE) as fleet:
        for count in OPEN:
            await fleet.grow(count - fleet.opened, _RAMP)
            if fleet.tally.ended:
                raise ConnectionError(f"{fleet.tally.ended} of {count} streams ended early")
            held[count] = (running.process.memory() - before) / count
    return held
