"""The local table: found by the key's hash, laid over by team and gateway, fresh after every change."""

import hashlib

from gateway.clients import ClientTable
from gateway.policy.quota import parse_limit
from gateway.policy.records import KeyRecord, TeamRecord
from tests.conftest import Start
from tests.scripted import Scripted
from tests.waiting import until

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
