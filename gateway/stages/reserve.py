"""Tokens, worst case, on every limit above this client: all or nothing. Only a miss pays."""

from gateway.exchange import Exchange
from gateway.policy.models import output_cap
from gateway.policy.quota import claims_to_answer, refusal
from gateway.policy.records import Unit
from gateway.runtime import Gateway


async def reserve(gateway: Gateway, exchange: Exchange) -> None:
    """Grows the hold. Raises RateLimited or QuotaExceeded with the limit's name, or StoreUnavailable."""
    client, facts = exchange.client, exchange.facts
    assert client is not None
    if facts is None or not any(limit.unit is Unit.TOKENS for limit in client.limits):
        return
    cap = output_cap(exchange.sent_model or "", gateway.settings.models.output_caps)
    tokens = await gateway.tokens.input_of(exchange)
    claims = claims_to_answer(client, facts, facts.model, tokens, cap)
    if not claims:
        return
    exchange.hold, exchange.held = exchange.id, True
    lease = gateway.settings.store.lease.ms
    now = gateway.clock.now()
    verdict = await gateway.holds.reserve(client.shard, exchange.hold, "reserve", claims, now, lease)
    exchange.standings += verdict.standings
    if not verdict.admitted:
        raise refusal(verdict.standings, claims)
    gateway.open_holds[exchange.hold] = client.shard
