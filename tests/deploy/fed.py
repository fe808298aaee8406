"""A telemetry that has seen everything once."""

from typing import Any

from gateway.errors import QuotaExceeded, RateLimited
from gateway.exchange import Exchange, Outcome
from gateway.policy.records import Limit, Standing, Unit, Usage, Window
from gateway.telemetry import Telemetry
from tests.exchanges import MODEL, asking, ended

_LIMIT = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, "key:ab12cd")


def telemetry() -> Telemetry:
    made = Telemetry({MODEL}, lambda name: True, clock=lambda: 102.0)
    made.watch_store(lambda: True)
    made.watch_log(lambda: 0)
    return made


def exchanges() -> list[Exchange]:
    """One of each kind: answered, streamed, cached, refused, failed."""
    refused: dict[str, Any] = {
        "status": 429,
        "outcome": Outcome.REFUSED,
        "dispatched": False,
        "upstream": None,
        "usage": None,
    }
    return [
        ended(standings=(Standing(_LIMIT, used=15, retry_ms=0, reset_ms=15_000),)),
        ended(facts=asking(stream=True)),
        ended(facts=asking("invented"), sent_model="invented"),
        ended("embeddings", usage=Usage(input=4, estimated=True)),
        ended(cache="hit", dispatched=False, upstream=None),
        ended(cache="joined", dispatched=False),
        ended(cache="bypass"),
        ended(**refused, error=RateLimited("60 requests/minute")),
        ended(**refused, error=QuotaExceeded("1M tokens/day")),
        ended(status=502, outcome=Outcome.UPSTREAM_ERROR, usage=None),
    ]


def feed(telemetry: Telemetry) -> None:
    for exchange in exchanges():
        telemetry.started(exchange)
        telemetry.observe(exchange)
    telemetry.upstream_outcome("openai", "ok")
    telemetry.store_error("reserve")
    telemetry.expired(1)
