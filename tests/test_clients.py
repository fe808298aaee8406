"""The local table: found by the key's hash, laid over by team and gateway, fresh after every change."""

import asyncio
import hashlib

import pytest

from gateway.clients import ClientTable, apply, follow
from gateway.errors import InvalidKey
from gateway.policy.quota import parse_limit
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.store.base import Change, Roster
from tests.conftest import Start
from tests.scripted import Scripted
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server, Spawned
from tests.waiting import until

__all__ = ["connect", "home", "own", "spawn"]

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def key(id: str, secret: str, **more: object) -> KeyRecord:
    return KeyRecord(id=id, name=id, digest=hashlib.sha256(secret.encode()).hexdigest(), **more)  # type: ignore[arg-type]


def test_limits_add_up_and_permissions_narrow() -> None:
    table = ClientTable((parse_limit("9 concurrent", "gateway"),), ["inference"], "team")
    table.declare(
        [key("a", "s", team="t", limits=["1 requests/day"], models=["gpt-*"], cache_scope="private")],
        [
            TeamRecord(
                name="t", limits=["2 requests/day"], models=["gpt-4*"], endpoints=["inference", "files"]
            )
        ],
    )
    client = table.find(b"s")
    assert client is not None
    assert [limit.scope for limit in client.limits] == ["key:a", "team:t", "gateway"]
    assert client.models == (("gpt-*",), ("gpt-4*",))
    assert (client.cache_scope, client.endpoints) == ("private", {"inference", "files"})
    assert table.find(b"t") is None


@pytest.mark.parametrize("everybody", [True, False])
def test_a_key_may_have_its_own_word_on_ownership(everybody: bool) -> None:
    table = ClientTable(ownership=everybody)
    table.replace([key("a", "s"), key("b", "t", ownership="off"), key("c", "u", ownership="on")], [])
    found = [table.client(each) for each in "abc"]
    assert [each.ownership for each in found if each is not None] == [everybody, False, True]


def test_a_team_that_changes_changes_its_keys() -> None:
    table = ClientTable()
    table.replace([key("a", "s", team="t"), key("b", "r")], [])
    table.put_team("t", TeamRecord(name="t", limits=["2 requests/day"]))
    found = table.find(b"s")
    assert found is not None
    assert [limit.text for limit in found.limits] == ["2 requests/day"]
    table.put_team("t", None)
    found = table.find(b"s")
    assert found is not None
    assert found.limits == ()


def test_a_changed_digest_takes_the_old_one_out() -> None:
    table = ClientTable()
    table.replace([key("a", "old")], [])
    table.put_key("a", key("a", "new"))
    assert table.find(b"old") is None
    assert table.find(b"new") is table.client("a")
    table.put_key("a", None)
    assert table.find(b"new") is None
    assert (table.keys(), table.client("a")) == ([], None)


def test_what_is_declared_wins_over_the_store_and_outlives_it() -> None:
    table = ClientTable()
    table.declare([key("a", "declared", declared=True)], [])
    table.replace([key("a", "stored")], [])
    assert table.find(b"stored") is None
    assert table.find(b"declared") is not None
    table.put_key("a", None)
    assert table.find(b"declared") is not None


def test_a_key_whose_limits_cannot_be_read_opens_nothing() -> None:
    table = ClientTable()
    table.replace([key("a", "s", limits=["5 bananas/fortnight"]), key("b", "r")], [])
    assert table.find(b"s") is None
    assert table.find(b"r") is not None


def test_what_is_stored_is_told_from_what_is_declared() -> None:
    table = ClientTable()
    table.declare([key("a", "s")], [TeamRecord(name="t")])
    table.replace([key("b", "r")], [TeamRecord(name="u")])
    stored = table.stored()
    assert ([k.id for k in stored.keys], [t.name for t in stored.teams]) == (["b"], ["u"])
    assert {client.id for client in table.everybody()} == {"a", "b"}


