"""Accepting a store that was emptied: what is known elsewhere is put back, then it is served from again."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.away.epoch import EpochGuard, fresh_name
from gateway.clients import apply
from gateway.errors import Conflict
from gateway.policy.quota import applies
from gateway.policy.records import Client, Kind, Limit, Unit
from gateway.runtime import Gateway
from gateway.store.base import Change, Kept, Store

log = logging.getLogger("gateway")

_MARK = "accept store"
_MARK_MS = 60_000


class Spent(Protocol):
    """What was used by one key, of one team, with one model: `model` was asked for, `sent` was sent.

    `cost` is in nano-dollars.
    """

    @property
    def key(self) -> str | None: ...
    @property
    def team(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def sent(self) -> str | None: ...
    @property
    def requests(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def cost(self) -> int: ...


class Sink(Protocol):
    """The database that the ledger is drained into."""

    async def spent_since(self, since: int) -> Sequence[Spent]: ...

    async def last(self) -> Kept | None: ...


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back. `source` says where the use of budgets was taken from: `sink` or `memory`.

    From the memory of this process come only budgets that it has served since it started. Sums of usage are
    not rebuilt. The ledger goes on behind row `rows`.
    """

    epoch: str
    keys: int
    teams: int
    budgets: int
    source: str
    rows: int


async def accept(
    guard: EpochGuard,
    gateway: Gateway,
    store: Store,
    *,
    admin_digest: bytes | None,
    sink: Sink | None,
    without_keys: bool = False,
) -> Restored:
    """Serve from the store as it is now. The new name comes last: nobody charges anything before that.

    Raises Conflict where there is nothing to accept, somebody else is at it, or this process knows no keys
    and nobody said that it shall be done all the same; StoreUnavailable, and what the sink raises. Then
    nothing is accepted, and it may be asked again.
    """
    if await guard.check():
        raise Conflict("The store is the one that is served from: there is nothing to accept.")
    if not gateway.clients.loaded and not without_keys:
        raise Conflict(
            "This gateway was started after the store was lost, and knows only declared keys. Ask one that "
            "ran before already, or restore a backup; or say that keys are not to be put back."
        )
    if not await store.marks.mark(_MARK, _MARK_MS):
        raise Conflict("Another gateway is accepting this store. Try again in a minute.")
    try:
        restored = await _restore(guard, gateway, store, admin_digest, sink)
    finally:
        await store.marks.unmark(_MARK)
    await apply(gateway.clients, store.keys, Change("all"), guard.trusted)
    log.warning(
        "the store was accepted by the operator", extra={"code": "store_accepted", "count": restored.keys}
    )
    return restored


async def _restore(
    guard: EpochGuard, gateway: Gateway, store: Store, admin_digest: bytes | None, sink: Sink | None
) -> Restored:
    keys, teams = await _put_back(gateway, store)
    await _share_secrets(gateway, store, admin_digest)
    budgets = await _restore_budgets(gateway, store, sink)
    rows = await _continue_ledger(store, sink)
    epoch = await guard.succeed()
    return Restored(epoch, keys, teams, budgets, "memory" if sink is None else "sink", rows)


async def _put_back(gateway: Gateway, store: Store) -> tuple[int, int]:
    """The keys and teams of this process's table that the store lacks; how many of each."""
    there, known = await store.keys.load(), gateway.clients.stored()
    names, ids = {team.name for team in there.teams}, {key.id for key in there.keys}
    teams = [team for team in known.teams if team.name not in names]
    keys = [key for key in known.keys if key.id not in ids]
    for team in teams:
        await store.keys.put_team(team)
    for key in keys:
        await store.keys.put_key(key)
    return len(keys), len(teams)


async def _share_secrets(gateway: Gateway, store: Store, admin_digest: bytes | None) -> None:
    gateway.secret = await store.keys.secret("cache", gateway.secret)
    if admin_digest is not None:
        await store.keys.secret("admin", admin_digest)
        # There is somebody who makes keys: nobody needs a first one.
        await store.keys.secret("first start", fresh_name().encode())


async def _restore_budgets(gateway: Gateway, store: Store, sink: Sink | None) -> int:
    now = gateway.clock.now()
    spent: dict[int, Sequence[Spent]] = {}
    restored: set[str] = set()
    for shard, limits in _budgets(gateway.clients.everybody()).items():
        used = []
        for limit in limits:
            assert limit.window is not None
            since = gateway.calendar.span(limit.window, now).start or 0
            if sink is not None and since not in spent:
                spent[since] = await sink.spent_since(since)
            amount = max(used_of(limit, spent.get(since, ())), gateway.share.last_used(limit, now))
            if amount:
                used.append((limit, amount))
                restored.add(limit.id)
        if used:
            await store.holds.restore(shard, used, now)
    return len(restored)


def _budgets(clients: Iterable[Client]) -> dict[str, list[Limit]]:
    """The budgets by whose counters stand together; each once."""
    found: dict[str, dict[str, Limit]] = defaultdict(dict)
    for client in clients:
        for limit in client.limits:
            if limit.kind is Kind.BUDGET:
                found[client.shard].setdefault(limit.id, limit)
    return {shard: list(limits.values()) for shard, limits in found.items()}


def used_of(limit: Limit, spent: Iterable[Spent]) -> int:
    """How much of `limit` was used, in its unit: by its owner, with a model that it is on."""
    return sum(
        _amount(limit.unit, each) for each in spent if _owns(limit.scope, each) and _is_on(limit, each)
    )


def _amount(unit: Unit, spent: Spent) -> int:
    return {Unit.REQUESTS: spent.requests, Unit.TOKENS: spent.tokens, Unit.DOLLARS: spent.cost}.get(unit, 0)


def _owns(scope: str, spent: Spent) -> bool:
    kind, _, name = scope.partition(":")
    return {"key": spent.key == name, "team": spent.team == name}.get(kind, True)


def _is_on(limit: Limit, spent: Spent) -> bool:
    return applies(limit, [model for model in (spent.model, spent.sent) if model is not None])


async def _continue_ledger(store: Store, sink: Sink | None) -> int:
    last = await sink.last() if sink is not None else None
    if last is None:
        return (await store.ledger.head())[0]
    await store.ledger.continue_at(last.number, last.hash)
    return last.number
