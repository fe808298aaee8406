"""Results as a table for a terminal, as Markdown for the README, as JSON for machines."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from bench import targets
from bench.results import (
    CONSTANT,
    DIRECT,
    DISTURBED,
    FULL,
    HIT,
    RELAY,
    Results,
    best_plain,
    best_streams,
    quickest,
)
from bench.tables import Table, aligned, piped

_PLAIN = ["plain requests", "requests/s", "CPU µs/request", "added p50 µs", "added p99 µs"]
_STREAMS = ["streams", "CPU µs/event", "of it the store"]
_NOTHING = "–"


def terminal(results: Results) -> str:
    """Aligned columns, then the remarks."""
    tables = [aligned(table) for table in _tables(results)]
    return "\n\n".join([*tables, "\n".join(remarks(results))])


def markdown(results: Results) -> str:
    """The same tables and remarks, ready to be pasted."""
    tables = [piped(table) for table in _tables(results)]
    return "\n\n".join([*tables, "\n".join(f"- {remark}" for remark in remarks(results))])


def as_json(results: Results) -> str:
    """Every round with full precision, and the targets, the ratios to the bare relay."""
    compared = {"targets": targets.told(results), "ratios": ratios(results)}
    return json.dumps(asdict(results) | compared, indent=2, ensure_ascii=False)


def ratios(results: Results) -> dict[str, dict[str, float]]:
    """Row → number → how many times the bare relay's; what has no counterpart there is left out."""
    numbers = _numbers(results)
    base = numbers.get(RELAY, {})
    return {
        row: {name: value / base[name] for name, value in mine.items() if value > 0 and base.get(name, 0) > 0}
        for row, mine in numbers.items()
    }


def remarks(results: Results) -> list[str]:
    """What a reader has to know beside the numbers, complaints last."""
    return [
        *_explained(results),
        *_bounded(results),
        *_compared(results),
        *_disturbed(results),
        *results.complaints,
    ]


def _explained(results: Results) -> Iterator[str]:
    yield f"{results.machine}. {results.cores}."
    yield "In brackets: how many times the bare relay's. Numbers are best of all rounds, p99 the median."
    if DIRECT in results.plain:
        direct = best_plain(results.plain[DIRECT])
        yield (
            f"Added latency is on one connection, over asking the upstream itself: "
            f"{direct.p50_us:.0f} µs (p50), {direct.p99_us:.0f} µs (p99)."
        )


def _bounded(results: Results) -> Iterator[str]:
    """Where the apparatus had no time left. If the subject had, its rate is marked ≥ in the table."""
    full = [
        name for name, rounds in results.plain.items() if name != DIRECT and quickest(rounds).busy.load_full
    ]
    held = [name for name in full if _held_back(results, name)]
    if held:
        yield (
            f"≥: the load generator's core was at least {FULL:.0%} busy and the subject's was not, so it can "
            f"do more than could be asked of it ({', '.join(held)}). Its CPU per request still holds."
        )
    if both := [name for name in full if name not in held]:
        yield (
            f"The load generator's core was at least {FULL:.0%} busy, "
            f"but so was the subject's ({', '.join(both)})."
        )
    for name, rounds in results.streams.items():
        if best_streams(rounds).busy.load_full:
            yield f"The load generator's core was full while streaming through {name}."


def _disturbed(results: Results) -> Iterator[str]:
    """Whether the machine did something else meanwhile; even the best rounds may then say too little."""
    others = [quickest(rounds).busy.others for name, rounds in results.plain.items() if name != DIRECT]
    others += [best_streams(rounds).busy.others for rounds in results.streams.values()]
    if others and max(others) > DISTURBED:
        yield (
            f"Other work on this machine took up to {max(others):.0%} of the subject's core: "
            "the rates and latencies of this run are not to be quoted."
        )


def _compared(results: Results) -> Iterator[str]:
    if HIT in results.plain and CONSTANT in results.plain:
        share = best_plain(results.plain[HIT]).rate / best_plain(results.plain[CONSTANT]).rate
        yield f"A hit is answered at {share:.0%} of the rate at which aiohttp answers a constant."


def _held_back(results: Results, name: str) -> bool:
    return name != DIRECT and quickest(results.plain[name]).busy.held_back


def _numbers(results: Results) -> dict[str, dict[str, float]]:
    """Row → what is compared, under the names that the JSON uses. The same rows serve both tables."""
    numbers: dict[str, dict[str, float]] = {}
    direct = best_plain(results.plain[DIRECT]) if DIRECT in results.plain else None
    for name, rounds in results.plain.items():
        best = best_plain(rounds)
        mine = numbers.setdefault(name, {})
        mine |= {"requests_per_second": best.rate, "cpu_us_per_request": best.cpu_us + best.store_cpu_us}
        if direct and name != DIRECT:
            mine["added_p50_us"] = best.p50_us - direct.p50_us
            mine["added_p99_us"] = best.p99_us - direct.p99_us
    for name, streamed in results.streams.items():
        least = best_streams(streamed)
        numbers.setdefault(name, {})["cpu_us_per_event"] = least.cpu_us + least.store_cpu_us
    for name, memory in results.memory.items():
        numbers.setdefault(name, {}).update({f"bytes_per_stream_{n}": size for n, size in memory.items()})
    return numbers


def _tables(results: Results) -> Iterator[Table]:
    if results.plain:
        yield _plain_table(results)
    if results.streams or results.memory:
        yield _stream_table(results)


def _plain_table(results: Results) -> Table:
    numbers, compared = _numbers(results), ratios(results)
    table = [list(_PLAIN)]
    for name in results.plain:
        mine, ratio = numbers[name], compared[name]
        rate = _cell(mine, ratio, "requests_per_second")
        mark = "≥ " if _held_back(results, name) else ""
        rest = [_cell(mine, ratio, key) for key in ("cpu_us_per_request", "added_p50_us", "added_p99_us")]
        table.append([name, mark + rate, *rest])
    return table


def _stream_table(results: Results) -> Table:
    numbers, compared = _numbers(results), ratios(results)
    sizes = sorted({size for memory in results.memory.values() for size in memory})
    table = [[*_STREAMS, *(f"kB/stream at {size}" for size in sizes)]]
    for name in dict.fromkeys([*results.streams, *results.memory]):
        mine, ratio = numbers[name], compared[name]
        store = best_streams(results.streams[name]).store_cpu_us if name in results.streams else 0.0
        memory = [_cell(mine, ratio, f"bytes_per_stream_{size}", 1000) for size in sizes]
        of_store = f"{store:.1f}" if store else _NOTHING
        table.append([name, _cell(mine, ratio, "cpu_us_per_event"), of_store, *memory])
    return table


def _cell(numbers: dict[str, float], compared: dict[str, float], key: str, unit: int = 1) -> str:
    if key not in numbers:
        return _NOTHING
    value = numbers[key] / unit
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{shown} ({compared[key]:.2f}×)" if key in compared else shown
