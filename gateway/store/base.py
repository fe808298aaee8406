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
11. A hold that ends leaves its row in the ledger and adds to its sums in the same step, once: with it, or
    not at all. A hold whose lease ends after it was dispatched leaves the row that `dispatch` gave; a settle
    that comes later leaves the difference.
12. A store that is not the one expected (`Store.expect`) takes and ends no holds: `StoreReset`.
13. A settle for a hold that the store has never heard of charges the claims that come with it.

Every method may raise `errors.StoreUnavailable`. Time-outs do not mean "not applied": callers never repeat a
command, they ask or end by the hold's id.
"""

import enum
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from gateway.policy.records import Claim, KeyRecord, Limit, Record, Standing, TeamRecord, Unit, Verdict

# For how long the store knows that a hold has ended. Who ends one later asks the ledger first.
TOMBSTONE_MS: Final = 600_000


class Ended(enum.IntEnum):
    """Whether a call has ended its hold.

    LATE: its lease had run out before, had left its row and was charged for; now the difference was left.
    """

    NOT = 0  # it had ended already
    NOW = 1
    LATE = 2


@dataclass(frozen=True, slots=True)
class Entered:
    """What `Holds.enter` found: the verdict on the claims to admit, the cached answer if there is one, and
    the verdict on the claims to answer.

    That is None where they were not tried: those to admit were refused, or an answer was found.
    """

    admitted: Verdict
    entry: bytes | None = None
    reserved: Verdict | None = None


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

    async def enter(
        self,
        shard: str,
        hold: str,
        admit: Sequence[Claim],
        answer: Sequence[Claim],
        now: int,
        lease: int,
        *,
        key: bytes | None = None,
        record: Record | None = None,
    ) -> Entered:
        """In one step and one round trip: `reserve` of `admit`; then the answer kept under `key`, if any; and
        if there is none, `reserve` of `answer` and `dispatch` with `record`.

        Where `answer` does not fit, nothing of it is reserved, nothing is dispatched, and what was admitted
        stays as it is. Idempotent by hold, as `reserve` is. Only where `can_enter` says so.
        """
        ...

    @property
    def can_enter(self) -> bool:
        """Whether cached answers stand where `enter` can see them: beside the counters, on one server."""
        ...

    def dispatch(self, shard: str, hold: str, now: int, lease: int, record: Record | None = None) -> None:
        """From here on the upstream may have been paid. Written before this returns; nothing is awaited.

        Makes the hold where nothing was reserved. `record` is what the ledger is told if nobody ends it.
        """
        ...

    async def settle(
        self,
        shard: str,
        hold: str,
        spent: Mapping[Unit, int],
        now: int,
        record: Record | None = None,
        *,
        claims: Sequence[Claim] = (),
        claimed: int | None = None,
    ) -> Ended:
        """Replace what is held by what was spent, per unit, and end the hold.

        `claims` are those that the hold should have, made at `claimed` (ms): where the store knows nothing of
        the hold, or of one of them, they are charged now, to the windows of that time.
        """
        ...

    async def release(self, shard: str, hold: str, now: int, record: Record | None = None) -> Ended:
        """Give everything back, requests included: nothing was done for this client."""
        ...

    async def renew(self, shard: str, holds: Sequence[str], now: int, lease: int) -> int:
        """Extend the leases of those that are still open; how many were."""
        ...

    async def expire(self, now: int) -> list[bytes]:
        """End the holds that are past their lease, of whatever process.

        One item for each: the ledger row that it left, or nothing (`b""`) where it left none.
        """
        ...

    async def restore(self, shard: str, used: Sequence[tuple[Limit, int]], now: int) -> None:
        """Budgets of a store that was emptied: in the window of `now` at least so much is used of each."""
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


@dataclass(frozen=True, slots=True)
class Kept:
    """A ledger row as the store keeps it. `position` (`1790000000000-0`) sorts by its two numbers.

    `number` counts the rows from 1; `hash` is `policy.chain.link(<hash of the row before>, number, row)`.
    """

    position: str
    number: int
    row: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used on one day, by one `who` (key, team, model) or under one tag, as `policy.ledger.SUMS`."""

    day: str
    who: str
    sums: tuple[int, ...]


class Ledger(Protocol):
    """Rows are written by `Holds`; here they are read."""

    async def newest(self, before: str | None, count: int) -> list[Kept]:
        """Rows, newest first, that stand before this position; None: the newest of all."""
        ...

    async def oldest(self, after: str | None, count: int) -> list[Kept]:
        """Rows, oldest first, that stand after this position; None: from the oldest that is still there."""
        ...

    async def recent(self, key: str, count: int) -> list[bytes]:
        """The latest rows of one key, newest first."""
        ...

    async def sums(self, days: Sequence[str], key: str | None = None) -> list[Sum]:
        """By key, team and model; those of one `key` alone, where one is named. Kept for ever."""
        ...

    async def tag_sums(self, days: Sequence[str]) -> list[Sum]: ...

    async def head(self) -> tuple[int, str]:
        """The number and the hash of the last row ever written: (0, "") before the first."""
        ...

    async def continue_at(self, number: int, hash: str) -> None:
        """The next row follows this one: for a store that was emptied, where a sink knows how far it was."""
        ...

    async def trim(self, now: int) -> None:
        """Let go of rows that are too old."""
        ...


class Marks(Protocol):
    """What is to be done once, by one process of many."""

    async def mark(self, name: str, ttl: int) -> bool:
        """True for the first who asks within `ttl` ms."""
        ...

    async def unmark(self, name: str) -> None: ...


class Owners(Protocol):
    """Who made the objects that an upstream keeps.

    Ids are as OpenAI gives them, owners as `policy.ownership.owner_of` names them.
    """

    async def owners(self, ids: Sequence[str]) -> list[str | None]:
        """The owner of each, in order; None: nobody that the gateway knows of."""
        ...

    async def record(self, owner: str, ids: Sequence[str], ttl: int) -> None:
        """From now on, for `ttl` ms (0: for ever). An id that has an owner already keeps it."""
        ...

    async def forget(self, ids: Sequence[str]) -> None: ...


class Store(Protocol):
    """All of them together, and what operations asks of them."""

    @property
    def holds(self) -> Holds: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def marks(self) -> Marks: ...

    @property
    def owners(self) -> Owners: ...

    async def epoch(self, fresh: str = "") -> str:
        """Who this store is: what is kept, or else `fresh`, kept from now on. Empty: it has no name."""
        ...

    def expect(self, epoch: str) -> None:
        """From now on take and end holds only while the store's epoch is this one."""
        ...

    @property
    def up(self) -> bool:
        """What the breaker knows, without asking."""
        ...

    async def ping(self) -> None: ...

    async def time_offset(self) -> int:
        """The store's clock less this machine's, in ms: all gateways on one store then agree on `now`."""
        ...

    async def close(self) -> None: ...
