"""What a gateway reads from its store before it can serve."""

import asyncio
import contextlib
import hashlib
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.away.epoch import EpochGuard
from gateway.clients import apply
from gateway.configuration.secretchecks import admin_reference
from gateway.errors import StoreUnavailable
from gateway.firststart import FirstStart, first_start
from gateway.runtime import Gateway
from gateway.store.base import Change, Store
from gateway.upstream.secrets import resolve

_STORE_RETRY_SECONDS = 0.5
_SEED_BYTES = 32


@dataclass(slots=True, eq=False)
class Preparation:
    """The shared secret, the admin key and the clients.

    A store that is away delays it, and so does one that has lost its memory: a first start on that would make
    new keys. The gateway starts all the same, and is not ready until then.

    Without `makes_keys` another process of this gateway makes the first keys and knows the admin: this one
    reads what it needs to serve.
    """

    gateway: Gateway
    store: Store
    environ: Mapping[str, str]
    guard: EpochGuard
    makes_keys: bool = True
    first: FirstStart | None = None
    done: bool = False
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
        """Raises StoreUnavailable. What is not done is done in a later attempt."""
        gateway, store = self.gateway, self.store
        gateway.clock.offset = await store.time_offset()
        if not await self.guard.check():
            return
        gateway.secret = await store.keys.secret("cache", gateway.secret)
        first = await self._first_start() if self.makes_keys else None
        if await apply(gateway.clients, store.keys, Change("all"), self.guard.trusted):
            self.first, self.done = first, True
            self._tell()

    async def _first_start(self) -> FirstStart:
        first = await first_start(
            self.store.keys,
            self.gateway.settings,
            self._entropy(),
            environ=self.environ,
            now=self.gateway.clock.now(),
        )
        self.guard.remember_admin(first.admin_digest)
        return first

    def _entropy(self) -> Callable[[int], bytes]:
        """The same bytes in each attempt: one that broke off has kept hashes of keys not yet shown."""
        drawn = itertools.count()

        def draw(size: int) -> bytes:
            return hashlib.blake2b(str(next(drawn)).encode(), key=self._seed, digest_size=size).digest()

        return draw

    async def until_done(self) -> None:
        """Again and again, until the store was there."""
        while not self.done:
            await asyncio.sleep(_STORE_RETRY_SECONDS)
            await self.attempt()

    def admin_digest(self) -> bytes | None:
        """SHA-256 of the admin key; None while nobody can be the admin.

        With a store that has lost its memory it is the configured key, or the one of before: somebody has to
        be able to say what is to become of it.
        """
        if self.first is not None:
            return self.first.admin_digest
        if self.guard.complaint is None:
            return None
        reference = admin_reference(self.gateway.settings, self.environ)
        if reference:
            return hashlib.sha256(resolve(reference, self.environ).reveal().encode()).digest()
        return self.guard.admin_digest
