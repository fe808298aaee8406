import pytest
from prometheus_client import CollectorRegistry

from gateway.errors import UpstreamTimeout
from gateway.exchange import Exchange, Outcome
from gateway.observability.genai import GenAi, first_token_seconds
from tests.exchanges import MODEL, asking, ended

CHAT = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "openai",
    "gen_ai_request_model": MODEL,
}


def observed(exchange: Exchange) -> CollectorRegistry:
    registry = CollectorRegistry()
    GenAi(registry).observe(exchange, MODEL, 102.0)
    return registry


def test_observes_tokens_duration_and_first_chunk() -> None:
    registry = observed(ended(facts=asking(stream=True)))
    tokens = {
        kind: registry.get_sample_value("gen_ai_client_token_usage_sum", CHAT | {"gen_ai_token_type": kind})
        for kind in ("input", "output")
    }
    assert tokens == {"input": 7, "output": 5}
    duration = "gen_ai_client_operation_duration_seconds_sum"
    assert registry.get_sample_value(duration, CHAT | {"error_type": ""}) == 2.0
    first = "gen_ai_client_operation_time_to_first_chunk_seconds_sum"
    assert registry.get_sample_value(first, CHAT) == 1.75


@pytest.mark.parametrize(
    ("exchange", "error_type"),
    [
        (ended(error=UpstreamTimeout("silent"), status=504), "upstream_timeout"),
        (ended(status=429, outcome=Outcome.UPSTREAM_ERROR), "429"),
        (ended(outcome=Outcome.CLIENT_GONE), "client_gone"),
    ],
)
def test_says_what_went_wrong(exchange: Exchange, error_type: str) -> None:
    duration = "gen_ai_client_operation_duration_seconds_count"
    assert observed(exchange).get_sample_value(duration, CHAT | {"error_type": error_type}) == 1


def test_listing_models_is_no_operation_of_a_model() -> None:
    registry = observed(ended("models.list", usage=None))
    assert all(not metric.samples for metric in registry.collect())


def test_only_streams_that_went_well_have_a_first_token() -> None:
    streaming = asking(stream=True)
    assert first_token_seconds(ended(facts=streaming)) == 1.75
    assert first_token_seconds(ended(facts=streaming, status=400)) is None
    assert first_token_seconds(ended(facts=streaming, first_byte=None)) is None
    assert first_token_seconds(ended()) is None
