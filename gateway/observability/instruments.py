"""What is counted: the Prometheus instruments, their labels and their buckets.

Their names are what users script against; the `gen_ai_*` ones beside them are in `genai`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from gateway.observability.cells import OTHER, Cells, CounterCell, counters, gauges, histograms

Metric = TypeVar("Metric", bound=MetricWrapperBase)

NONE = "none"

# From a cache hit to the longest reasoning that a client's read time-out (600 s in OpenAI's SDKs) waits for.
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Family(Cells[Metric]):
    """The children of a metric of the client library's own, for gauges that call a function when they are
    shown: `family["a", "b"].set_function(read)`. A look-up here costs a tenth of `labels()`.
    """

    def __init__(self, metric: Metric, labels: tuple[str, ...], most: int = 10_000) -> None:
        super().__init__(lambda values: metric.labels(*values), labels, most)


class Tally(Collector):
    """A counter that somebody else keeps: `count` is asked at each scrape."""

    def __init__(self, name: str, text: str, count: Callable[[], int]) -> None:
        self._name, self._text, self._count = name, text, count

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._count())


_STATUSES = {status: str(status) for status in range(100, 600)}


def status_label(status: int) -> str:
    """A status as a label. An upstream may invent some; three digits from 1 to 5 are all that HTTP has."""
    return _STATUSES.get(status, OTHER)


class Instruments:
    """Every instrument that an event feeds, registered in `registry` and nowhere else."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(counters, registry), partial(gauges, registry)
        histogram = partial(histograms, registry)

        self.requests = counter(
            "gateway_requests_total",
            "Requests that have ended, by the status that was sent (499: the client left before one was).",
            *("endpoint", "model", "team", "status", "cache"),
        )
        self.duration = histogram(
            "gateway_request_duration_seconds",
            "From the request's head to the end of its answer.",
            _REQUEST_SECONDS,
            "endpoint",
        )
        self.overhead = histogram(
            "gateway_overhead_seconds",
            "The gateway's own share of the time to the first byte: all but the waiting for the upstream.",
            _OVERHEAD_SECONDS,
            "endpoint",
        )
        self.first_token = histogram(
            "gateway_time_to_first_token_seconds",
            "From a streaming request's head to the first byte of its answer, cached answers included.",
            _FIRST_TOKEN_SECONDS,
            *("endpoint", "model"),
        )
        self.tokens = counter(
            "gateway_tokens_total",
            "Tokens that an upstream was asked for. input includes cached, output includes reasoning.",
            *("model", "team", "kind"),
        )
        # What every call has, found by one look-up: input, output, cached, reasoning.
        self.usual_tokens = Cells(self._usual_tokens, ("model", "team"), most=2500)
        self.cache = counter(
            "gateway_cache_requests_total", "Requests by what the cache did for them.", "result"
        )
        self.rejected = counter(
            "gateway_rejected_total", "Errors that the gateway itself answered, by their code.", "reason"
        )
        self.settlements = counter(
            "gateway_settlements_total",
            "Requests charged, by where the number of tokens came from.",
            "source",
        )
        self.shadow_refusals = counter(
            "gateway_shadow_refusals_total",
            "Requests that a limit in shadow mode would have refused, by the limit.",
            "limit",
            most=1000,
        )
        self.shared_requests = counter(
            "gateway_shared_requests_total",
            "Requests admitted by this process's own share, because the store was away.",
        )[()]
        self.alerts = counter(
            "gateway_alerts_total", "Notices to the webhook of budgets, by what became of them.", "outcome"
        )
        self.upstream_requests = counter(
            "gateway_upstream_requests_total",
            "Calls of upstreams by how they ended.",
            *("upstream", "outcome"),
        )
        self.upstream_up = gauge(
            "gateway_upstream_up", "1 when the last call of this upstream brought an answer.", "upstream"
        )
        self.store_errors = counter(
            "gateway_store_errors_total", "Calls of the store that failed, by operation.", "op"
        )
        text = "Requests under way, and those of them that stream."
        self.inflight = Family(Gauge("gateway_inflight", text, ["kind"], registry=registry), ("kind",))
        self.draining = Gauge(
            "gateway_draining",
            "1 while the gateway finishes what it has begun and takes nothing new.",
            registry=registry,
        )

    def _usual_tokens(self, of: tuple[str, ...]) -> tuple[CounterCell, ...]:
        return tuple(self.tokens[*of, kind] for kind in ("input", "output", "cached", "reasoning"))
