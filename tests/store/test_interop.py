"""Another client sees in the store what this one wrote, and nothing that opens a door."""

import hashlib

from redis.asyncio import Redis

from gateway.policy.limits import parse_limit
from gateway.policy.records import Claim, KeyRecord
from gateway.store import keyspace
from tests.store.servers import Connect, Server

SECRET = "sk-gw-canary-0123456789"


async def test_redis_py_reads_keys_counters_and_answers(single: Server, connect: Connect) -> None:
    store = await connect(single.url)
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    await store.keys.put_key(KeyRecord(id="a1", name="alice", digest=digest))
    limit = parse_limit("7 requests/day", "key:a1")
    assert (await store.holds.reserve("a1", "h", "admit", [Claim(limit, 1, False)], 1, 1000)).admitted
    await store.answers.put(b"k", b"entry", 60_000, 1)
    path = single.url.removeprefix("unix://").partition("?")[0]
    async with Redis(unix_socket_path=path, protocol=2) as other:
        record = await other.hget(keyspace.KEYS, "a1")
        assert digest.encode() in record
        assert await other.get(keyspace.ENTRY + b"k") == b"entry"
        names = [name async for name in other.scan_iter("gw:*")]
        assert any(limit.id.encode() in name for name in names)
        values = [await other.dump(name) for name in names]
    assert not [value for value in values if SECRET.encode() in value]
