import itertools
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from gateway.observability import merging
from gateway.observability.cells import counters, gauges, histograms
from gateway.observability.merging import Merged
from gateway.observability.money import Dollars
from gateway.observability.snapshot import snapshot
from gateway.observability.watches import Watches
from gateway.policy.records import Limit, Standing, Unit, Window
from gateway.telemetry import Telemetry
from tests.deploy.conftest import need
from tests.deploy.fed import feed, telemetry
from tests.exchanges import ended

LIMIT = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, "key:ab12cd")


class Worker:
    """Counters, money, a histogram and a gauge, as a process of its own has them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = counters(self.registry, "calls_total", "Calls.", "op")
        self.spent = Dollars("spent_dollars", "Spent.", "op")
        self.registry.register(self.spent)
        self.waited = histograms(self.registry, "waited", "Waited.", (0.1, 1), "op")
        self.open = gauges(self.registry, "gateway_inflight", "Open.", "kind")

    def totals(self) -> dict[str, tuple[int, int]]:
        """Calls and nano-dollars so far."""
        return {
            op: (self.calls[(op,)].n if (op,) in self.calls else 0, self.spent._sums.get((op,), 0))
            for op in ("get", "put")
        }

    def work(self, op: str, seconds: float) -> None:
        self.calls[(op,)].inc()
        self.spent.add(int(seconds * 1e9), op)
        self.waited[(op,)].observe(seconds)
        self.open[("requests",)].set(seconds)

    def snapshot(self) -> bytes:
        return snapshot(self.registry)


def shown(merged: Merged) -> dict[tuple[str, ...], float]:
    """Each series as Prometheus reads it from the page."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(merged.render("")[0].decode())
        for sample in family.samples
    }


def value(merged: Merged, name: str, *labels: str) -> float | None:
    return shown(merged).get((name, *labels))


def merged_of(*workers: Worker | Telemetry) -> Merged:
    merged = Merged()
    for number, worker in enumerate(workers):
        merged.update(f"{number}", snapshot(worker.registry))
    return merged


@dataclass
class Crew:
    """Workers that work, are read and die in any order; and what they have told before they died."""

    merged: Merged = field(default_factory=Merged)
    names: Iterator[int] = field(default_factory=itertools.count)
    alive: dict[str, Worker] = field(default_factory=dict)
    told: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)

    def act(self, step: tuple[str, int, str, float]) -> None:
        verb, which, op, seconds = step
        if verb == "start" or not self.alive:
            self.alive[f"w{next(self.names)}"] = Worker()
            return
        name = sorted(self.alive)[which % len(self.alive)]
        if verb == "work":
            self.alive[name].work(op, seconds)
        elif verb == "read":
            self.merged.update(name, self.alive[name].snapshot())
            self.told[name] = self.alive[name].totals()
        else:
            late = self.alive.pop(name).snapshot()
            self.merged.retire(name)
            if verb == "die late":  # its last words were under way
                self.merged.update(name, late)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "work", "work", "work", "read", "read", "die", "die late"]),
        st.integers(0, 9),
        st.sampled_from(["get", "put"]),
        st.floats(0, 100, allow_subnormal=False) | st.sampled_from([0.1, 1e-9, 1 / 3]),
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_that_is_counted_ever_goes_back(steps: list[tuple[str, int, str, float]]) -> None:
    crew, before = Crew(), dict[tuple[str, ...], float]()
    for step in steps:
        crew.act(step)
        now = {
            series: number
            for series, number in shown(crew.merged).items()
            if series[0] != "gateway_inflight" and not series[0].endswith("_created")
        }
        assert all(now[series] >= number for series, number in before.items())
        before = now


@given(STEPS)
def test_what_everybody_has_said_last_is_what_is_shown(steps: list[tuple[str, int, str, float]]) -> None:
    crew = Crew()
    for step in steps:
        crew.act(step)
    page = shown(crew.merged)
    for op in ("get", "put"):
        said = [one[op] for one in crew.told.values()]
        assert page.get(("calls_total", op), 0) == sum(calls for calls, _ in said)
        assert page.get(("waited_count", op), 0) == sum(calls for calls, _ in said)
        assert round(page.get(("spent_dollars_total", op), 0) * 1e9) == sum(nano for _, nano in said)


def test_one_worker_is_shown_as_it_shows_itself() -> None:
    fed = telemetry()
    feed(fed)
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        alone, merged = fed.render(accept), merged_of(fed).render(accept)
        assert merged[1] == alone[1]
        assert _steady(merged[0]) == _steady(alone[0])


def _steady(page: bytes) -> list[bytes]:
    return [line for line in page.splitlines() if not line.startswith(b"process_")]


def test_sums_what_two_have_counted() -> None:
    one, other = Worker(), Worker()
    one.work("get", 0.5)
    other.work("get", 5)
    other.work("put", 5)
    merged = merged_of(one, other)
    assert value(merged, "calls_total", "get") == 2
    assert value(merged, "waited_bucket", "1.0", "get") == 1
    assert value(merged, "waited_bucket", "+Inf", "get") == 2
    assert value(merged, "waited_sum", "get") == 5.5
    assert value(merged, "calls_total", "put") == 1


def test_a_worker_that_died_and_the_one_in_its_place_are_counted_once_each() -> None:
    merged, first, second = Merged(), Worker(), Worker()
    first.work("get", 1)
    merged.update("1/a", first.snapshot())
    merged.retire("1/a")
    merged.retire("1/a")
    merged.update("1/a", first.snapshot())  # was under way
    assert value(merged, "calls_total", "get") == 1
    second.work("get", 1)
    merged.update("1/b", second.snapshot())
    merged.update("1/b", second.snapshot())
    assert value(merged, "calls_total", "get") == 2
    assert repr(merged) == "<Merged 1 workers>"


