"""Tokens, worst case, on every limit above this client: all or nothing. Only a miss pays."""

from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.models import output_cap
from gateway.policy.quota import claims_to_answer
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
    await hold(gateway, exchange, "reserve", claims_to_answer(client, facts, facts.model, tokens, cap))
