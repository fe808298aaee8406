"""What the contract does not say of the holds in Redis: what is kept where, for how long, and what is not."""

import re

import msgspec
import pytest

from gateway.policy.records import Claim, Limit, Unit, Window
from gateway.store import keyspace
from gateway.store.base import TOMBSTONE_MS, Ended
from gateway.store.counters import KEPT_MS
from gateway.store.holds import EXPIRED_MS
from gateway.store.keyspace import Keyspace
from gateway.store.redis import RedisStore
from tests.store.claims import record, row
from tests.store.servers import NOW, Cluster, Connect, Server

LEASE, HOUR, DAY = 30_000, 3_600_000, 86_400_000
BASE = Keyspace().base("research")
TOKENS = Limit("100 tokens/minute", Unit.TOKENS, 100, Window.MINUTE, "key:a")
DOLLARS = Limit("$5/day", Unit.DOLLARS, 500, Window.DAY, "key:a")
TOTAL = Limit("$5/total", Unit.DOLLARS, 500, Window.TOTAL, "key:a")
SLOTS = Limit("1 concurrent", Unit.SLOTS, 1, None, "key:a")


def lifetime(server: Server, key: str) -> int:
    """Milliseconds; -1: for ever; -2: there is no such key."""
    return int(server.tell(f"PTTL {key}")[1:])


async def runs(store: RedisStore, server: Server) -> int:
    """How many scripts ran since the statistics were reset."""
    await store.ping()
    nodes = server.nodes if isinstance(server, Cluster) else [server]
    stats = b"".join(node.ask("INFO", "commandstats") for node in nodes)
    return sum(map(int, re.findall(rb"cmdstat_evalsha:calls=(\d+)", stats)))


async def test_a_refusal_leaves_nothing_behind(server: Server, store: RedisStore) -> None:
    assert not (
        await store.holds.reserve("research", "h", "admit", [Claim(TOKENS, 101, True)], NOW, LEASE)
    ).admitted
    assert server.tell("DBSIZE") == b":0"


async def test_counters_outlive_their_windows_and_the_total_never_ends(
    server: Server, store: RedisStore
) -> None:
    claims = [Claim(limit, 1, True) for limit in (TOKENS, DOLLARS, TOTAL)]
    await store.holds.reserve("research", "h", "admit", claims, NOW, LEASE)
    left = DAY - NOW % DAY
    assert KEPT_MS - HOUR < lifetime(server, keyspace.limit(BASE, TOKENS.id)) <= KEPT_MS
    assert 0 <= KEPT_MS + left - lifetime(server, keyspace.limit(BASE, DOLLARS.id, "day-2026-09-21")) < HOUR
    assert lifetime(server, keyspace.limit(BASE, TOTAL.id, "total")) == -1


async def test_an_open_hold_never_ends_by_itself_and_an_ended_one_does(
    server: Server, store: RedisStore
) -> None:
    key = keyspace.holds(BASE)
    for hold in ("settled", "expired"):
        await store.holds.reserve("research", hold, "admit", [Claim(TOKENS, 1, True)], NOW, LEASE)
        assert lifetime(server, key + hold) == -1
    await store.holds.settle("research", "settled", {}, NOW)
    assert 0 < lifetime(server, key + "settled") <= TOMBSTONE_MS
    assert server.tell(f"HLEN {key}settled") == b":1"
    await store.holds.expire(NOW + LEASE)
    assert TOMBSTONE_MS < lifetime(server, key + "expired") <= EXPIRED_MS
    assert server.tell(f"EXISTS {keyspace.leases(BASE)}") == b":0"


async def test_lapsed_places_are_swept_by_the_next_who_takes_one(server: Server, store: RedisStore) -> None:
    for number in range(5):
        now = NOW + number * LEASE
        await store.holds.reserve("research", f"h{number}", "admit", [Claim(SLOTS, 1, True)], now, LEASE)
    assert server.tell(f"ZCARD {keyspace.limit(BASE, SLOTS.id)}") == b":1"


async def test_shards_spread_over_tags_and_all_are_swept(server: Server, connect: Connect) -> None:
    store = await connect(server.url, tags=4)
    for number in range(12):
        team, hold = f"team-{number}", f"h{number}"
        assert (
            await store.holds.reserve(team, hold, "admit", [Claim(SLOTS, 1, True)], NOW + number % 2, LEASE)
        ) is not None
    assert all(server.tell(f"EXISTS {keyspace.leases(base)}") == b":1" for base in Keyspace(4).bases)
    assert await store.holds.expire(NOW + 2 * LEASE) == 4 * [b""]  # one place under each tag
    assert await store.holds.expire(NOW + 2 * LEASE) == []


async def test_a_dispatched_hold_keeps_its_row_until_it_ends(server: Server, store: RedisStore) -> None:
    key = keyspace.holds(BASE)
    for hold in ("settled", "expired"):
        store.holds.dispatch("research", hold, NOW, LEASE, record(row(hold, 5)))
    assert await store.holds.settle("research", "settled", {}, NOW, record(row("settled", 3)))
    assert server.tell(f"HEXISTS {key}expired record") == b":1"
    await store.holds.expire(NOW + LEASE)
    assert server.tell(f"HEXISTS {key}expired record") == b":0"
    assert server.tell(f"HLEN {key}settled") == b":1"
    assert 0 < lifetime(server, key + "settled") <= TOMBSTONE_MS < lifetime(server, key + "expired")


