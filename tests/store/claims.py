"""Limits, claims and records that the tests of the contract share."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.policy.chain import link
from gateway.policy.ledger import Row, record_of
from gateway.policy.records import Claim, Limit, Record, Unit, Verdict, Window
from gateway.store.base import Kept
from gateway.store.redis import RedisStore
from tests.store.servers import NOW

MINUTE, DAY, LEASE = 60_000, 86_400_000, 30_000
TEAM = "research"
TODAY = "2026-09-21"

REQUESTS = Limit("10 requests/minute", Unit.REQUESTS, 10, Window.MINUTE, "key:a")
TOKENS = Limit("1000 tokens/minute", Unit.TOKENS, 1000, Window.MINUTE, "team:research")
DOLLARS = Limit("$5/day", Unit.DOLLARS, 5_000_000_000, Window.DAY, "key:a")
SLOTS = Limit("2 concurrent", Unit.SLOTS, 2, None, "key:a")
ALL = (REQUESTS, TOKENS, DOLLARS, SLOTS)


def claim(limit: Limit, amount: int = 1) -> Claim:
    return Claim(limit, amount, held=limit.unit is not Unit.REQUESTS)


async def take(
    store: RedisStore,
    hold: str,
    claims: Sequence[Claim],
    now: int = NOW,
    step: str = "admit",
    lease: int = LEASE,
) -> Verdict:
    return await store.holds.reserve(TEAM, hold, step, claims, now, lease)


async def used(store: RedisStore, *limits: Limit, now: int = NOW) -> tuple[int, ...]:
    return tuple(standing.used for standing in await store.holds.standings(TEAM, limits, now))


def row(
    hold: str, cost: int, now: int = NOW, *, key: str = "a", tags: Mapping[str, str] | None = None
) -> Row:
    tags = dict(tags or {})
    return Row(id=hold, time=now, key=key, endpoint="chat", team=TEAM, model="m", cost=cost, tags=tags)


def record(row: Row, lease: Row | None = None) -> Record:
    day = datetime.fromtimestamp(row.time / 1000, UTC).date().isoformat()
    return record_of(row, day, row.model, None if lease is None else (lease, lease.model))


def assert_chain(rows: Sequence[Kept], number: int = 0, previous: str = "") -> None:
    """These rows, oldest first, follow on row `number`."""
    for kept in rows:
        number += 1
        previous = link(previous, number, kept.row)
        assert (kept.number, kept.hash) == (number, previous)
