"""The local table of clients: authentication without a round trip.

Built from what `gateway.toml` declares and what the store holds, kept fresh by the store's pushes.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from gateway.errors import Forbidden, InvalidKey, StoreUnavailable
from gateway.policy.credentials import valid_address
from gateway.policy.endpoints import ALL, UNKNOWN
from gateway.policy.models import allowed
from gateway.policy.quota import parse_limits
from gateway.policy.records import CacheScope, Client, KeyRecord, Limit, TeamRecord
from gateway.store.base import Change, Keys, Roster

log = logging.getLogger("gateway")

_SLICE = 2_000  # keys that are resolved at a stretch: some 20 ms

Trusted = Callable[
    [], Awaitable[bool]
]  # whether the store is still the one that it was: `EpochGuard.trusted`


def resolve(
    key: KeyRecord,
    team: TeamRecord | None,
    gateway_limits: tuple[Limit, ...],
    endpoints: frozenset[str],
    cache_scope: CacheScope,
    ownership: bool = True,
) -> Client:
    """Key, team and gateway, laid over each other: limits add up, permissions narrow."""
    limits = parse_limits(key.limits, f"key:{key.id}") if key.limits else ()
    if team is not None and team.limits:
        limits += _limits_of(team)
    models = (tuple(key.models), tuple(team.models)) if team else (tuple(key.models),)
    for narrower in (team.endpoints if team else None, key.endpoints):
        if narrower is not None:
            endpoints = frozenset(narrower)
    return Client(
        id=key.id,
        name=key.name,
        digest=bytes.fromhex(key.digest),
        team=key.team,
        limits=limits + gateway_limits,
        models=_shared(models),
        endpoints=endpoints,
        addresses=tuple(key.addresses),
        expires=key.expires,
        cache_scope=key.cache_scope or cache_scope,
        tags=key.tags,
        ownership=ownership if key.ownership is None else key.ownership == "on",
    )


def _limits_of(team: TeamRecord) -> tuple[Limit, ...]:
    if all(type(text) is str for text in team.limits):
        return _parsed(f"team:{team.name}", *cast(list[str], team.limits))
    return parse_limits(team.limits, f"team:{team.name}")


@lru_cache(maxsize=1024)  # the same objects for all keys of a team
def _parsed(scope: str, *texts: str) -> tuple[Limit, ...]:
    return parse_limits(texts, scope)


@lru_cache(maxsize=1024)
def _shared(models: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """One object for all keys that may use the same."""
    return models


def check_address(client: Client, peer: str) -> None:
    """Raises Forbidden for a key that may not be used from there."""
    if client.addresses and not valid_address(client.addresses, peer):
        raise Forbidden(
            "This key may not be used from your address: its `addresses` say where it may.",
            code="address_not_allowed",
        )


def check_group(client: Client, group: str) -> None:
    """Raises Forbidden for a key that may not use this group of operations."""
    # What the table does not have is only found where `endpoints.unknown` says that it is passed on.
    if group != UNKNOWN and group not in client.endpoints and ALL not in client.endpoints:
        raise Forbidden(
            f"This key may not use the group '{group}', which this endpoint belongs to. Whoever runs the "
            "gateway opens it: for everybody in endpoints.allow, or with `endpoints` of the key or its team.",
            code="endpoint_not_allowed",
        )


def check_model(client: Client, model: str) -> None:
    """Raises Forbidden for a model that the key, or its team, may not use."""
    if not allowed(client.models, model):
        raise Forbidden(
            f"This key may not use the model '{model}': see `models` of the key and of its team.",
            code="model_not_allowed",
            param="model",
        )


@dataclass(slots=True)
class _Held:
    """What the store holds, and the clients that come of it with what is declared."""

    keys: dict[str, KeyRecord] = field(default_factory=dict)
    teams: dict[str, TeamRecord] = field(default_factory=dict)
    clients: dict[bytes, Client] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)


class ClientTable:
    """digest of the presented key → `Client`."""

    def __init__(
        self,
        gateway_limits: tuple[Limit, ...] = (),
        endpoints: Iterable[str] = ("inference",),
        cache_scope: CacheScope = "team",
        ownership: bool = True,
    ) -> None:
        self._gateway_limits = gateway_limits
        self._endpoints = frozenset(endpoints)
        self._cache_scope = cache_scope
        self._ownership = ownership
        self._held = _Held()
        self._declared_keys: dict[str, KeyRecord] = {}
        self._declared_teams: dict[str, TeamRecord] = {}
        self.loaded = False
        self.version = 0  # grows with each change: what was read of the store before one is old after it

    def find(self, presented: bytes) -> Client | None:
        """The client whose key this is. The key itself never leaves the hash function."""
        return self._held.clients.get(hashlib.sha256(presented).digest())

    def identify(self, presented: bytes, now: int) -> Client:
        """Whose key this is at `now` (ms). Raises InvalidKey, with one text for every reason.

        Before the table was first read nobody can be told apart from a stranger: StoreUnavailable then, and
        not an answer that would have people throw their keys away.
        """
        client = self.find(presented)
        if client is None and not self.loaded:
            raise StoreUnavailable("The gateway has not read its keys yet. Try again shortly.")
        if client is None or (client.expires is not None and now >= client.expires):
            raise InvalidKey
        return client

    def declare(self, keys: Iterable[KeyRecord], teams: Iterable[TeamRecord]) -> None:
        """What the configuration file says; it wins over the store."""
        self._declared_keys = {key.id: key for key in keys}
        self._declared_teams = {team.name: team for team in teams}
        self.replace(self._held.keys.values(), self._held.teams.values(), loaded=self.loaded)

    def replace(self, keys: Iterable[KeyRecord], teams: Iterable[TeamRecord], *, loaded: bool = True) -> None:
        """Everything that the store holds."""
        held = _Held({key.id: key for key in keys}, {team.name: team for team in teams})
        for _ in self._resolving(held):
            pass
        self._take(held, loaded)

    async def replacement(self, roster: Roster) -> Callable[[], None]:
        """What replaces everything by that. Worked out in slices: a hundred thousand keys take a second."""
        held = _Held({key.id: key for key in roster.keys}, {team.name: team for team in roster.teams})
        for _ in self._resolving(held):
            await asyncio.sleep(0)
        return lambda: self._take(held, loaded=True)

    def _take(self, held: _Held, loaded: bool) -> None:
        self._held = held
        self.loaded = loaded
        self.version += 1

    def _resolving(self, held: _Held) -> Iterator[None]:
        """Fills in the clients, with a pause after each slice."""
        for number, known in enumerate(held.keys | self._declared_keys, 1):
            self._place(held, known)
            if number % _SLICE == 0:
                yield

    def put_key(self, id: str, record: KeyRecord | None) -> None:
        """One key changed, or was deleted."""
        self.version += 1
        if record is None:
            self._held.keys.pop(id, None)
        else:
            self._held.keys[id] = record
        self._place(self._held, id)

    def put_team(self, name: str, record: TeamRecord | None) -> None:
        """One team changed; its keys are resolved anew."""
        self.version += 1
        if record is None:
            self._held.teams.pop(name, None)
        else:
            self._held.teams[name] = record
        for key in [*self._held.keys.values(), *self._declared_keys.values()]:
            if key.team == name:
                self._place(self._held, key.id)

    def keys(self) -> list[KeyRecord]:
        return list((self._held.keys | self._declared_keys).values())

    def teams(self) -> list[TeamRecord]:
        return list((self._held.teams | self._declared_teams).values())

    def stored(self) -> Roster:
        """What the store held when it was last read: without what is only declared."""
        return Roster(tuple(self._held.keys.values()), tuple(self._held.teams.values()))

    def everybody(self) -> list[Client]:
        return list(self._held.clients.values())

    def key(self, id: str) -> KeyRecord | None:
        return self._declared_keys.get(id) or self._held.keys.get(id)

    def team(self, name: str) -> TeamRecord | None:
        return self._declared_teams.get(name) or self._held.teams.get(name)

    def client(self, id: str) -> Client | None:
        """A client by its public id."""
        return self._held.clients.get(self._held.digests.get(id, b""))

    def _place(self, held: _Held, id: str) -> None:
        old = held.digests.pop(id, None)
        if old is not None:
            held.clients.pop(old, None)
        record = self._declared_keys.get(id) or held.keys.get(id)
        if record is None:
            return
        name = record.team
        team = (self._declared_teams.get(name) or held.teams.get(name)) if name else None
        try:
            client = resolve(
                record, team, self._gateway_limits, self._endpoints, self._cache_scope, self._ownership
            )
        except ValueError:
            # Written by something newer than us. A key whose limits we cannot read opens nothing.
            log.error("a stored key has limits that cannot be read; it is refused", extra={"key": id})
            return
        held.clients[client.digest] = client
        held.digests[id] = client.digest

    def __repr__(self) -> str:
        return f"<ClientTable {len(self._held.clients)} clients, {len(self.teams())} teams>"


async def follow(table: ClientTable, keys: Keys, trusted: Trusted) -> None:
    """Keep the table as the store is, for ever. One task of each process.

    While the store is away the table stays as it was: revoking a key needs the store as well.
    """
    async for change in keys.changes():
        # A store that goes away now comes back with a change of kind "all".
        with contextlib.suppress(StoreUnavailable):
            await apply(table, keys, change, trusted)


async def apply(table: ClientTable, keys: Keys, change: Change, trusted: Trusted) -> bool:
    """Read again what changed. Raises StoreUnavailable.

    False: what was read comes from a store that has lost its memory, and was not taken over. Who has a key
    keeps it then, instead of being told that it is wrong. So the store is asked who it is after it was read.
    """
    while True:
        version = table.version
        take_over = await _read(table, keys, change)
        if not await trusted():
            return False
        if table.version == version:  # else the admin API wrote meanwhile, and this may not know it
            take_over()
            return True


async def _read(table: ClientTable, keys: Keys, change: Change) -> Callable[[], None]:
    if change.kind == "key":
        key = await keys.key(change.id)
        return lambda: table.put_key(change.id, key)
    if change.kind == "team":
        team = await keys.team(change.id)
        return lambda: table.put_team(change.id, team)
    return await table.replacement(await keys.load())
