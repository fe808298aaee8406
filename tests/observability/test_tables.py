import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Info, Metric, Summary, generate_latest
from prometheus_client.registry import Collector

from gateway.observability.tables import Table, TableMetric, table_of


class Shown(Collector):
    def __init__(self, *tables: Table) -> None:
        self._tables = tables

    def collect(self) -> list[Metric]:
        return [TableMetric(table) for table in self._tables]


def only(registry: CollectorRegistry) -> Metric:
    (metric,) = registry.collect()
    return metric


def page(*tables: Table) -> list[str]:
    registry = CollectorRegistry()
    registry.register(Shown(*tables))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_histogram_is_shown_bucket_upon_bucket() -> None:
    rows = [(("get",), 5.0, 2.5, [2, 0, 1])]
    assert page(Table("waited", "histogram", "Waited.", ("op",), rows, (0.5, 1))) == [  # type: ignore[arg-type]
        'waited_bucket{le="0.5",op="get"} 2.0',
        'waited_bucket{le="1.0",op="get"} 2.0',
        'waited_bucket{le="+Inf",op="get"} 3.0',
        'waited_count{op="get"} 3.0',
        'waited_sum{op="get"} 2.5',
        'waited_created{op="get"} 5.0',
    ]


def test_a_counter_is_divided_once_when_it_is_shown() -> None:
    table = Table("spent", "counter", "Spent.", (), [((), None, 1_000_000_007, ())], per=10**9)
    assert page(table) == ["spent_total 1.000000007"]


def test_the_library_sees_no_difference() -> None:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", ["op", "by"], registry=registry).labels("get", 'a "b"\n').inc(3)
    Gauge("up", "Up.", registry=registry).set(2)
    Info("build", "Built.", registry=registry).info({"version": "1", "arch": "x"})
    through = CollectorRegistry()
    through.register(Shown(*map(table_of, registry.collect())))
    assert generate_latest(through) == generate_latest(registry)


def test_a_table_comes_back_as_it_is() -> None:
    table = Table("up", "gauge", "Up.", (), [((), None, 1, ())])
    assert table_of(TableMetric(table)) is table


def test_a_kind_that_the_gateway_has_not_is_refused() -> None:
    registry = CollectorRegistry()
    Summary("sizes", "Sizes.", registry=registry)
    with pytest.raises(ValueError, match="sizes is a summary"):
        table_of(only(registry))
