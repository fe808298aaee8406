"""What the gateway is to reach, and whether it does: mostly ratios of rows that were measured in one run."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.results import (
    CONSTANT,
    DIRECT,
    EMPTY,
    FILLED,
    HIT,
    MISS,
    RELAY,
    STREAM,
    PlainRound,
    Results,
    best_plain,
    best_streams,
)
from bench.tables import Table, aligned, piped

OPEN = 1000  # streams at which a target weighs the memory of one
_KIB, _MB = 1024, 1_000_000
_HEADER = ["target", "at least", "aim", "measured", "rounds", "verdict"]
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Reading:
    """A number as the tables have it (best of the rounds, where they do), and what single rounds said."""

    value: float
    rounds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """`more`: a greater number is a better one."""

    name: str
    at_least: float
    aim: float
    unit: str
    more: bool
    read: Callable[[Results], Reading | None]

    def verdict(self, value: float) -> str:
        """As it is shown: a number that is printed as the target's has reached it."""
        shown = float(_shown(value))
        if shown >= self.aim if self.more else shown <= self.aim:
            return "aim reached"
        if shown >= self.at_least if self.more else shown <= self.at_least:
            return "reached"
        return "missed"


def terminal(results: Results) -> str:
    return aligned(_table(results))


def markdown(results: Results) -> str:
    return piped(_table(results))


def told(results: Results) -> list[dict[str, object]]:
    """The same for machines; `measured` is None where there is nothing to say."""
    return [
        {
            "target": target.name,
            "at_least": target.at_least,
            "aim": target.aim,
            "unit": target.unit,
            "measured": reading and reading.value,
            "rounds": list(reading.rounds) if reading else [],
            "verdict": target.verdict(reading.value) if reading else "not measured",
        }
        for target, reading in _readings(results)
    ]


def _readings(results: Results) -> Iterator[tuple[Target, Reading | None]]:
    return ((target, target.read(results)) for target in TARGETS)


def _table(results: Results) -> Table:
    table = [list(_HEADER)]
    for target, reading in _readings(results):
        wanted = [_with_unit(target.at_least, target.unit), _with_unit(target.aim, target.unit)]
        if reading is None:
            table.append([target.name, *wanted, _NOTHING, _NOTHING, "not measured"])
            continue
        measured = _with_unit(reading.value, target.unit)
        table.append([target.name, *wanted, measured, _spread(reading.rounds), target.verdict(reading.value)])
    return table


def _spread(rounds: Sequence[float]) -> str:
    return f"{_shown(min(rounds))} to {_shown(max(rounds))}" if len(rounds) > 1 else _NOTHING


def _with_unit(value: float, unit: str) -> str:
    return f"{_shown(value)} {unit}"


def _shown(value: float) -> str:
    """Three figures, or whole numbers."""
    return (
        f"{value:.0f}"
        if value >= 100 or value == int(value)
        else f"{value:.1f}"
        if value >= 20
        else f"{value:.2f}"
    )


def _rates(mine: str, other: str) -> Callable[[Results], Reading | None]:
    def read(results: Results) -> Reading | None:
        pairs = _pairs(results, mine, other)
        if not pairs:
            return None
        value = best_plain(results.plain[mine]).rate / best_plain(results.plain[other]).rate
        return Reading(value, [one.rate / another.rate for one, another in pairs])

    return read


def _added(results: Results) -> Reading | None:
    """Over what asking the upstream itself takes, as the bare relay's is."""
    pairs = _pairs(results, MISS, RELAY)
    if not pairs or DIRECT not in results.plain:
        return None
    direct = best_plain(results.plain[DIRECT]).p50_us
    mine, other = (best_plain(results.plain[row]).p50_us - direct for row in (MISS, RELAY))
    if other <= 0:
        return None
    rounds = [(a.p50_us - direct) / (b.p50_us - direct) for a, b in pairs if b.p50_us > direct]
    return Reading(mine / other, rounds)


def _pairs(results: Results, mine: str, other: str) -> list[tuple[PlainRound, PlainRound]]:
    """Rounds that were measured one after the other."""
    return list(zip(results.plain.get(mine, []), results.plain.get(other, []), strict=False))


def _events(results: Results) -> Reading | None:
    mine, other = results.streams.get(STREAM), results.streams.get(RELAY)
    if not mine or not other:
        return None
    value = best_streams(mine).total_us / best_streams(other).total_us
    return Reading(value, [a.total_us / b.total_us for a, b in zip(mine, other, strict=False)])


def _stream_memory(results: Results) -> Reading | None:
    held = results.memory.get(STREAM, {}).get(OPEN)
    return None if held is None else Reading(held / _KIB)


def _filled(results: Results) -> Reading | None:
    """Medians, because what is compared lies within the noise of a single round."""
    full, empty = results.filled.get(FILLED), results.filled.get(EMPTY)
    if not full or not empty:
        return None
    value = statistics.median(full) / statistics.median(empty)
    return Reading(value, [a / b for a, b in zip(full, empty, strict=False)])


def _workers(results: Results) -> Reading | None:
    one, two = results.workers.get(1), results.workers.get(2)
    if not one or not two:
        return None
    value = 2 * max(each.per_core for each in two) / max(each.per_core for each in one)
    return Reading(value, [2 * b.per_core / a.per_core for a, b in zip(one, two, strict=False)])


def _idle(results: Results) -> Reading | None:
    """The largest of them all: alone, or beside others with which it shares what was loaded before."""
    held = [size / _MB for sizes in results.idle.values() for size in sizes]
    return Reading(max(held), held) if held else None


def _start(results: Results) -> Reading | None:
    return Reading(statistics.median(results.starts), results.starts) if results.starts else None


TARGETS = (
    Target("misses/s, against the bare relay", 2, 5, "×", True, _rates(MISS, RELAY)),
    Target("hits/s, against a constant", 1, 2, "×", True, _rates(HIT, CONSTANT)),
    Target("added p50, against the bare relay", 0.8, 0.25, "×", False, _added),
    Target("CPU per SSE event, against the bare relay", 0.7, 0.4, "×", False, _events),
    Target("memory per open stream", 64, 24, "KiB", False, _stream_memory),
    Target("p50 on a filled store, against an empty one", 1.1, 1.02, "×", False, _filled),
    Target("two workers, against one", 1.8, 1.95, "×", True, _workers),
    Target("memory of an idle worker", 120, 80, "MB", False, _idle),
    Target("start to first answer", 1.5, 0.7, "s", False, _start),
)
