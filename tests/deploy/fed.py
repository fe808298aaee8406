"""A telemetry that has seen everything once."""

from typing import Any

from gateway.errors import QuotaExceeded, RateLimited
from gateway.exchange import Exchange, Outcome
from gateway.policy.ledger import Row, encode
from gateway.policy.records import Limit, Standing, Unit, Usage, Window
from gateway.telemetry import Telemetry
from tests.exchanges import MODEL, asking, ended

_LIMIT = Limit("60 requests/minute", Unit.REQUESTS, 60, Window.MINUTE, "key:ab12cd")
_BUDGET = Limit("$5/day", Unit.DOLLARS, 5 * 10**9, Window.DAY, "team:research")
_LEASE = Row(id="req_2", time=0, key="ab12cd", endpoint="responses", sent=MODEL, input=3, cost=4_000)


def telemetry() -> Telemetry:
    made = Telemetry({MODEL}, lambda name: True, clock=lambda: 102.0)
    made.watch_store(lambda: True)
    made.watch_reset(lambda: False)
    made.watch_reservations(lambda: 1)
    made.watch_journal(lambda: 0, lambda: 2)
    made.watch_ledger(lambda: 3, lambda: 0)
    made.watch_log(lambda: 0)
    made.watch_endings(lambda: {"gpt-4o": 4_600_000})
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
        ended(
            standings=(Standing(_BUDGET, used=10**9, retry_ms=0, reset_ms=15_000),), cost=7_000, worst=5_000
        ),
        ended(facts=asking(stream=True), cost=1_234_567),
        ended(usage=Usage(input=9, cache_write=8, input_audio=1, output_audio=2), cost=None, priced=False),
        ended(shadowed=("$1/day",), shared=True),
        ended(facts=asking("invented"), sent_model="invented"),
        ended("embeddings", usage=Usage(input=4, estimated=True)),
        ended(cache="hit", dispatched=False, upstream=None, saved=5_000),
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
    telemetry.expired([encode(_LEASE)])
    telemetry.refunded(4_000)
    telemetry.alert("sent")
