"""Which core does what, and how busy each is."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.results import Shares


@dataclass(frozen=True, slots=True)
class Cores:
    """The subject has a core of its own; load generator and upstream share one if there are but two."""

    subject: int
    load: int
    upstream: int

    @classmethod
    def choose(cls) -> "Cores":
        """Out of the cores that this process may use."""
        mine = sorted(os.sched_getaffinity(0))
        return cls(mine[0], mine[1 % len(mine)], mine[2 if len(mine) > 2 else 1 % len(mine)])


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Children started inside inherit the pinning."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Busy:
    """How busy the cores have been since this was made."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._before = _times()

    def shares(self, own_seconds: float, seconds: float) -> Shares:
        """`own_seconds`: the CPU time that the subject has used on its core in these `seconds`."""
        now = _times()
        own = min(1.0, own_seconds / seconds)
        load = max(self._share(now, self._cores.load), self._share(now, self._cores.upstream))
        alone = self._cores.subject not in (self._cores.load, self._cores.upstream)
        others = max(0.0, self._share(now, self._cores.subject) - own) if alone else 0.0
        return Shares(own, others, load)

    def idle(self, cores: Collection[int]) -> float:
        """Seconds, of all of these cores together, in which nobody ran."""
        now = _times()
        return sum(now[core][0] - self._before[core][0] for core in cores)

    def _share(self, now: list[tuple[float, float]], core: int) -> float:
        idle, total = (after - before for before, after in zip(self._before[core], now[core], strict=True))
        return 1 - idle / total if total > 0 else 0.0


def _times() -> list[tuple[float, float]]:
    """(idle, all) seconds of each core since the machine started."""
    return [(core.idle + core.iowait, sum(core)) for core in psutil.cpu_times(percpu=True)]
