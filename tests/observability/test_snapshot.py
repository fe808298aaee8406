import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge

from gateway.observability.snapshot import GAUGES, read, snapshot
from gateway.observability.tables import TableMetric
from tests.deploy.fed import feed, telemetry


def test_holds_all_that_the_registry_shows() -> None:
    fed = telemetry()
    feed(fed)
    data = snapshot(fed.registry)
    shown = {metric.name: metric for metric in fed.registry.collect()}
    tables = {table.name: table for _, table in read(data).families}
    assert [*tables] == [*shown]
    for name, table in tables.items():
        if not name.startswith("process_"):
            assert TableMetric(table).samples == shown[name].samples
    assert len(data) < len(fed.render("")[0]) / 3


def test_every_gauge_says_how_it_is_merged_and_nothing_else_does() -> None:
    fed = telemetry()
    fed.watch_workers(lambda: 1, lambda: 0)
    assert {metric.name for metric in fed.registry.collect() if metric.type in ("gauge", "info")} == {*GAUGES}


def test_a_gauge_of_which_nobody_has_said_how_is_refused() -> None:
    registry = CollectorRegistry()
    Gauge("surprise", "New.", registry=registry)
    with pytest.raises(KeyError, match="surprise"):
        snapshot(registry)


def test_the_later_one_is_the_newer_one() -> None:
    registry = CollectorRegistry()
    assert read(snapshot(registry)).taken <= read(snapshot(registry)).taken


@pytest.mark.parametrize("data", [b"", b"\x90", b"{}", b"\x92\xa1x\x90"])
def test_what_is_no_snapshot_cannot_be_read(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read(data)
