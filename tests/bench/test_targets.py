"""The table of targets: ratios of rows of one run, and what each is worth."""

import json
from dataclasses import replace

import pytest

from bench import report, targets
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
    Shares,
    StreamRound,
    WorkersRound,
)


def plain(rate: float, p50: float = 300.0) -> PlainRound:
    return PlainRound(rate, 100.0, 0.0, p50, 2 * p50, 0, Shares(own=0.9, others=0.0, load=0.5))


def streamed(cpu: float, store: float = 0.0) -> StreamRound:
    return StreamRound(10_000, cpu, store, 0, Shares(0.2, 0.0, 0.1))


@pytest.fixture
def results() -> Results:
    return Results(
        "A machine",
        "Two cores",
        plain={
            DIRECT: [plain(80_000, 20)],
            MISS: [plain(18_000, 140), plain(20_000, 120)],
            HIT: [plain(45_000)],
            RELAY: [plain(10_000, 220), plain(8_000, 270)],
            CONSTANT: [plain(30_000)],
        },
        streams={STREAM: [streamed(14, 1), streamed(11, 1)], RELAY: [streamed(25), streamed(24)]},
        memory={STREAM: {200: 40_000.0, 1000: 20 * 1024.0}},
        filled={EMPTY: [100.0, 101.0, 150.0], FILLED: [104.0, 105.0, 103.0]},
        workers={1: [WorkersRound(9_000, 0.9, 0.0)], 2: [WorkersRound(15_000, 1.5, 0.1)]},
        idle={1: [90e6], 2: [60e6, 70e6]},
        starts=[0.9, 0.6, 0.65],
    )


def told(results: Results) -> dict[str, tuple[object, object]]:
    rows = targets.told(results)
    return {str(row["target"]).split(",")[0]: (row["measured"], row["verdict"]) for row in rows}


def test_ratios_are_those_of_the_best_rounds(results: Results) -> None:
    assert told(results) == {
        "misses/s": (2.0, "reached"),
        "hits/s": (1.5, "reached"),
        "added p50": (0.5, "reached"),  # (120 - 20) / (220 - 20)
        "CPU per SSE event": (0.5, "reached"),  # the store's among it
        "memory per open stream": (20.0, "aim reached"),
        "p50 on a filled store": (pytest.approx(104 / 101), "reached"),  # medians
        "two workers": (pytest.approx(1.875), "reached"),  # 15,000 by 1.6 cores, against 9,000 by 0.9
        "memory of an idle worker": (90.0, "reached"),  # the largest
        "start to first answer": (0.65, "aim reached"),  # the median
    }


def test_what_was_not_measured_is_said_to_be_not_measured() -> None:
    rows = targets.told(Results("A machine", "Two cores"))
    assert {row["verdict"] for row in rows} == {"not measured"}
    assert "not measured" in targets.terminal(Results("A machine", "Two cores"))


def test_single_rounds_stand_beside_the_number(results: Results) -> None:
    rows = {str(row["target"]): row for row in targets.told(results)}
    assert rows["misses/s, against the bare relay"]["rounds"] == [1.8, 2.5]
    line = next(line for line in targets.markdown(results).splitlines() if line.startswith("| misses"))
    assert line == "| misses/s, against the bare relay | 2 × | 5 × | 2 × | 1.80 to 2.50 | reached |"


def test_a_number_that_is_printed_as_the_target_has_reached_it() -> None:
    less = next(target for target in targets.TARGETS if target.at_least == 0.8)
    assert [less.verdict(value) for value in (0.24, 0.254, 0.26, 0.8, 0.81)] == [
        *("aim reached", "aim reached", "reached", "reached", "missed"),
    ]
    more = next(target for target in targets.TARGETS if target.at_least == 1.8)
    assert [more.verdict(value) for value in (1.95, 1.9, 1.79)] == ["aim reached", "reached", "missed"]


def test_what_nobody_used_counts_against_the_workers(results: Results) -> None:
    idle = replace(results.workers[2][0], idle=0.5)
    results.workers[2] = [idle]
    assert told(results)["two workers"] == (pytest.approx(1.5), "missed")


def test_a_relay_as_quick_as_the_upstream_is_no_yardstick(results: Results) -> None:
    results.plain[RELAY] = [plain(10_000, 20)]
    assert told(results)["added p50"] == (None, "not measured")


def test_json_of_a_run_has_the_targets(results: Results) -> None:
    rows = json.loads(report.as_json(results))["targets"]
    assert [row["target"] for row in rows] == [target.name for target in targets.TARGETS]
    assert {row["verdict"] for row in rows} == {"reached", "aim reached"}
