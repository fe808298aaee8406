"""An emptied store is accepted: nobody loses a key, and nobody gets a fresh budget."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.away.epoch import EpochGuard
from gateway.away.remembered import Remembered
from gateway.away.restoring import Restored, Sink, accept, used_of
from gateway.away.share import LocalShare
from gateway.clients import ClientTable, apply
from gateway.errors import Conflict
from gateway.ledger.sink import Sink as RealSink
from gateway.ledger.sink import Spent
from gateway.policy.limits import parse_limit
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.policy.windows import Calendar
from gateway.runtime import Clock, Gateway
from gateway.settings import Away
from gateway.store.base import Change
from gateway.store.redis import RedisStore
from tests.away.entries import LEASE, claims, record
from tests.store.servers import NOW, Connect, Server

ADMIN = b"\x02" * 32
EVERYBODY = parse_limit("1M tokens/month", "gateway")
DOLLAR = 10**9


class Still(Clock):
    def now(self) -> int:
        return NOW


@dataclass
class One:
    """One gateway, as far as this concerns it."""

    store: RedisStore
    guard: EpochGuard
    gateway: Gateway

    async def accept(self, sink: Sink | None = None, *, without_keys: bool = False) -> Restored:
        return await accept(
            *(self.guard, self.gateway, self.store),
            admin_digest=ADMIN,
            sink=sink,
            without_keys=without_keys,
        )

    async def used(self, client: str, text: str) -> int:
        """What is used of a client's limit, in the store."""
        found = self.gateway.clients.client(client)
        assert found is not None
        (limit,) = (limit for limit in found.limits if limit.text == text)
        return (await self.store.holds.standings(found.shard, [limit], NOW))[0].used


def key(id: str, team: str | None = None, limits: list[str] | None = None) -> KeyRecord:
    digest = hashlib.sha256(id.encode()).hexdigest()
    return KeyRecord(id=id, name=id, digest=digest, team=team, limits=[*(limits or [])])


async def one(store: RedisStore, folder: Path) -> One:
    table = ClientTable((EVERYBODY,))
    table.declare([key("declared", limits=["$9/month"])], [])
    gateway = cast(
        Gateway,
        SimpleNamespace(
            clients=table, secret=b"s" * 32, clock=Still(), calendar=Calendar("UTC"), share=LocalShare(Away())
        ),
    )
    return One(store, EpochGuard(store, Remembered(folder, "redis://here")), gateway)


@pytest.fixture
async def running(own: Server, connect: Connect, tmp_path: Path) -> One:
    """A gateway that has run for a while, and whose store has just been emptied."""
    gateway = await one(await connect(own.url), tmp_path / "data")
    keys = gateway.store.keys
    await gateway.guard.check()
    await keys.put_team(TeamRecord(name="research", limits=["$50/month", "1000 requests/minute"]))
    await keys.put_key(key("alice", "research", ["100k tokens/day", "$5/day on gpt-4*"]))
    await keys.put_key(key("bob"))
    await keys.secret("cache", gateway.gateway.secret)
    assert await apply(gateway.gateway.clients, keys, Change("all"), gateway.guard.trusted)
    own.tell("FLUSHALL")
    return gateway


async def test_there_is_nothing_to_accept_where_nothing_was_lost(
    own: Server, connect: Connect, tmp_path: Path
) -> None:
    with pytest.raises(Conflict, match="nothing to accept"):
        await (await one(await connect(own.url), tmp_path)).accept()


async def test_keys_teams_and_secrets_are_put_back(running: One) -> None:
    restored = await running.accept()
    assert (restored.keys, restored.teams, restored.source) == (2, 1, "memory")
    roster = await running.store.keys.load()
    assert {kept.id for kept in roster.keys} == {"alice", "bob"}
    assert [team.name for team in roster.teams] == ["research"]
    assert await running.store.keys.secret("admin", b"fresh") == ADMIN
    assert await running.store.keys.secret("cache", b"fresh") == b"s" * 32
    assert await running.store.keys.secret("first start", b"fresh") != b"fresh"
    assert restored.epoch == await running.store.epoch()
    assert running.guard.complaint is None
    assert running.gateway.clients.client("alice") is not None


