"""Clients in Redis: `base.Keys`. Every change is pushed, and counted for those who missed the push."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Literal, TypeVar, cast

import msgspec

from gateway.errors import StoreUnavailable
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.store import keyspace, scripts
from gateway.store.base import Change, Roster
from gateway.store.scripts import Runner
from gateway.store.subscription import Speaker, subscribe

log = logging.getLogger("gateway")

POLL = 0.5  # seconds: how late a change is noticed whose push was lost
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between attempts to listen

_KEY = msgspec.json.Decoder(KeyRecord)
_TEAM = msgspec.json.Decoder(TeamRecord)
_encode = msgspec.json.Encoder().encode

Record = TypeVar("Record", KeyRecord, TeamRecord)


def _read(decoder: "msgspec.json.Decoder[Record]", kept: bytes | None) -> Record | None:
    """None also for what something newer than us wrote: a record that cannot be read opens nothing."""
    if kept is None:
        return None
    try:
        return decoder.decode(kept)
    except msgspec.DecodeError:
        log.error("a stored record cannot be read; it is left out")
        return None


def _all(decoder: "msgspec.json.Decoder[Record]", kept: Iterable[bytes]) -> tuple[Record, ...]:
    return tuple(record for item in kept if (record := _read(decoder, item)) is not None)


class RedisKeys:
    """`speaker` is where `runner` leads: pushes need a connection of their own."""

    def __init__(self, runner: Runner, speaker: Speaker) -> None:
        self._runner = runner
        self._speaker = speaker

    async def load(self) -> Roster:
        keys = self._runner.send("load", "HVALS", keyspace.KEYS)
        teams = self._runner.send("load", "HVALS", keyspace.TEAMS)
        return Roster(_all(_KEY, await keys), _all(_TEAM, await teams))

    async def key(self, id: str) -> KeyRecord | None:
        return _read(_KEY, await self._runner.send("key", "HGET", keyspace.KEYS, id))

    async def team(self, name: str) -> TeamRecord | None:
        return _read(_TEAM, await self._runner.send("team", "HGET", keyspace.TEAMS, name))

    async def put_key(self, record: KeyRecord) -> None:
        await self._change(keyspace.KEYS, "key", record.id, _encode(record))

    async def put_team(self, record: TeamRecord) -> None:
        await self._change(keyspace.TEAMS, "team", record.name, _encode(record))

    async def delete_key(self, id: str) -> bool:
        return await self._change(keyspace.KEYS, "key", id)

    async def delete_team(self, name: str) -> bool:
        return await self._change(keyspace.TEAMS, "team", name)

    async def _change(self, kept: str, kind: str, name: str, *record: bytes) -> bool:
        args: tuple[str | bytes, ...] = (kind, name, keyspace.CHANNEL, *record)
        return bool(await self._runner.run(scripts.RECORD, (kept, keyspace.VERSION), args))

    async def secret(self, name: str, fresh: bytes) -> bytes:
        kept = self._runner.send("secret", "HSETNX", keyspace.SECRETS, name, fresh)
        secret = self._runner.send("secret", "HGET", keyspace.SECRETS, name)
        await kept
        return cast(bytes, await secret)

    async def put_secret(self, name: str, value: bytes) -> None:
        await self._runner.send("put_secret", "HSET", keyspace.SECRETS, name, value)

    async def changes(self) -> AsyncGenerator[Change, None]:
        pause = FIRST_PAUSE
        while True:
            try:
                async with aclosing(self._listen()) as changes:
                    async for change in changes:
                        pause = FIRST_PAUSE
                        yield change
            except StoreUnavailable:
                pass  # the link has said so; here it only means to listen anew
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self) -> AsyncGenerator[Change, None]:
        """Changes for as long as none is missed: first `all`, then each as it is pushed."""
        subscription = await subscribe(self._speaker, keyspace.CHANNEL)
        try:
            seen = await self._version()
            yield Change("all")
            while True:
                message = await subscription.next(POLL)
                if message is None:
                    if await self._version() != seen:
                        return
                    continue
                version, change = _pushed(message)
                if version > seen + 1:
                    return
                if version == seen + 1:
                    seen = version
                    yield change
        finally:
            subscription.close()

    async def _version(self) -> int:
        return int(await self._runner.send("version", "GET", keyspace.VERSION) or 0)

    def __repr__(self) -> str:
        return f"<RedisKeys at {self._speaker!r}>"


def _pushed(message: bytes) -> tuple[int, Change]:
    """What record.lua publishes: `version:kind:id`."""
    version, kind, name = message.decode().split(":", 2)
    return int(version), Change(cast(Literal["key", "team"], kind), name)
