"""Tokens and money, worst case, on every limit, all or nothing. Only a miss pays."""

from gateway.accounts import metered, worst_fee, worst_output
from gateway.demands import claims_for
from gateway.errors import NotPriced
from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.endpoints import Charge
from gateway.policy.facts import Facts
from gateway.policy.quota import Demand, claims_to_answer, terms
from gateway.policy.records import Client
from gateway.runtime import Gateway
from gateway.sized import claims_by_size


async def reserve(gateway: Gateway, exchange: Exchange) -> None:
    """Grows the hold, unless `admit` has done that already. Sets `worst_output` and `worst`.

    Raises RateLimited or QuotaExceeded with the limit's name, NotPriced, or StoreUnavailable.
    """
    if exchange.entered:
        return
    client, facts = exchange.client, exchange.facts
    assert client is not None
    if exchange.endpoint.charge is Charge.FEE:
        await _reserve_fee(gateway, exchange, client)
    elif facts is not None and metered(exchange):
        await _reserve_tokens(gateway, exchange, client, facts)


async def _reserve_tokens(gateway: Gateway, exchange: Exchange, client: Client, facts: Facts) -> None:
    exchange.worst_output = worst_output(gateway, exchange)
    if terms(client, exchange.models).spent:
        claims = claims_by_size(gateway, exchange, client, facts)
        if claims is None:
            tokens = await gateway.tokens.input_of(exchange)
            claims = claims_for(gateway, exchange, client, facts, tokens)
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
