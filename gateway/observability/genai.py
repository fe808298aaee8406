"""OpenTelemetry's metrics for clients of generative AI, under the names that Prometheus gives them.

Semantic conventions for generative AI, metrics (Development): dots become underscores, seconds a suffix.
The gateway is the client here, so only calls of an upstream count: no cache hits, no refusals.
"""

from prometheus_client import CollectorRegistry

from gateway.exchange import Exchange, Outcome
from gateway.observability.cells import Cells, HistogramCell, histograms
from gateway.observability.instruments import status_label

# `gen_ai.operation.name` of the endpoints that call a generative model.
_OPERATIONS = {
    "chat.completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "responses": "chat",
    "realtime": "chat",
}
_PROVIDER = "openai"  # whose API every upstream speaks
_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
# The boundaries that the conventions ask for: powers of two, and of four.
_SECONDS = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(4**power for power in range(14))  # whole, as tokens are: compared in half the time


class GenAi:
    """The `gen_ai_client_*` histograms, registered in `registry` and nowhere else."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tokens = histograms(
            registry,
            "gen_ai_client_token_usage",
            "Tokens per call of a model.",
            _TOKENS,
            *(*_LABELS, "gen_ai_token_type"),
        )
        self._duration = histograms(
            registry,
            "gen_ai_client_operation_duration_seconds",
            "Duration of the calls of a model. error_type is empty for those that went well.",
            _SECONDS,
            *(*_LABELS, "error_type"),
        )
        self._first_chunk = histograms(
            registry,
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time to the first chunk of the streamed calls of a model.",
            _SECONDS,
            *_LABELS,
        )
        # Found by one look-up: input, output.
        self._usage = Cells(self._token_types, ("operation", "model"), most=5000)

    def observe(self, exchange: Exchange, model: str, finished: float) -> None:
        """Record an exchange that asked an upstream. `model` is a label, `finished` monotonic seconds."""
        operation = _OPERATIONS.get(exchange.endpoint.name)
        if operation is None:
            return
        duration = self._duration[operation, _PROVIDER, model, _error_type(exchange)]
        duration.observe(finished - exchange.started)
        if (usage := exchange.usage) is not None:
            taken, given = self._usage[operation, model]
            taken.observe(usage.input)
            given.observe(usage.output)
        if (waited := first_token_seconds(exchange)) is not None:
            self._first_chunk[operation, _PROVIDER, model].observe(waited)

    def _token_types(self, of: tuple[str, ...]) -> tuple[HistogramCell, ...]:
        operation, model = of
        return tuple(self._tokens[operation, _PROVIDER, model, each] for each in ("input", "output"))


def first_token_seconds(exchange: Exchange) -> float | None:
    """From a streaming request's head to its answer's first byte; None if there was no such answer."""
    if exchange.first_byte is None or exchange.facts is None or not exchange.facts.stream:
        return None
    return exchange.first_byte - exchange.started if exchange.status < 400 else None


def _error_type(exchange: Exchange) -> str:
    """`error.type`: the gateway's code, else the upstream's status, else how it ended."""
    if exchange.error is not None:
        return exchange.error.code
    if exchange.status >= 400:
        return status_label(exchange.status)
    return "" if exchange.outcome is Outcome.COMPLETE else exchange.outcome.value
