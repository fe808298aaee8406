"""Request rate and concurrency, for hits and misses alike."""

from gateway.exchange import Exchange
from gateway.holding import hold
from gateway.policy.quota import claims_to_admit
from gateway.runtime import Gateway


async def admit(gateway: Gateway, exchange: Exchange) -> None:
    """Takes the hold. Raises RateLimited or QuotaExceeded with the limit's name, or StoreUnavailable."""
    assert exchange.client is not None
    await hold(gateway, exchange, "admit", claims_to_admit(exchange.client, exchange.models))
