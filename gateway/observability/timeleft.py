"""How long the models that clients use will be there, as `gateway_model_time_left_seconds`."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.observability.tables import Row, Table, TableMetric


class TimeLeft(Collector):
    """`read` is asked at each scrape for the seconds by model. It keeps the models few."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        text = "Time until the announced shutdown of a model that clients ask for; negative: after it."
        rows: list[Row] = [((model,), None, seconds, ()) for model, seconds in self._read().items()]
        yield TableMetric(Table("gateway_model_time_left_seconds", "gauge", text, ("model",), rows))
