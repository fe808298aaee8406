"""How much of each limit is used, as `gateway_limit_used_ratio`."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

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
        self._met: dict[tuple[str, str], tuple[float, float]] = {}  # → ratio, seconds when it is forgotten

    def meet(self, standings: Iterable[Standing], now: float) -> None:
        """A request has met these limits; `now` in seconds by the clock."""
        for standing in standings:
            limit = standing.limit
            name = (limit.scope.removeprefix("key:"), limit.text)
            self._met.pop(name, None)
            forgotten = now + max(standing.reset_ms / 1000, self._memory)
            self._met[name] = (standing.used / limit.amount if limit.amount else 1.0, forgotten)
        while len(self._met) > self._most:
            del self._met[next(iter(self._met))]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._clock()
        self._met = {name: met for name, met in self._met.items() if met[1] > now}
        family = GaugeMetricFamily(
            "gateway_limit_used_ratio",
            "Share of a limit that was used when a request last met it, by key id, team:name or gateway.",
            labels=("key", "limit"),
        )
        for name, (ratio, _) in self._met.items():
            family.add_metric(name, ratio)
        yield family

    def __len__(self) -> int:
        return len(self._met)
