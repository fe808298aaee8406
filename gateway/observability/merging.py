"""One page of metrics for many workers, on which no counter goes back when one of them dies."""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from gateway.observability.cells import OTHER
from gateway.observability.page import page
from gateway.observability.snapshot import Merge, Snapshot, read, taken
from gateway.observability.tables import Row, Table, TableMetric

_MOST = 10_000  # rows of a family that the dead have left, as in a family that lives
_FORGOTTEN = 1000  # workers that have ended, and whose last words may still be under way

_GAUGE: dict[Merge, Callable[[float, float], float]] = {"sum": operator.add, "min": min, "max": max}


@dataclass(slots=True)
class _Sum:
    """What several rows with the same labels come to.

    Sums are exact, whatever floats were added in which order: one that is rounded anew when a worker's share
    moves from the living to the dead would go back by its last bit.
    """

    created: float | None = None
    value: int | Fraction = 0
    counts: list[int] = field(default_factory=list)

    def add(self, row: Row) -> None:
        _, created, value, counts = row
        if created is not None:
            self.created = created if self.created is None else min(created, self.created)
        self.value += value if isinstance(value, int) else Fraction(value)
        if counts:
            self.counts = [*map(operator.add, self.counts, counts)] if self.counts else list(counts)

    def row(self, values: tuple[str, ...]) -> Row:
        value = self.value if isinstance(self.value, int) else float(self.value)
        return values, self.created, value, self.counts


class Merged(Collector):
    """The newest snapshot of each worker that lives, and the sum of the last ones of those that died.

    Counters and histograms are sums over all workers there ever were. Gauges are of the living alone: summed,
    the least, the most or the newest, as `snapshot.GAUGES` says. `own` is the registry of the process that
    merges, shown along with them.

    A worker's name says which process it is, and is never used again for another.
    """

    def __init__(self, own: CollectorRegistry | None = None) -> None:
        self._own = own
        self._live: dict[str, Snapshot] = {}
        self._dead: dict[str, None] = {}
        self._shapes: dict[str, Table] = {}  # each family without its rows, in the order of the page
        self._left: dict[str, dict[tuple[str, ...], _Sum]] = {}  # by the dead, of counters and histograms

    def update(self, worker: str, snapshot: bytes) -> None:
        """Take a worker's snapshot in place of its last. One that is older than that, or comes after
        `retire`, is left out: what it counts has been counted.

        Raises msgspec.DecodeError or ValueError if it is no snapshot, or one of other metrics than those
        that are known by these names; it then changes nothing.
        """
        new, last = read(snapshot), self._live.get(worker)
        self._check(new)
        if worker not in self._dead and (last is None or last.taken <= new.taken):
            self._live[worker] = new

    def retire(self, worker: str) -> None:
        """This worker has ended. What it had counted at its last snapshot stays, its gauges do not."""
        self._dead[worker] = None
        if len(self._dead) > _FORGOTTEN:
            del self._dead[next(iter(self._dead))]
        if (last := self._live.pop(worker, None)) is None:
            return
        for _, table in _counted(last):
            left = self._left.setdefault(table.name, {})
            for row in table.rows:
                _left_in(left, row[0]).add(row)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type, as `Telemetry.render` gives them."""
        return page(self, accept)

    def collect(self) -> Iterator[Metric]:
        snapshots = [*self._live.values()]
        if self._own is not None:
            own = taken(self._own)
            self._check(own)
            snapshots.append(own)
        merges: dict[str, Merge] = {}
        parts: dict[str, list[tuple[float, Table]]] = {}
        for snapshot in snapshots:
            for merge, table in snapshot.families:
                merges[table.name] = merge
                parts.setdefault(table.name, []).append((snapshot.taken, table))
        for name, shape in self._shapes.items():
            if shape.kind in ("counter", "histogram"):
                rows = _summed(self._left.get(name, {}), (table for _, table in parts.get(name, ())))
            elif name in parts:
                rows = _gauged(merges[name], parts[name])
            else:
                continue
            yield TableMetric(_with(shape, rows))

    def _check(self, snapshot: Snapshot) -> None:
        shapes = {
            table.name: _with(table, []) for _, table in snapshot.families if table.rows or table.labels
        }
        for name, shape in shapes.items():
            if self._shapes.get(name, shape) != shape:
                raise ValueError(f"{name} is not what it is elsewhere")
        self._shapes |= shapes

    def __repr__(self) -> str:
        return f"<Merged {len(self._live)} workers>"


def _with(table: Table, rows: list[Row]) -> Table:
    return Table(table.name, table.kind, table.text, table.labels, rows, table.bounds, table.per)


def _counted(snapshot: Snapshot) -> Iterator[tuple[Merge, Table]]:
    return (family for family in snapshot.families if family[1].kind in ("counter", "histogram"))


def _left_in(left: dict[tuple[str, ...], _Sum], values: tuple[str, ...]) -> _Sum:
    if values not in left and len(left) >= _MOST:
        values = (OTHER,) * len(values)
    return left.setdefault(values, _Sum())


def _summed(left: dict[tuple[str, ...], _Sum], tables: Iterable[Table]) -> list[Row]:
    sums: dict[tuple[str, ...], _Sum] = {}
    for values, one in left.items():
        sums[values] = _Sum(one.created, one.value, one.counts)
    for table in tables:
        for row in table.rows:
            sums.setdefault(row[0], _Sum()).add(row)
    return [one.row(values) for values, one in sums.items()]


def _gauged(merge: Merge, parts: Iterable[tuple[float, Table]]) -> list[Row]:
    rows: dict[tuple[str, ...], tuple[float, float]] = {}
    for taken_at, table in parts:
        for values, at, value, _ in table.rows:
            at = taken_at if at is None else at
            if values not in rows:
                rows[values] = at, value
            elif merge != "newest":
                rows[values] = at, _GAUGE[merge](rows[values][1], value)
            elif at >= rows[values][0]:
                rows[values] = at, value
    return [(values, at, value, ()) for values, (at, value) in rows.items()]
