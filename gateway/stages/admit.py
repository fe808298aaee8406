"""Request rate and concurrency, for hits and misses alike."""

from gateway.exchange import Exchange
from gateway.policy.quota import claims_to_admit, refusal
from gateway.runtime import Gateway


async def admit(gateway: Gateway, exchange: Exchange) -> None:
    """Takes the hold. Raises RateLimited or QuotaExceeded with the limit's name, or StoreUnavailable."""
    client, model = exchange.client, exchange.facts.model if exchange.facts else None
    assert client is not None
    claims = claims_to_admit(client, model)
    if not claims:
        return
    # The name comes first: whoever is cancelled inside the call can still give back what it took.
    exchange.hold, exchange.held = exchange.id, True
    lease = gateway.settings.store.lease.ms
    now = gateway.clock.now()
    verdict = await gateway.holds.reserve(client.shard, exchange.hold, "admit", claims, now, lease)
    exchange.standings += verdict.standings
    if not verdict.admitted:
        exchange.held = False
        raise refusal(verdict.standings, claims)
    gateway.open_holds[exchange.hold] = client.shard