def test_keys_share_what_they_have_in_common() -> None:
    table = ClientTable()
    team = TeamRecord(name="t", limits=["2 requests/day"])
    table.replace([key(name, name, team="t", limits=["1 requests/day"]) for name in "ab"], [team])
    a, b = table.client("a"), table.client("b")
    assert a is not None
    assert b is not None
    assert a.limits[1] is b.limits[1]
    assert a.models is b.models
    assert [limit.scope for limit in (*a.limits, *b.limits)] == ["key:a", "team:t", "key:b", "team:t"]


async def test_while_many_keys_are_read_others_have_their_turn_and_see_the_old_ones() -> None:
    table = ClientTable()
    table.replace([key("old", "s")], [])
    roster = Roster(tuple(key(f"k{number}", f"s{number}") for number in range(4_001)), ())
    reading = asyncio.ensure_future(table.replacement(roster))
    turns = 0
    while not reading.done():
        assert table.find(b"s") is not None
        turns += 1
        await asyncio.sleep(0)
    assert turns > 2
    assert len(table.everybody()) == 1
    (await reading)()
    assert len(table.everybody()) == 4_001
    assert table.find(b"s") is None
    assert table.find(b"s4000") is table.client("k4000")


async def trusted() -> bool:
    return True


async def lost() -> bool:
    return False


@pytest.mark.parametrize("change", [Change("all"), Change("key", "a"), Change("team", "t")])
async def test_nobody_loses_a_key_to_a_store_that_has_lost_its_memory(
    own: Server, connect: Connect, change: Change
) -> None:
    store, table = await connect(own.url), ClientTable()
    await store.keys.put_team(TeamRecord(name="t", limits=["2 requests/day"]))
    await store.keys.put_key(key("a", "s", team="t"))
    assert await apply(table, store.keys, Change("all"), trusted)
    own.tell("FLUSHALL")
    assert not await apply(table, store.keys, change, lost)
    client = table.identify(b"s", 0)
    assert [limit.text for limit in client.limits] == ["2 requests/day"]
    assert await apply(table, store.keys, Change("all"), trusted)
    with pytest.raises(InvalidKey):
        table.identify(b"s", 0)


@pytest.mark.parametrize("change", [Change("all"), Change("key", "a")])
async def test_a_key_written_while_the_store_is_read_stays(
    own: Server, connect: Connect, change: Change
) -> None:
    store, table = await connect(own.url), ClientTable()
    writes = [key("a", "s")]

    async def while_it_is_written() -> bool:
        if writes:
            record = writes.pop()
            await store.keys.put_key(record)
            table.put_key(record.id, record)
        return True

    assert await apply(table, store.keys, change, while_it_is_written)
    table.loaded = True
    assert table.identify(b"s", 0).id == "a"


async def test_the_table_follows_the_store_while_it_is_trusted(
    own: Server, connect: Connect, spawn: Spawned
) -> None:
    store, table, trusting = await connect(own.url), ClientTable(), asyncio.Event()

    async def guard() -> bool:
        return trusting.is_set()

    following = spawn(follow(table, store.keys, guard), "follow clients")
    await store.keys.put_key(key("a", "s"))
    assert not table.loaded
    trusting.set()
    await store.keys.put_key(key("b", "r"))
    await until(lambda: table.client("b") is not None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_key_made_and_revoked_in_one_process_is_known_in_the_other(
    start: Start, upstream: Scripted
) -> None:
    one = await start(name="one")
    two = await start(name="two", store=one.store_url)
    async with one.admin("POST", "/admin/v1/keys", {"name": "x"}) as made:
        record = await made.json()
    await until(lambda: two.gateway.clients.client(record["id"]) is not None)
    async with two.post(CHAT, QUESTION, key=record["key"]) as answer:
        assert answer.status == 200
    async with one.admin("DELETE", f"/admin/v1/keys/{record['id']}") as gone:
        assert gone.status in (200, 204)
    await until(lambda: two.gateway.clients.client(record["id"]) is None)
    async with two.post(CHAT, QUESTION, key=record["key"]) as answer:
        assert answer.status == 401
