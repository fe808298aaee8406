"""Rows of the ledger: written into a store by its own scripts, or chained by hand."""

from collections.abc import Iterable
from typing import Any

from gateway.policy.chain import link
from gateway.policy.ledger import Row, encode, record_of
from gateway.store.base import Kept
from gateway.store.redis import RedisStore
from tests.store.servers import NOW

DAY_MS = 86_400_000


def row(n: int, **changes: Any) -> Row:
    """The row of request n: an answer from an upstream, one second after the one before."""
    values: dict[str, Any] = {
        "id": f"request-{n}",
        "time": NOW + 1000 * n,
        "key": "alice",
        "endpoint": "chat",
        "team": "research",
        "model": "gpt-4",
        "sent": "gpt-6",
        "upstream": "openai",
        "status": 200,
        "cache": "miss",
        "settled": "usage",
        "input": 10,
        "output": n,
        "cached": 3,
        "cost": 1000 + n,
        "duration": 250,
    }
    return Row(**values | changes)


async def write(store: RedisStore, rows: Iterable[Row]) -> None:
    """As requests that end leave them."""
    for each in rows:
        record = record_of(each, "2026-09-21", each.model)
        assert await store.holds.settle("shard", f"hold-{each.id}-{each.correction}", {}, each.time, record)


def chained(rows: Iterable[Row | bytes], previous: str = "", first: int = 1) -> list[Kept]:
    """Rows as the store would keep them, from number `first` on."""
    kept = []
    for number, each in enumerate(rows, first):
        text = each if isinstance(each, bytes) else encode(each)
        previous = link(previous, number, text)
        kept.append(Kept(f"{NOW + 1000 * number}-0", number, text, previous))
    return kept


async def everything(store: RedisStore) -> list[Kept]:
    return await store.ledger.oldest(None, 1_000_000)
