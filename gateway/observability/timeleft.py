"""How long the models that clients use will be there, as `gateway_model_time_left_seconds`."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class TimeLeft(Collector):
    """`read` is asked at each scrape for the seconds by model. It keeps the models few."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "gateway_model_time_left_seconds",
            "Time until the announced shutdown of a model that clients ask for; negative: after it.",
            labels=("model",),
        )
        for model, seconds in self._read().items():
            family.add_metric((model,), seconds)
        yield family
