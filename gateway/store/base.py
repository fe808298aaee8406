"""What the line asks of a store, as small protocols, and the contract that every store signs.

`tests/store/test_contract.py` is this text as a program:

1. `reserve` is all-or-nothing over its claims.
2. However many race for it, a limit is never passed.
3. `reserve` is idempotent by (hold, step); `settle` and `release` by hold. The first of settle and release
   to arrive ends the hold; a `reserve` that arrives after it is refused.
4. The clock is the caller's: `now` is an argument, in milliseconds.
5. What is settled after its calendar window ended is charged to that window, not to the next one.
6. A hold past its lease is charged in full if it was dispatched, and given back if it was only reserved.
   Its concurrency slots come back either way. A settle that comes later still applies the difference.
7. A store that is down raises `StoreUnavailable`, within its deadline; with its breaker open, at once.
8. The same limit twice in one call is a programming error: ValueError, and nothing is sent.
9. A rate is a leaky bucket of the limit's amount that empties evenly over its window: whatever the instant,
   what was charged in any span of t is at most amount + amount * t / window. What is held counts in full
   until it is settled, and leaks from then on. A budget counts by calendar windows. Concurrency counts
   leased slots.
10. A refusal says for every claim how long until it would fit if nothing else changed.

Every method may raise `errors.StoreUnavailable`. Time-outs do not mean "not applied": callers never repeat a
command, they ask or end by the hold's id.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.policy.records import Claim, KeyRecord, Limit, Standing, TeamRecord, Unit, Verdict


class Holds(Protocol):
    """Quota. A hold is everything that one request has reserved; its id is chosen by the caller first.

    `shard` says whose counters stand together (`Client.shard`); every call for one hold names the same one.
    """

    async def reserve(
        self, shard: str, hold: str, step: str, claims: Sequence[Claim], now: int, lease: int
    ) -> Verdict:
        """Claim all or none, adding to the hold. `lease` is the hold's life in ms, from `now`.

        `step` tells the reservations of one hold apart (`admit`, `reserve`).
        """
        ...

    def dispatch(self, shard: str, hold: str) -> None:
        """From here on the upstream may have been paid. Written before this returns; nothing is awaited."""
        ...

    async def settle(self, shard: str, hold: str, spent: Mapping[Unit, int], now: int) -> bool:
        """Replace what is held by what was spent, per unit, and end the hold. False: it had ended already."""
        ...

    async def release(self, shard: str, hold: str, now: int) -> bool:
        """Give everything back, requests included: nothing was done for this client."""
        ...

    async def renew(self, shard: str, holds: Sequence[str], now: int, lease: int) -> int:
        """Extend the leases of those that are still open; how many were."""
        ...

    async def expire(self, now: int) -> int:
        """End the holds that are past their lease, of whatever process; how many there were."""
        ...

    async def standings(self, shard: str, limits: Sequence[Limit], now: int) -> tuple[Standing, ...]:
        """Where these limits stand. Changes nothing."""
        ...


class Answers(Protocol):
    """Cached answers: opaque entries under opaque keys."""

    def get(self, key: bytes) -> Awaitable[bytes | None]:
        """The command is queued when this is called, so it shares a write with what is called next."""
        ...

    async def put(self, key: bytes, entry: bytes, ttl: int, now: int) -> bool:
        """Keep `entry` for `ttl` ms. False: it did not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody changed: one key, one team, or so much that all must be read again."""

    kind: Literal["key", "team", "all"]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    keys: tuple[KeyRecord, ...] = ()
    teams: tuple[TeamRecord, ...] = ()


class Keys(Protocol):
    """Clients. Read by the local table at start and after each change; written by the admin API."""

    async def load(self) -> Roster: ...

    async def key(self, id: str) -> KeyRecord | None: ...

    async def team(self, name: str) -> TeamRecord | None: ...

    async def put_key(self, record: KeyRecord) -> None: ...

    async def put_team(self, record: TeamRecord) -> None: ...

    async def delete_key(self, id: str) -> bool: ...

    async def delete_team(self, name: str) -> bool: ...

    def changes(self) -> AsyncIterator[Change]:
        """Within a second of the write, in every process, for ever. A lost connection yields `all`."""
        ...

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """A secret that all gateways on this store share: the one kept, or else `fresh`, kept from now on."""
        ...

    async def put_secret(self, name: str, value: bytes) -> None: ...


class Store(Protocol):
    """The three together, and what operations asks of them."""

    @property
    def holds(self) -> Holds: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def up(self) -> bool:
        """What the breaker knows, without asking."""
        ...

    async def ping(self) -> None: ...

    async def time_offset(self) -> int:
        """The store's clock less this machine's, in ms: all gateways on one store then agree on `now`."""
        ...

    async def close(self) -> None: ...