async def test_sums_and_the_head_stay_for_ever_and_recent_rows_do_not(
    server: Server, store: RedisStore
) -> None:
    told = record(row("h", 5, key="alice", tags={"t": "1"}))
    await store.holds.settle("research", "h", {}, NOW, told)
    sums = (keyspace.sums(BASE, told.day), keyspace.tag_sums(BASE, told.day))
    for key in (*sums, keyspace.head(BASE), keyspace.ledger(BASE)):
        assert lifetime(server, key) == -1
    assert 0 < lifetime(server, keyspace.recent(BASE, "alice")) <= KEPT_MS


async def test_a_settle_brings_the_claims_along_only_where_they_are_missing(
    server: Server, store: RedisStore
) -> None:
    """The usual call is one, and says no more of them than their names."""
    claims = [Claim(TOKENS, 10, True), Claim(SLOTS, 1, True)]
    await store.holds.reserve("research", "known", "admit", claims, NOW, LEASE)
    for hold, given, calls in (
        ("known", claims, 1),
        ("new", claims, 2),
        ("free", [], 1),
        ("s", claims[1:], 1),
    ):
        server.tell("CONFIG RESETSTAT")
        assert await store.holds.settle("research", hold, {Unit.TOKENS: 1}, NOW, claims=given, claimed=NOW)
        assert await runs(store, server) == calls
    assert (await store.holds.standings("research", [TOKENS], NOW))[0].used == 2


async def test_many_holds_are_renewed_in_batches(store: RedisStore) -> None:
    names = [f"h{number}" for number in range(230)]
    for name in names:
        await store.holds.reserve("research", name, "admit", [], NOW, LEASE)
    assert await store.holds.renew("research", names, NOW + 1, LEASE) == 230
    assert await store.holds.expire(NOW + LEASE) == []


async def test_the_standings_of_no_limits_are_none(store: RedisStore) -> None:
    assert await store.holds.standings("research", [], NOW) == ()


def an_earlier_gateways(base: str) -> tuple[bytes, bytes]:
    """Claims and record as version 0.4 left them with a hold."""
    common = {"amount": 40, "ttl": KEPT_MS, "shadow": False, "slots": False, "at": NOW, "charged": 0}
    tokens = common | {
        "key": keyspace.limit(base, TOKENS.id), "meter": TOKENS.id, "unit": "tokens", "held": True,
        "scale": 60_000, "leak": 100, "cap": 100, "open": True,
    }  # fmt: skip
    places = common | {
        "key": keyspace.limit(base, SLOTS.id), "meter": SLOTS.id, "unit": "concurrent", "held": True,
        "scale": 1, "leak": 0, "cap": 1, "amount": 1, "slots": True, "open": False,
    }  # fmt: skip
    told = record(row("old", 5, tags={"t": "1"}))
    kept = {
        "ledger": keyspace.ledger(base), "head": keyspace.head(base), "most": 100, "late": "",
        "sums": keyspace.sums(base, told.day), "tagsums": keyspace.tag_sums(base, told.day),
        "recent": keyspace.recent(base, told.key), "row": told.row.decode(), "added": told.sums,
        "who": told.who, "late_who": told.who, "other": "other", "tags": told.tags,
    }  # fmt: skip
    return msgspec.msgpack.encode([tokens, places]), msgspec.msgpack.encode(kept)


@pytest.mark.parametrize("expired", [False, True])
async def test_what_an_earlier_gateway_holds_is_ended(
    server: Server, store: RedisStore, expired: bool
) -> None:
    """Gateways are upgraded one after the other, and some die while they are."""
    send = store._runner.send
    claims, kept = an_earlier_gateways(BASE)
    lease = NOW + LEASE
    await store.holds.reserve("research", "other", "admit", [Claim(TOKENS, 1, True)], NOW, LEASE)
    await store.holds.settle("research", "other", {Unit.TOKENS: 0}, NOW)
    key = keyspace.holds(BASE) + "old"
    fields = ("phase", "dispatched", "lease", lease, "claims", claims, "record", kept)
    await send("test", "HSET", key, *fields)
    await send("test", "ZADD", keyspace.leases(BASE), lease, "old")
    await send("test", "ZADD", keyspace.limit(BASE, SLOTS.id), lease, "old/2/1")
    await send("test", "HSET", keyspace.limit(BASE, TOKENS.id), "u", 0, "r", 40, "t", NOW)
    limits = (TOKENS, SLOTS)
    if expired:
        assert await store.holds.renew("research", ["old"], NOW, LEASE + 1) == 1
        assert await store.holds.expire(lease + 1) == [record(row("old", 5, tags={"t": "1"})).row]
        assert [each.used for each in await store.holds.standings("research", limits, lease + 1)] == [40, 0]
        assert [each.who for each in await store.ledger.tag_sums(["2026-09-21"])] == ["t=1"]
    told = record(row("old", 3), row("old", 5) if expired else None)
    now = lease + 1 if expired else NOW
    settled = await store.holds.settle("research", "old", {Unit.TOKENS: 10}, now, told)
    assert settled is (Ended.LATE if expired else Ended.NOW)
    assert [each.used for each in await store.holds.standings("research", limits, now)] == [10, 0]
