"""A metric family as plain rows: what cells give, what travels between processes, and what a page shows.

The client library's own form, a `Sample` with a dict of labels for each line of the page, takes 2 µs a line
to make. A worker that is read each second need not make them: its families hand out their rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import accumulate
from typing import Literal

import msgspec
from prometheus_client import Counter, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

# Label values; when it was made (a gauge: set; None: nobody says), in seconds; the value (a histogram: the
# sum of what it was shown); a histogram's counts, one for each bucket alone, the last one for +Inf.
Row = tuple[tuple[str, ...], float | None, int | float, Sequence[int]]
Kind = Literal["counter", "gauge", "histogram", "info"]

_number: Callable[[float], str] = floatToGoString
# Whether the client library is to show `_created` (PROMETHEUS_DISABLE_CREATED_SERIES), which ours follow.
_CREATED = len(next(iter(Counter("any", "Any.", registry=None).collect())).samples) == 2


class Table(msgspec.Struct, array_like=True, frozen=True):
    """One family. `name` has no `_total`; values are shown divided by `per`; `bounds` leaves out +Inf."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...]
    rows: list[Row]
    bounds: tuple[float, ...] = ()
    per: int = 1


class TableMetric(Metric):
    """A table as the client library wants it. The samples are made when somebody asks for them."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.name, table.text, table.kind)
        del self.samples
        self.table = table

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]  # assigned to, where it may be
        return _SAMPLES[self.table.kind](self.table)


def table_of(metric: Metric) -> Table:
    """Any family of the client library's, of a kind that the gateway has. Raises ValueError for others."""
    if isinstance(metric, TableMetric):
        return metric.table
    if metric.type not in ("counter", "gauge", "info"):
        raise ValueError(f"{metric.name} is a {metric.type}, and only cells have those")
    created = {_key(one.labels): one.value for one in metric.samples if one.name.endswith("_created")}
    shown = [one for one in metric.samples if metric.type != "counter" or one.name.endswith("_total")]
    labels = tuple(sorted({name for one in shown for name in one.labels}))
    rows: list[Row] = [
        (tuple(one.labels[name] for name in labels), created.get(_key(one.labels)), one.value, ())
        for one in shown
    ]
    return Table(metric.name, metric.type, metric.documentation, labels, rows)  # type: ignore[arg-type]


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _counter(table: Table) -> list[Sample]:
    samples = []
    for values, created, value, _ in table.rows:
        labels = dict(zip(table.labels, values, strict=True))
        samples.append(Sample(f"{table.name}_total", labels, value / table.per))
        samples += _created(table, labels, created)
    return samples


def _gauge(table: Table) -> list[Sample]:
    name = f"{table.name}_info" if table.kind == "info" else table.name
    return [
        Sample(name, dict(zip(table.labels, values, strict=True)), value)
        for values, _, value, _ in table.rows
    ]


def _histogram(table: Table) -> list[Sample]:
    bucket, samples = f"{table.name}_bucket", []
    for values, created, total, counts in table.rows:
        labels = dict(zip(table.labels, values, strict=True))
        samples += [
            Sample(bucket, {**labels, "le": bound}, count)
            for bound, count in zip(_written(table.bounds), accumulate(counts), strict=True)
        ]
        samples.append(Sample(f"{table.name}_count", labels, sum(counts)))
        samples.append(Sample(f"{table.name}_sum", labels, total))
        samples += _created(table, labels, created)
    return samples


_SAMPLES: dict[Kind, Callable[[Table], list[Sample]]] = {
    "counter": _counter,
    "gauge": _gauge,
    "info": _gauge,
    "histogram": _histogram,
}


@cache
def _written(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(_number(bound) for bound in (*bounds, float("inf")))


def _created(table: Table, labels: dict[str, str], created: float | None) -> Iterable[Sample]:
    if created is not None and _CREATED:
        yield Sample(f"{table.name}_created", labels, created)
