"""Tokens and money, worst case, on every limit above this client: all or nothing. Only a miss pays."""

from dataclasses import replace

from gateway.accounts import metered, worst_cost, worst_fee, worst_output
from gateway.errors import NotPriced
from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.endpoints import Charge
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
    if exchange.endpoint.charge is Charge.FEE:
        await _reserve_fee(gateway, exchange, client)
    elif facts is not None and metered(exchange):
        await _reserve_tokens(gateway, exchange, client, facts)


async def _reserve_tokens(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts) -> None:
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
        raise unpriced or _unnamed(exchange) or error from None
    await hold(gateway, exchange, "reserve", claims)


async def _reserve_fee(gateway: Gateway, exchange: Exchange, client: Client) -> None:
    """A call that costs the same whatever is in it has no tokens, and asks no limit for any."""
    exchange.worst = worst_fee(gateway, exchange)
    try:
        claims = claims_to_answer(client, exchange.models, Demand(0, exchange.worst, bounded=True))
    except NotPriced:
        name = exchange.endpoint.name
        raise NotPriced(
            f"It is not known what a call of '{name}' costs, and a limit in dollars holds here. Whoever "
            f'runs the gateway sets it under [prices.operations]: "{name}" = DOLLARS.',
            code="feature_not_priced",
        ) from None
    await hold(gateway, exchange, "reserve", [claim for claim in claims if claim.amount])


def _unnamed(exchange: Exchange) -> NotPriced | None:
    if exchange.models:
        return None
    return NotPriced(
        "This request leaves the model to the upstream, so that its price is not known, and a limit in "
        "dollars holds here. Name the model, or have whoever runs the gateway set prices.unpriced.",
        param="model",
    )


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