async def test_what_is_there_already_stays(running: One) -> None:
    await running.store.keys.put_key(key("bob", limits=["3 concurrent"]))
    await running.store.keys.secret("admin", b"made meanwhile")
    assert (await running.accept()).keys == 1
    bob = await running.store.keys.key("bob")
    assert bob is not None
    assert bob.limits == ["3 concurrent"]
    assert await running.store.keys.secret("admin", b"fresh") == b"made meanwhile"


async def test_budgets_are_restored_from_the_database(
    running: One, own: Server, connect: Connect, tmp_path: Path
) -> None:
    """What was used before the loss, by the rows that a real sink has of it."""
    sink = await RealSink.open(f"sqlite:{tmp_path / 'ledger.db'}")
    other = await connect(own.url)
    try:
        for n in range(3):
            await other.holds.settle(
                "research", f"h{n}", {}, NOW, record(f"h{n}", 1000 + n), claims=claims(), claimed=NOW
            )
        await sink.insert(await other.ledger.oldest(None, 100))
        before = await other.ledger.head()
        own.tell("FLUSHALL")
        restored = await running.accept(sink)
    finally:
        await sink.close()
    assert (restored.source, restored.rows) == ("sink", 3)
    assert await running.used("alice", "100k tokens/day") == 3003
    assert await running.used("bob", "1M tokens/month") == 3003
    assert await running.store.ledger.head() == before


async def test_budgets_are_restored_from_memory_where_there_is_no_database(running: One, own: Server) -> None:
    client = running.gateway.clients.client("alice")
    assert client is not None
    (daily,) = (limit for limit in client.limits if limit.text == "100k tokens/day")
    await running.store.holds.restore("research", [(daily, 400)], NOW)
    running.gateway.share.seen(await running.store.holds.standings("research", [daily], NOW), NOW)
    own.tell("FLUSHALL")
    assert (await running.accept()).budgets == 1
    assert await running.used("alice", "100k tokens/day") == 400


async def test_nobody_charges_anything_before_all_is_restored(running: One) -> None:
    """A sink that fails leaves the store as it was: not accepted. It may be asked again."""

    class Failing:
        async def spent_since(self, since: int) -> list[Spent]:
            raise ConnectionError

        async def last(self) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await running.accept(Failing())
    assert running.guard.complaint is not None
    assert await running.store.epoch() == ""
    await running.accept()
    assert (await running.store.holds.reserve("r", "h", "admit", claims(), NOW, LEASE)).admitted


async def test_one_at_a_time(running: One) -> None:
    await running.store.marks.mark("accept store", 60_000)
    with pytest.raises(Conflict, match="Another"):
        await running.accept()


async def test_a_gateway_that_knows_no_keys_says_so(
    running: One, own: Server, connect: Connect, tmp_path: Path
) -> None:
    restarted = await one(await connect(own.url), tmp_path / "data")
    with pytest.raises(Conflict, match="only declared keys"):
        await restarted.accept()
    assert (await restarted.accept(without_keys=True)).keys == 0
    assert restarted.gateway.clients.client("declared") is not None


def spent(**changes: object) -> Spent:
    what: dict[str, object] = {"key": "alice", "team": "research", "model": "cheap", "sent": "gpt-4o"}
    numbers = {"day": "2026-09-21", "requests": 2, "input": 30, "output": 4, "cost": DOLLAR}
    return Spent(**what | numbers | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "scope", "used"),
    [
        ("$5/day", "key:alice", DOLLAR),
        ("$5/day", "key:bob", 0),
        ("100 requests/day", "team:research", 2),
        ("100 requests/day", "team:other", 0),
        ("1k tokens/month", "gateway", 34),
        ("1k tokens/month on gpt-4*", "gateway", 34),  # the model that was sent
        ("1k tokens/month on cheap", "gateway", 34),  # the model that was asked for
        ("1k tokens/month on o3", "gateway", 0),
    ],
)
def test_what_was_used_of_a_limit(text: str, scope: str, used: int) -> None:
    assert used_of(parse_limit(text, scope), [spent()]) == used
