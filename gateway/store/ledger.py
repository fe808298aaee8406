"""The ledger in Redis: `base.Ledger`, and the records that the scripts of holds write into it."""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from gateway.policy.ledger import SEPARATOR, who_of
from gateway.policy.records import Record
from gateway.store import keyspace, scripts
from gateway.store.base import Kept, Sum
from gateway.store.gauges import flat, text
from gateway.store.scripts import Runner

OTHER = "other"  # the model, or the tag, under which a day's sums are added up once there are too many

_SCANNED = 2_000  # sums looked at in one step of a search, so that no step holds the store up
_GLOB = re.compile(r"[\\*?\[\]]")  # what a pattern of Redis gives a meaning to
_POSITION = re.compile(r"\d{1,18}-\d{1,18}")
_LATEST = 20  # rows of one key that stay within reach
_unpack_sums = msgspec.msgpack.Decoder(tuple[int, ...]).decode


@lru_cache(maxsize=4096)  # 4 µs for each record otherwise
def _account(key: str, day: str, who: str) -> tuple[str, str, str, str]:
    owner, team = who.split(SEPARATOR, 2)[:2]
    return keyspace.hashed(key), day, who, who_of(owner, team, OTHER)


@lru_cache(maxsize=4096)
def account(key: str, day: str, who: str) -> bytes:
    """Where rows of this key, day and sum are added up, for the scripts: see rows.lua."""
    return flat(_account(key, day, who))


def pack(record: Record) -> bytes:
    """The record as a hold keeps it; rows.lua says what stands where."""
    return flat(
        (
            *(text(record.row), *_account(record.key, record.day, record.who)),
            *(text(record.late), record.late_who or record.who),
            *(len(record.sums), len(record.late_sums)),
            *(*record.sums, *record.late_sums, *record.tags),
        )
    )


class RedisLedger:
    """The rows of one hash tag. `max_age` (ms) is how long they stay.

    Of one day there are about 20,000 sums at most, and as many of tags. What comes after is added up under
    `OTHER`: sums of a key and a team go on without the model, and all further tags together.
    """

    def __init__(self, runner: Runner, base: str, max_age: int) -> None:
        self._runner = runner
        self._base = base
        self._max_age = max_age

    async def newest(self, before: str | None, count: int) -> list[Kept]:
        """Raises ValueError where `before` is no position."""
        return await self._rows("XREVRANGE", _beyond(before, "+"), "-", count)

    async def oldest(self, after: str | None, count: int) -> list[Kept]:
        """Raises ValueError where `after` is no position."""
        return await self._rows("XRANGE", _beyond(after, "-"), "+", count)

    async def _rows(self, command: str, start: str, end: str, count: int) -> list[Kept]:
        ledger = keyspace.ledger(self._base)
        entries = await self._runner.send("ledger", command, ledger, start, end, "COUNT", count)
        return [_kept(entry) for entry in entries]

    async def recent(self, key: str, count: int) -> list[bytes]:
        """Of the latest twenty, those that are still in the ledger."""
        if count < 1:
            return []
        list_of = keyspace.recent(self._base, key)
        positions = await self._runner.send("ledger", "LRANGE", list_of, 0, min(count, _LATEST) - 1)
        ledger = keyspace.ledger(self._base)
        calls = [self._runner.send("ledger", "XRANGE", ledger, where, where) for where in positions]
        return [_kept(entry).row for entries in await asyncio.gather(*calls) for entry in entries]

    async def sums(self, days: Sequence[str], key: str | None = None) -> list[Sum]:
        if key is None:
            return await self._sums(keyspace.sums, days)
        begins = _GLOB.sub(r"\\\g<0>", key) + SEPARATOR + "*"
        return [found for day in days for found in await self._sums_of(day, begins)]

    async def _sums_of(self, day: str, pattern: str) -> list[Sum]:
        """Searched where they are kept: what others used is not sent."""
        found: dict[bytes, bytes] = {}
        cursor = b"0"
        while True:
            cursor, kept = await self._runner.send(
                "ledger", "HSCAN", keyspace.sums(self._base, day), cursor, "MATCH", pattern, "COUNT", _SCANNED
            )
            found |= dict(zip(kept[::2], kept[1::2], strict=True))
            if cursor == b"0":
                return [Sum(day, who.decode(), _unpack_sums(packed)) for who, packed in found.items()]

    async def tag_sums(self, days: Sequence[str]) -> list[Sum]:
        return await self._sums(keyspace.tag_sums, days)

    async def _sums(self, key: Callable[[str, str], str], days: Sequence[str]) -> list[Sum]:
        """One day after the other: together they might take longer than a call may."""
        found: list[Sum] = []
        for day in days:
            kept = iter(await self._runner.send("ledger", "HGETALL", key(self._base, day)))
            found += [
                Sum(day, who.decode(), _unpack_sums(packed)) for who, packed in zip(kept, kept, strict=True)
            ]
        return found

    async def head(self) -> tuple[int, str]:
        head = keyspace.head(self._base)
        number, last = await self._runner.send("ledger", "HMGET", head, "number", "hash")
        return (0, "") if number is None else (int(number), last.decode())

    async def continue_at(self, number: int, hash: str) -> None:
        """Where the chain is as far already, or further, it stays as it is."""
        await self._runner.run(scripts.CONTINUE_AT, (keyspace.head(self._base),), (number, hash))

    async def trim(self, now: int) -> None:
        """Whole blocks of rows go (about a hundred each), so some stay a little longer."""
        oldest = max(0, now - self._max_age)
        while await self._runner.send("ledger", "XTRIM", keyspace.ledger(self._base), "MINID", "~", oldest):
            pass

    def __repr__(self) -> str:
        return f"<RedisLedger {keyspace.ledger(self._base)}>"


def _beyond(position: str | None, edge: str) -> str:
    """Where a range begins that does not hold `position` itself."""
    if position is None:
        return edge
    if not _POSITION.fullmatch(position):
        raise ValueError("no position of a ledger")
    return f"({position}"


def _kept(entry: Sequence[Any]) -> Kept:
    position, fields = entry
    values: dict[bytes, bytes] = dict(zip(fields[::2], fields[1::2], strict=True))
    return Kept(position.decode(), int(values[b"n"]), values[b"row"], values[b"hash"].decode())
