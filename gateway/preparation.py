"""What a gateway reads from its store before it can serve."""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.clients import apply
from gateway.errors import StoreUnavailable
from gateway.firststart import FirstStart, first_start
from gateway.runtime import Gateway
from gateway.store.base import Change, Store

_STORE_RETRY_SECONDS = 0.5
_SEED_BYTES = 32


@dataclass(slots=True, eq=False)
class Preparation:
    """The shared secret, the admin key and the clients.

    A store that is away delays it; the gateway starts all the same, and is not ready until then.
    """

    gateway: Gateway
    store: Store
    environ: Mapping[str, str]
    first: FirstStart | None = None
    _told: Callable[[FirstStart], None] | None = None
    _seed: bytes = field(default_factory=lambda: secrets.token_bytes(_SEED_BYTES), repr=False)

    def tell(self, told: Callable[[FirstStart], None]) -> None:
        """Call this once, when all is done: now, or whenever the store will have come."""
        self._told = told
        self._tell()

    def _tell(self) -> None:
        if self.first is not None and self._told is not None:
            self._told(self.first)
            self._told = None

    async def attempt(self) -> None:
        """Once. A store that is away is no failure."""
        with contextlib.suppress(StoreUnavailable):
            await self.finish()

    async def finish(self) -> None:
        """Raises StoreUnavailable."""
        gateway, store = self.gateway, self.store
        gateway.clock.offset = await store.time_offset()
        gateway.secret = await store.keys.secret("cache", gateway.secret)
        first = await first_start(
            store.keys,
            gateway.settings,
            self._entropy(),
            environ=self.environ,
            now=gateway.clock.now(),
        )
        await apply(gateway.clients, store.keys, Change("all"))
        self.first = first
        self._tell()

    def _entropy(self) -> Callable[[int], bytes]:
        """The same bytes in each attempt: one that broke off has kept hashes of keys not yet shown."""
        drawn = itertools.count()

        def draw(size: int) -> bytes:
            return hashlib.blake2b(str(next(drawn)).encode(), key=self._seed, digest_size=size).digest()

        return draw

    async def until_done(self) -> None:
        """Again and again, until the store was there."""
        while self.first is None:
            await asyncio.sleep(_STORE_RETRY_SECONDS)
            await self.attempt()

    def admin_digest(self) -> bytes | None:
        """SHA-256 of the admin key; None while nobody can be the admin."""
        return self.first.admin_digest if self.first is not None else None
