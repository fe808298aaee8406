"""Cells beside the client library's own metrics: fed the same, the page is the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from gateway.observability.cells import GaugeCell, counters, gauges, histograms

BOUNDS = (0.005, 0.1, 1, 2.5, 600)
OPS = st.sampled_from(["get", "put", 'a "quoted"\nop'])


def page(registry: Collector) -> list[str]:
    """Without the times at which series began: those of two registries differ by microseconds."""
    lines = generate_latest(registry).decode().splitlines()
    return [line.rsplit(" ", 1)[0] if "_created{" in line else line for line in lines]


@given(st.lists(st.tuples(OPS, st.integers(0, 10**6))))
def test_counters_are_shown_as_the_library_shows_its_own(events: list[tuple[str, int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = counters(ours, "calls_total", "Calls.", "op")
    library = Counter("calls_total", "Calls.", ["op"], registry=theirs)
    for op, amount in events:
        family[(op,)].inc(amount)
        library.labels(op).inc(amount)
    assert page(ours) == page(theirs)


@given(st.lists(st.tuples(OPS, st.floats(0, 1e4) | st.sampled_from(BOUNDS) | st.integers(0, 10**6))))
def test_histograms_are_shown_as_the_library_shows_its_own(events: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = histograms(ours, "waited_seconds", "Waited.", BOUNDS, "op")
    library = Histogram("waited_seconds", "Waited.", ["op"], buckets=BOUNDS, registry=theirs)
    for op, value in events:
        family[(op,)].observe(value)
        library.labels(op).observe(value)
    assert page(ours) == page(theirs)


def test_gauges_are_shown_as_the_library_shows_its_own() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    gauges(ours, "up", "Up.", "name")[("a",)].set(True)
    Gauge("up", "Up.", ["name"], registry=theirs).labels("a").set(True)
    assert page(ours) == page(theirs)


def test_two_families_of_one_name_are_refused() -> None:
    registry = CollectorRegistry()
    counters(registry, "calls_total", "Calls.", "op")
    with pytest.raises(ValueError, match="calls"):
        counters(registry, "calls_total", "Calls.", "op")


def test_a_full_family_counts_what_is_new_as_other() -> None:
    registry = CollectorRegistry()
    family = counters(registry, "calls", "Calls.", "op", most=3)
    for number in range(1000):
        family[(f"op{number}",)].inc()
    family[("op0",)].inc()
    assert registry.get_sample_value("calls_total", {"op": "op0"}) == 2
    assert registry.get_sample_value("calls_total", {"op": "other"}) == 997
    assert len(family) == 4


def test_what_was_collected_stays_as_it_was() -> None:
    registry = CollectorRegistry()
    cell = histograms(registry, "waited", "Waited.", BOUNDS)[()]
    (before,) = registry.collect()
    cell.observe(1)
    assert max(sample.value for sample in before.samples if sample.name == "waited_bucket") == 0


def test_a_gauge_says_when_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = GaugeCell()
    monkeypatch.setattr(time, "monotonic", lambda: 1234.5)
    cell.set(1)
    assert cell.row(("a",)) == (("a",), 1234.5, 1.0, ())