def test_an_older_snapshot_does_not_take_the_place_of_a_newer_one() -> None:
    merged, worker = Merged(), Worker()
    worker.work("get", 1)
    older = worker.snapshot()
    worker.work("get", 1)
    merged.update("1", worker.snapshot())
    merged.update("1", older)
    assert value(merged, "calls_total", "get") == 2


def test_the_gauges_of_the_dead_are_gone() -> None:
    worker = Worker()
    worker.work("get", 7)
    merged = merged_of(worker, worker)
    assert value(merged, "gateway_inflight", "requests") == 14
    merged.retire("0")
    assert value(merged, "gateway_inflight", "requests") == 7


def test_a_series_began_when_the_first_of_them_did() -> None:
    one, other = Worker(), Worker()
    one.work("get", 1)
    other.work("get", 1)
    one.calls[("get",)].created, other.calls[("get",)].created = 5.0, 3.0
    merged = merged_of(one, other)
    assert value(merged, "calls_created", "get") == 3.0
    merged.retire("1")
    assert value(merged, "calls_created", "get") == 3.0


def test_each_gauge_is_merged_as_it_says() -> None:
    one, other = telemetry(), Telemetry(clock=lambda: 103.0)
    other.watch_store(lambda: False)
    other.watch_reset(lambda: True)
    other.watch_journal(lambda: 5, lambda: 3)
    other.watch_endings(lambda: {"gpt-4o": 100})
    one.draining(True)
    other.started(ended(finished=None))
    one.observe(ended(finished=102.0, standings=(Standing(LIMIT, 15, 0, 10**6),)))
    other.observe(ended(finished=103.0, standings=(Standing(LIMIT, 30, 0, 10**6),)))
    one.upstream_outcome("openai", "ok")
    other.upstream_outcome("openai", "unreachable")
    for merged in (merged_of(one, other), merged_of(other, one)):
        page = shown(merged)
        assert page["gateway_store_up",] == 0
        assert page["gateway_store_reset",] == 1
        assert page["gateway_journal_entries",] == 5
        assert page["gateway_journal_replayed_total",] == 5
        assert page["gateway_draining",] == 1
        assert page["gateway_inflight", "requests"] == 1
        assert page["gateway_limit_used_ratio", "60 requests/minute", "ab12cd"] == 0.5
        assert page["gateway_upstream_up", "openai"] == 0
        assert page["gateway_model_time_left_seconds", "gpt-4o"] == 100
        assert sum(name == "gateway_build_info" for name, *_ in page) == 1


def test_the_process_that_merges_shows_what_it_keeps_itself() -> None:
    own = Watches(CollectorRegistry())
    own.watch_workers(lambda: 4, lambda: 9)
    merged = Merged(own.registry)
    assert value(merged, "gateway_workers") == 4
    merged.update("1", Worker().snapshot())
    assert value(merged, "gateway_worker_restarts_total") == 9


def test_what_is_no_snapshot_changes_nothing() -> None:
    worker = Worker()
    worker.work("get", 1)
    merged = merged_of(worker)
    with pytest.raises(msgspec.DecodeError):
        merged.update("0", b"\x90")
    stranger = CollectorRegistry()
    counters(stranger, "calls_total", "Calls.", "by")[("us",)].inc()
    with pytest.raises(ValueError, match="calls"):
        merged.update("0", snapshot(stranger))
    assert value(merged, "calls_total", "get") == 1


def test_a_metric_without_a_label_yet_is_no_stranger() -> None:
    early, late = CollectorRegistry(), CollectorRegistry()
    for registry in (early, late):
        gauge = Gauge("gateway_inflight", "Open.", ["kind"], registry=registry)
    gauge.labels("requests").set(2)
    merged = Merged()
    merged.update("1", snapshot(early))
    merged.update("2", snapshot(late))
    assert value(merged, "gateway_inflight", "requests") == 2


def test_the_dead_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_MOST", 10)
    merged = Merged()
    for number in range(2000):
        worker = Worker()
        worker.work(f"op{number}", 1)
        merged.update(f"{number}", worker.snapshot())
        merged.retire(f"{number}")
    assert value(merged, "calls_total", "other") == 1990
    assert len(merged._dead) == 1000


def test_promtool_has_no_complaint_about_the_merged_page() -> None:
    workers = [telemetry() for _ in range(4)]
    for worker in workers[:3]:
        feed(worker)
    own = Watches(CollectorRegistry())
    own.watch_workers(lambda: 4, lambda: 1)
    merged = Merged(own.registry)
    for number, worker in enumerate(workers):
        merged.update(f"{number}", snapshot(worker.registry))
    merged.retire("0")
    checked = subprocess.run(
        [need("promtool"), "check", "metrics"], input=merged.render("")[0], capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_many_small_sums_do_not_drift() -> None:
    rng, merged, exact = random.Random(7), Merged(), 0
    for number in range(300):
        worker = Worker()
        for _ in range(20):
            nano = rng.randrange(10**10)
            worker.spent.add(nano, "get")
            exact += nano
        merged.update(f"{number}", worker.snapshot())
        merged.retire(f"{number}")
    assert round((value(merged, "spent_dollars_total", "get") or 0) * 1e9) == exact


def test_not_even_the_last_bit_of_a_sum_goes_back_when_a_worker_dies() -> None:
    rng = random.Random(7)
    for _ in range(50):
        workers = [Worker() for _ in range(3)]
        for worker in workers:
            worker.work("get", rng.random())
        merged = merged_of(*workers)
        sums = [value(merged, "waited_sum", "get")]
        for name in ("2", "1", "0"):
            merged.retire(name)
            sums.append(value(merged, "waited_sum", "get"))
        assert len(set(sums)) == 1
