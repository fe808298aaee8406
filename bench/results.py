"""What was measured, round by round."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

# The rows that the report compares with others.
DIRECT = "upstream, no relay"
RELAY = "bare aiohttp relay"
CONSTANT = "aiohttp, a constant"
HIT = "gateway, hit"
MISS = "gateway, miss"
STREAM = "gateway, stream"
# The two stores that requests are compared on.
EMPTY = "empty store"
FILLED = "filled store"

FULL = 0.95  # a load generator's core busier than this may have held the subject back
DISTURBED = 0.1  # others that took more of the subject's core than this have spoilt the round


@dataclass(frozen=True, slots=True)
class Shares:
    """How busy the cores were during a round, 0 to 1."""

    own: float  # the subject and its store, on their core
    others: float  # whoever else on that core: work that is no part of the benchmark
    load: float  # all that ran on the load generator's core

    @property
    def load_full(self) -> bool:
        return self.load >= FULL

    @property
    def held_back(self) -> bool:
        """Whether the load generator had no time left while the subject's core still had."""
        return self.load_full and self.own + self.others < FULL


@dataclass(frozen=True, slots=True)
class PlainRound:
    """One round of plain requests through one subject."""

    rate: float  # requests a second on 32 connections, the work that was put off counted in
    cpu_us: float  # CPU time of the subject per request
    store_cpu_us: float  # and of the store that it keeps
    p50_us: float  # latency on one connection
    p99_us: float
    failed: int
    busy: Shares


@dataclass(frozen=True, slots=True)
class StreamRound:
    """One round of streams through one subject: CPU time per event that arrived at the client."""

    events: int
    cpu_us: float
    store_cpu_us: float
    wrong: int  # streams that did not bring exactly what was sent
    busy: Shares

    @property
    def total_us(self) -> float:
        return self.cpu_us + self.store_cpu_us


@dataclass(frozen=True, slots=True)
class WorkersRound:
    """Misses, while the load generator and the upstream ran on the gateway's cores."""

    rate: float  # requests a second
    own: float  # cores that the gateway was busy on, its store included
    idle: float  # cores that nobody was busy on

    @property
    def per_core(self) -> float:
        """Requests a second for each core that was the gateway's to use: what it used, and what it left."""
        return self.rate / (self.own + self.idle)


@dataclass(slots=True)
class Results:
    """All rounds by row, in the order of the table.

    `memory`: bytes per open stream, by their number. `filled`: p50 in µs, by `EMPTY` and `FILLED`.
    `workers`: by their number. `idle`: bytes of each idle worker, by their number. `starts`: seconds to the
    first answer.
    """

    machine: str
    cores: str
    plain: dict[str, list[PlainRound]] = field(default_factory=dict)
    streams: dict[str, list[StreamRound]] = field(default_factory=dict)
    memory: dict[str, dict[int, float]] = field(default_factory=dict)
    filled: dict[str, list[float]] = field(default_factory=dict)
    workers: dict[int, list[WorkersRound]] = field(default_factory=dict)
    idle: dict[int, list[float]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def quickest(rounds: Sequence[PlainRound]) -> PlainRound:
    """The round whose rate stands in the table."""
    return max(rounds, key=lambda one: one.rate)


def best_plain(rounds: Sequence[PlainRound]) -> PlainRound:
    """The best of each number, because what wobbles on a machine (clock speed, neighbours) only slows down.

    But of p99 the median: a tail is what a subject does now and then, and the best round would hide it.
    """
    fastest = quickest(rounds)
    return PlainRound(
        rate=fastest.rate,
        cpu_us=min(one.cpu_us for one in rounds),
        store_cpu_us=min(one.store_cpu_us for one in rounds),
        p50_us=min(one.p50_us for one in rounds),
        p99_us=statistics.median(one.p99_us for one in rounds),
        failed=sum(one.failed for one in rounds),
        busy=fastest.busy,
    )


def best_streams(rounds: Sequence[StreamRound]) -> StreamRound:
    """The round with the least CPU per event, and the wrong streams of all rounds."""
    least = min(rounds, key=lambda one: one.total_us)
    return StreamRound(
        events=least.events,
        cpu_us=least.cpu_us,
        store_cpu_us=least.store_cpu_us,
        wrong=sum(one.wrong for one in rounds),
        busy=least.busy,
    )
