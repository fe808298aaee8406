"""Request rate and concurrency, for hits and misses alike."""

from gateway.entering import enter
from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.quota import claims_to_admit
from gateway.runtime import Gateway


async def admit(gateway: Gateway, exchange: Exchange) -> None:
    """Takes the hold. Raises RateLimited or QuotaExceeded with the limit's name, or StoreUnavailable.

    Where `ask` has foreseen it, the store says in the same breath what it keeps (`kept`), and reserves what
    the answer needs (`entered`).
    """
    assert exchange.client is not None
    claims = claims_to_admit(exchange.client, exchange.models)
    if exchange.entering is not None:
        exchange.kept = await enter(gateway, exchange, exchange.entering, claims)
    else:
        await hold(gateway, exchange, "admit", claims)
