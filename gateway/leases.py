"""Holds stay alive while their requests do, and end when nobody renews them."""

import asyncio
import contextlib
from collections import defaultdict

from gateway.errors import StoreUnavailable
from gateway.runtime import Gateway

# Three chances to renew before a lease runs out: one lost to a hiccup is not a charge.
_RENEWALS_PER_LEASE = 3
_EXPIRY_INTERVAL_SECONDS = 1.0


async def keep_leases(gateway: Gateway) -> None:
    """Renew what this process holds, for ever."""
    lease = gateway.settings.store.lease
    while True:
        await asyncio.sleep(lease / _RENEWALS_PER_LEASE)
        with contextlib.suppress(StoreUnavailable):
            await renew(gateway)


async def renew(gateway: Gateway) -> None:
    """Extend the lease of each open hold of this process. Raises StoreUnavailable."""
    by_shard: dict[str, list[str]] = defaultdict(list)
    for hold, shard in gateway.open_holds.items():
        by_shard[shard].append(hold)
    now, lease = gateway.clock.now(), gateway.settings.store.lease.ms
    for shard, holds in by_shard.items():
        await gateway.holds.renew(shard, holds, now, lease)


async def expire_leases(gateway: Gateway) -> None:
    """End the holds that nobody renewed, of whatever process, for ever: the dead cannot do it themselves."""
    while True:
        await asyncio.sleep(_EXPIRY_INTERVAL_SECONDS)
        with contextlib.suppress(StoreUnavailable):
            gateway.telemetry.expired(await gateway.holds.expire(gateway.clock.now()))
