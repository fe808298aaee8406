"""Scripts: known on every connection, and found again when the server has forgotten them."""

import asyncio
from pathlib import Path

import pytest

from gateway.errors import StoreReset, StoreUnavailable
from gateway.policy.records import Claim, Limit, Unit, Window
from gateway.store import keyspace, scripts
from gateway.store.keyspace import Keyspace
from gateway.store.redis import RedisStore
from tests.store.servers import NOW, Connect, Server

TOKENS = Limit("100 tokens/minute", Unit.TOKENS, 100, Window.MINUTE, "key:a")
LUA = Path(scripts.__file__).parent / "lua"
CLAIMS = [Claim(TOKENS, 10, held=True)]


async def test_a_connection_begins_with_all_scripts(server: Server, store: RedisStore) -> None:
    hashes = " ".join(script.sha for script in scripts.ALL)
    assert server.tell(f"SCRIPT EXISTS {hashes}") == b"*%d" % len(scripts.ALL)
    for script in scripts.ALL:
        assert server.tell(f"EVALSHA {script.sha} 0").startswith((b"-ERR", b":", b"*"))


async def test_forgotten_scripts_run_all_the_same_and_once(server: Server, store: RedisStore) -> None:
    assert server.tell("SCRIPT FLUSH") == b"+OK"
    assert (await store.holds.reserve("t", "h", "admit", CLAIMS, NOW, 1000)).standings[0].used == 10
    server.tell("SCRIPT FLUSH")
    store.holds.dispatch("t", "h", NOW, 1000)
    await store.ping()
    await store.ping()
    assert server.tell(f"HSTRLEN {keyspace.holds(Keyspace().base('t'))}h phase") == b":%d" % len("dispatched")
    server.tell("SCRIPT FLUSH")
    assert await store.holds.settle("t", "h", {Unit.TOKENS: 7}, NOW)
    server.tell("SCRIPT FLUSH")
    assert (await store.holds.standings("t", [TOKENS], NOW))[0].used == 7


async def test_a_server_that_forbids_loading_scripts_serves(own: Server, connect: Connect) -> None:
    own.tell("ACL SETUSER gw on >pw ~* &* +@all -script|load")
    store = await connect(f"unix://gw:pw@{own.socket}")
    assert store.up
    assert (await store.holds.reserve("t", "h", "admit", CLAIMS, NOW, 1000)).admitted


async def test_every_failure_is_told_by_name(own: Server, connect: Connect) -> None:
    failures: list[str] = []
    store = await connect(own.url, on_error=failures.append)
    own.stop()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    for call in (
        store.holds.reserve("t", "h", "admit", CLAIMS, NOW, 1000),
        store.answers.get(b"k"),
        store.answers.put(b"k", b"v", 1000, NOW),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    store.holds.dispatch("t", "h", NOW, 1000)
    await asyncio.sleep(0)
    assert sorted(failures) == ["dispatch", "get", "ping", "put", "reserve"]


async def test_a_script_that_fails_is_a_store_that_is_unavailable(server: Server, store: RedisStore) -> None:
    server.tell(f"SET {keyspace.holds(Keyspace().base('t'))}h string")
    with pytest.raises(StoreUnavailable):
        await store.holds.reserve("t", "h", "admit", CLAIMS, NOW, 1000)


async def test_a_store_that_is_not_the_one_expected_counts_as_an_error(
    server: Server, connect: Connect
) -> None:
    failures: list[str] = []
    store = await connect(server.url, on_error=failures.append)
    store.expect("another")
    with pytest.raises(StoreReset):
        await store.holds.expire(NOW)
    assert failures == ["expire"]


def test_each_script_says_what_its_keys_are() -> None:
    """They are reviewed as code: the first line of each file is its contract."""
    for script in scripts.ALL:
        assert (LUA / f"{script.name}.lua").read_text().startswith("-- KEYS: ")
        assert repr(script).startswith(f"Script(name='{script.name}'")


def test_every_file_belongs_to_a_script() -> None:
    texts = b"".join(script.text for script in scripts.ALL)
    assert all(file.read_bytes() in texts for file in LUA.glob("*.lua"))
