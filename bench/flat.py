"""What a soak has seen in each of its intervals, and whether it stayed as it was."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.crowd import Heard

_MEMORY = 1.05  # times what it was: more has grown
_MEMORY_MB = 2.0  # or by less than this
_TAIL = 1.5
_TAIL_MS = 5.0
# Seconds for which a store knows that a hold has ended: before that, it has to grow.
_REMEMBERED = 600


@dataclass(frozen=True, slots=True)
class Process:
    """`name` is its role and its id; sizes in MB."""

    name: str
    pss: float
    rss: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One interval. Times in ms."""

    second: float
    open: int
    heard: Heard
    processes: Sequence[Process]

    @property
    def gateway(self) -> float:
        """MB, PSS: everything but the store."""
        return sum(one.pss for one in self.processes if not one.name.startswith("store"))

    @property
    def store(self) -> float:
        return sum(one.pss for one in self.processes if one.name.startswith("store"))

    def line(self) -> str:
        sizes = ", ".join(f"{one.name} {one.pss:.1f} MB (RSS {one.rss:.1f})" for one in self.processes)
        said = ", ".join(f"{count} {name}" for name, count in sorted(self.heard.outcomes.items()))
        errors = ", ".join(f"{count} {name}" for name, count in sorted(self.heard.errors.items()))
        return (
            f"{self.second:.0f} s: {self.open} open; {said}; errors: {errors or 'none'}; "
            f"event delay {_tail(self.heard.delays)}; plain {_tail(self.heard.plain)}; {sizes}"
        )


def quantile(values: Sequence[float], share: float) -> float:
    """Of no values: not a number."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def _tail(values: Sequence[float]) -> str:
    return f"p50 {quantile(values, 0.5):.2f} ms, p99 {quantile(values, 0.99):.2f} ms"


def complaints(samples: Sequence[Sample]) -> list[str]:
    """What was not as it should be: errors, and the last third beside the second."""
    errors = sum(sum(sample.heard.errors.values()) for sample in samples)
    found = [f"{errors} errors"] if errors else []
    return found + list(_risen(samples))


def _risen(samples: Sequence[Sample]) -> Iterator[str]:
    if len(samples) < 6:
        yield f"{len(samples)} intervals are too few to compare"
        return
    watched: list[tuple[str, Callable[[Sample], float], float, float]] = [
        ("the gateway's memory (MB)", lambda sample: sample.gateway, _MEMORY, _MEMORY_MB),
        ("event delay, p99 (ms)", lambda sample: quantile(sample.heard.delays, 0.99), _TAIL, _TAIL_MS),
        ("plain requests, p99 (ms)", lambda sample: quantile(sample.heard.plain, 0.99), _TAIL, _TAIL_MS),
    ]
    if samples[-1].second >= 3 * _REMEMBERED:
        watched.append(("the store's memory (MB)", lambda sample: sample.store, _MEMORY, _MEMORY_MB))
    third = len(samples) // 3
    for name, read, times, more in watched:
        before, after = (
            statistics.median(map(read, some)) for some in (samples[third : 2 * third], samples[2 * third :])
        )
        if not after <= max(before * times, before + more):
            yield f"{name} rose from {before:.1f} to {after:.1f} between the second and the last third"
