"""Tokens and money, worst case, on every limit above this client: all or nothing. Only a miss pays."""

from dataclasses import replace

from gateway.accounts import worst_cost, worst_output
from gateway.errors import NotPriced
from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.facts import Facts
from gateway.policy.quota import Demand, claims_to_answer
from gateway.policy.records import Client, Unit
from gateway.runtime import Gateway

_SPENT = (Unit.TOKENS, Unit.DOLLARS)


async def reserve(gateway: Gateway, exchange: Exchange) -> None:
    """Grows the hold. Sets `worst_output` and `worst`.

    Raises RateLimited or QuotaExceeded with the limit's name, NotPriced, or StoreUnavailable.
    """
    client, facts = exchange.client, exchange.facts
    assert client is not None
    if facts is None:
        return
    exchange.worst_output = worst_output(gateway, exchange)
    if not any(limit.unit in _SPENT for limit in client.limits):
        return
    tokens = await gateway.tokens.input_of(exchange)
    unpriced: NotPriced | None = None
    try:
        exchange.worst = worst_cost(gateway, exchange, tokens, exchange.worst_output)
    except NotPriced as error:
        unpriced = error
    try:
        claims = claims_to_answer(client, exchange.models, _demand(gateway, exchange, client, facts, tokens))
    except NotPriced as error:
        raise unpriced or error from None
    await hold(gateway, exchange, "reserve", claims)


def _demand(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts, tokens: int) -> Demand:
    """`tokens` is what goes in."""
    demand = Demand(tokens + exchange.worst_output, exchange.worst, bounded=facts.max_output is not None)
    if demand.bounded or not any(limit.learned for limit in client.limits):
        return demand
    learned = gateway.learned.expect(client.id, exchange.endpoint.name, exchange.sent_model or "")
    if learned is None:
        return demand
    output = min(exchange.worst_output, facts.n * learned)
    cost = None if demand.cost is None else worst_cost(gateway, exchange, tokens, output)
    return replace(demand, learned_tokens=tokens + output, learned_cost=cost)
