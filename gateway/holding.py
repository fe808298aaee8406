"""Taking claims for an exchange: what `admit` and `reserve` have in common."""

from collections.abc import Sequence

from gateway.exchange import Exchange
from gateway.policy.quota import refusal
from gateway.policy.records import Claim
from gateway.runtime import Gateway


async def hold(gateway: Gateway, exchange: Exchange, step: str, claims: Sequence[Claim]) -> None:
    """Add all of these claims to the exchange's hold, or none. Sets `hold`, `held` and `standings`.

    Raises RateLimited or QuotaExceeded with the limit's name, or StoreUnavailable.
    """
    client = exchange.client
    if not claims or client is None:
        return
    held_before = exchange.held
    # The name comes first: whoever is cancelled inside the call can still give back what it took.
    exchange.hold, exchange.held = exchange.id, True
    now, lease = gateway.clock.now(), gateway.settings.store.lease.ms
    verdict = await gateway.holds.reserve(client.shard, exchange.hold, step, claims, now, lease)
    exchange.standings += verdict.standings
    if not verdict.admitted:
        exchange.held = held_before
        raise refusal(verdict.standings, claims)
    gateway.open_holds[exchange.hold] = client.shard
