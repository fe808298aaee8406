"""How much of each limit is used, as `gateway_limit_used_ratio`."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.observability.tables import Row, Table, TableMetric
from gateway.policy.records import Standing


class UsedLimits(Collector):
    """The limits that requests have met lately: the `most` of them that were met last.

    A standing is true until its limit is back to full; then, or `memory` seconds after it was met if
    that is later, the limit leaves the table, so that idle clients do not look busy for ever.
    """

    def __init__(self, clock: Callable[[], float], most: int = 1000, memory: float = 60.0) -> None:
        self._clock = clock
        self._most = most
        self._memory = memory
        self._met: dict[tuple[str, str], tuple[Standing, float]] = {}  # by scope and text; seconds when

    def meet(self, standings: Iterable[Standing], now: float) -> None:
        """A request has met these limits; `now` in seconds by the clock."""
        met = self._met
        for standing in standings:
            limit = standing.limit
            name = (limit.scope, limit.text)
            met.pop(name, None)  # what is met again goes to the end
            met[name] = (standing, now)
        while len(met) > self._most:
            del met[next(iter(met))]

    def collect(self) -> Iterator[Metric]:
        now = self._clock()
        self._met = {name: met for name, met in self._met.items() if self._forgotten(*met) > now}
        rows: dict[tuple[str, str], Row] = {}
        for (scope, text), (standing, met) in self._met.items():
            values = (scope.removeprefix("key:"), text)
            amount = standing.limit.amount
            rows[values] = (values, met, standing.used / amount if amount else 1.0, ())
        text = "Share of a limit that was used when a request last met it, by key id, team:name or gateway."
        labels = ("key", "limit")
        yield TableMetric(Table("gateway_limit_used_ratio", "gauge", text, labels, list(rows.values())))

    def _forgotten(self, standing: Standing, met: float) -> float:
        return met + max(standing.reset_ms / 1000, self._memory)

    def __len__(self) -> int:
        return len(self._met)
