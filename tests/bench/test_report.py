"""The benchmark's tables say what was measured: they are read back here and compared with it."""

import json
import re
from dataclasses import replace

import pytest

from bench import report
from bench.results import (
    CONSTANT,
    DIRECT,
    HIT,
    RELAY,
    PlainRound,
    Results,
    Shares,
    StreamRound,
    best_plain,
    best_streams,
)


def plain(
    rate: float, cpu: float = 100.0, p50: float = 300.0, *, load: float = 0.5, others: float = 0.0
) -> PlainRound:
    return PlainRound(
        rate=rate,
        cpu_us=cpu,
        store_cpu_us=0.0,
        p50_us=p50,
        p99_us=2 * p50,
        failed=0,
        busy=Shares(own=rate * cpu / 1e6, others=others, load=load),
    )


def streamed(cpu: float, store: float = 0.0, wrong: int = 0) -> StreamRound:
    return StreamRound(events=10_000, cpu_us=cpu, store_cpu_us=store, wrong=wrong, busy=Shares(0.2, 0.0, 0.1))


@pytest.fixture
def results() -> Results:
    return Results(
        machine="A machine",
        cores="Two cores",
        plain={
            DIRECT: [plain(80_000, 6, 20)],
            "gateway, miss": [plain(5_000, 200, 420)],
            HIT: [plain(15_000, 50, 120)],
            RELAY: [plain(9_000, 110, 220), plain(10_000, 100, 220)],
            "nginx proxy_pass": [plain(60_000, 15, 120, load=0.97)],
            CONSTANT: [plain(30_000, 30, 90)],
        },
        streams={"gateway, stream": [streamed(30, 2)], RELAY: [streamed(25)]},
        memory={"gateway, stream": {200: 40_000.0, 1000: 50_000.0}, RELAY: {200: 20_000.0, 1000: 25_000.0}},
    )


def read_markdown(text: str) -> dict[str, dict[str, str]]:
    """Row → column → cell, of all tables."""
    rows: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for line in [*text.splitlines(), ""]:
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif set(cells[0]) != {"-"}:
            rows.setdefault(cells[0], {}).update(zip(header[1:], cells[1:], strict=True))
    return rows


def number(cell: str) -> tuple[float, float]:
    """(the number, its ratio to the relay)"""
    found = re.fullmatch(r"(?:≥ )?(-?[\d,.]+) \(([\d.]+)×\)", cell)
    assert found is not None, cell
    return float(found[1].replace(",", "")), float(found[2])


def test_markdown_reads_back_as_measured(results: Results) -> None:
    rows = read_markdown(report.markdown(results))
    assert list(rows) == [*results.plain, "gateway, stream"]
    miss = rows["gateway, miss"]
    assert number(miss["requests/s"]) == (5_000, 0.5)
    assert number(miss["CPU µs/request"]) == (200, 2)
    assert number(miss["added p50 µs"]) == (400, 2)  # 420 - 20, against 220 - 20
    assert number(miss["added p99 µs"]) == (800, 2)
    stream = rows["gateway, stream"]
    assert number(stream["CPU µs/event"]) == (32, 1.28)  # the gateway and its store
    assert stream["of it the store"] == "2.0"
    assert number(stream["kB/stream at 200"]) == (40, 2)
    assert number(stream["kB/stream at 1000"]) == (50, 2)


def test_terminal_table_has_the_cells_of_the_markdown_one(results: Results) -> None:
    lines = report.terminal(results).splitlines()
    for name, cells in read_markdown(report.markdown(results)).items():
        shown = " ".join(line for line in lines if line.startswith(name))
        assert all(cell in shown for cell in cells.values())


def test_terminal_columns_are_aligned(results: Results) -> None:
    table = report.terminal(results).split("\n\n")[0].splitlines()
    assert len({len(line) for line in table}) == 1


def test_json_has_every_round_and_the_ratios(results: Results) -> None:
    told = json.loads(report.as_json(results))
    assert [one["rate"] for one in told["plain"][RELAY]] == [9_000, 10_000]
    assert told["ratios"]["gateway, miss"]["requests_per_second"] == pytest.approx(0.5)
    assert told["ratios"]["gateway, stream"]["bytes_per_stream_200"] == pytest.approx(2)
    assert told["ratios"][RELAY]["cpu_us_per_event"] == 1


def test_each_number_is_the_best_of_its_rounds() -> None:
    best = best_plain([plain(9_000, 90, 400, load=0.2), plain(10_000, 100, 300, load=0.4)])
    assert (best.rate, best.cpu_us, best.p50_us, best.busy.load) == (10_000, 90, 300, 0.4)
    assert best_streams([streamed(30, 5, wrong=1), streamed(32, 1, wrong=2)]) == streamed(32, 1, wrong=3)


def test_a_tail_is_not_hidden_by_the_best_round() -> None:
    rounds = [replace(plain(9_000), p99_us=p99) for p99 in (40_000, 500, 50_000)]
    assert best_plain(rounds).p99_us == 40_000


def test_a_full_load_generator_is_marked_and_explained(results: Results) -> None:
    rows = read_markdown(report.markdown(results))
    assert rows["nginx proxy_pass"]["requests/s"].startswith("≥ ")
    assert not rows[RELAY]["requests/s"].startswith("≥")
    explained = [remark for remark in report.remarks(results) if remark.startswith("≥")]
    assert len(explained) == 1
    assert "nginx proxy_pass" in explained[0]
    assert RELAY not in explained[0]


def test_a_full_load_generator_did_not_hold_back_a_subject_that_was_full_itself(results: Results) -> None:
    results.plain[RELAY] = [plain(10_000, 99, load=0.99)]
    assert not read_markdown(report.markdown(results))[RELAY]["requests/s"].startswith("≥")
    assert any("so was the subject's" in remark and RELAY in remark for remark in report.remarks(results))


def test_other_work_on_the_machine_is_told(results: Results) -> None:
    results.plain[DIRECT] = [plain(80_000, 6, 20, others=1.0)]  # it does not run on that core
    assert not any("Other work" in remark for remark in report.remarks(results))
    results.plain[RELAY] = [plain(9_000, others=0.05), plain(10_000, others=0.4)]
    assert any("Other work" in remark and "40%" in remark for remark in report.remarks(results))


def test_hits_are_compared_with_a_constant(results: Results) -> None:
    assert any("50%" in remark and "constant" in remark for remark in report.remarks(results))


def test_without_the_relay_there_are_no_ratios(results: Results) -> None:
    for rows in (results.plain, results.streams, results.memory):
        rows.pop(RELAY)
    assert "×" not in read_markdown(report.markdown(results))["gateway, miss"]["requests/s"]
    assert set(map(len, json.loads(report.as_json(results))["ratios"].values())) == {0}


def test_faster_than_the_upstream_has_a_difference_but_no_ratio(results: Results) -> None:
    results.plain[HIT] = [plain(15_000, 50, 15)]
    assert read_markdown(report.markdown(results))[HIT]["added p50 µs"] == "-5.0"


def test_complaints_come_last(results: Results) -> None:
    results.complaints = ["gateway left out: it did not start"]
    assert report.terminal(results).endswith("gateway left out: it did not start")
    assert report.markdown(results).endswith("- gateway left out: it did not start")


def test_nothing_measured_is_no_table() -> None:
    empty = Results("A machine", "Two cores", complaints=["nothing ran"])
    assert "nothing ran" in report.terminal(empty)
    assert read_markdown(report.markdown(empty)) == {}
