from typing import Any

import pytest

from tests.conftest import Start
from tests.running import KEY, Running
from tests.web.conftest import stop_following

CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}


async def call(gateway: Running, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    async with gateway.admin(method, "/admin/v1/keys" + path, body) as answer:
        return answer.status, await answer.json()


async def chats(gateway: Running, key: str, model: str = "gpt-6-luna") -> int:
    async with gateway.post("/v1/chat/completions", CHAT | {"model": model}, key=key) as answer:
        await answer.read()
        status: int = answer.status
        return status


async def test_a_key_from_its_making_to_its_end(gateway: Running) -> None:
    status, made = await call(gateway, "POST", body={"name": "alice", "team": "research", "tags": {"a": "b"}})
    assert status == 201
    key = made.pop("key")
    assert key.startswith(f"sk-gw-{made['id']}-")
    assert (made["name"], made["team"], made["tags"], made["declared"]) == (
        "alice",
        "research",
        {"a": "b"},
        False,
    )
    assert await chats(gateway, key) == 200

    status, listed = await call(gateway, "GET")
    assert [one["id"] for one in listed["data"]] == ["test", made["id"]]
    assert listed["data"][1] == made
    assert await call(gateway, "GET", "/" + made["id"]) == (200, made)

    assert await call(gateway, "DELETE", "/" + made["id"]) == (200, {"id": made["id"], "deleted": True})
    assert await chats(gateway, key) == 401
    assert (await call(gateway, "GET", "/" + made["id"]))[0] == 404
    assert (await call(gateway, "DELETE", "/" + made["id"]))[0] == 404


async def test_a_revoked_key_is_refused_here_without_waiting_for_the_push(gateway: Running) -> None:
    stop_following()
    _, made = await call(gateway, "POST", body={"name": "alice"})
    assert await chats(gateway, made["key"]) == 200
    await call(gateway, "DELETE", "/" + made["id"])
    assert await chats(gateway, made["key"]) == 401


async def test_a_key_is_shown_once(gateway: Running) -> None:
    _, made = await call(gateway, "POST", body={"name": "alice"})
    secret = made["key"].rpartition("-")[2]
    for path in ("", "/" + made["id"]):
        assert secret not in str(await call(gateway, "GET", path))
        assert "digest" not in str(await call(gateway, "GET", path))


async def test_keys_are_never_the_same(gateway: Running) -> None:
    keys = {(await call(gateway, "POST", body={"name": "alice"}))[1]["key"] for _ in range(20)}
    assert len(keys) == 20


async def test_a_change_holds_from_the_next_request_on(gateway: Running) -> None:
    _, made = await call(gateway, "POST", body={"name": "alice", "limits": ["1 requests/day"]})
    path = "/" + made["id"]
    assert await chats(gateway, made["key"]) == 200
    assert await chats(gateway, made["key"]) == 429
    status, changed = await call(gateway, "PATCH", path, {"limits": ["3 requests/day"], "name": "bob"})
    assert (status, changed["limits"], changed["name"]) == (200, ["3 requests/day"], "bob")
    assert await chats(gateway, made["key"]) == 200
    await call(gateway, "PATCH", path, {"models": ["o3*"]})
    assert await chats(gateway, made["key"]) == 403
    assert (await call(gateway, "GET", path))[1]["limits"] == ["3 requests/day"]  # the rest is as it was


async def test_ownership_is_switched_off_and_on_again_by_key(gateway: Running) -> None:
    clients = gateway.gateway.clients
    _, made = await call(gateway, "POST", body={"name": "alice", "ownership": "off"})
    seen = []
    for change in ("on", None, "off"):
        client = clients.client(made["id"])
        assert client is not None
        seen.append((made["ownership"], client.ownership))
        _, made = await call(gateway, "PATCH", "/" + made["id"], {"ownership": change})
    assert seen == [("off", False), ("on", True), (None, True)]


async def test_a_key_is_the_same_in_another_process(start: Start) -> None:
    one = await start()
    other = await start(store=one.store_url, name="b")
    _, made = await call(one, "POST", body={"name": "alice"})
    status, seen = await call(other, "GET", "/" + made["id"])
    assert (status, seen["name"]) == (200, "alice")
    assert made["id"] in [key["id"] for key in (await call(other, "GET"))[1]["data"]]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "a", "team": "no-such-team"}, "team"),
        ({"name": "a", "limits": ["5 dollars/day"]}, "limits"),
        ({"name": "a", "expires": "2020-01-01"}, "expires"),
        ({"name": "a", "id": "mine"}, "id"),
    ],
)
async def test_what_is_wrong_makes_no_key(gateway: Running, body: dict[str, Any], param: str) -> None:
    status, answer = await call(gateway, "POST", body=body)
    assert (status, answer["error"]["param"]) == (400, param)
    assert len((await call(gateway, "GET"))[1]["data"]) == 1


async def test_a_declared_key_is_changed_where_it_is_declared(gateway: Running) -> None:
    _, shown = await call(gateway, "GET", "/test")
    assert shown["declared"] is True
    for method, body in (("PATCH", {"limits": []}), ("DELETE", None)):
        status, answer = await call(gateway, method, "/test", body)
        assert (status, answer["error"]["code"]) == (409, "declared_in_configuration")
    assert await chats(gateway, KEY) == 200


async def test_where_a_keys_limits_stand(gateway: Running) -> None:
    limits = ["10 requests/day", "2 concurrent"]
    _, made = await call(gateway, "POST", body={"name": "alice", "limits": limits})
    await chats(gateway, made["key"])
    await gateway.concluded()
    async with gateway.admin("GET", "/admin/v1/limits/" + made["id"]) as answer:
        body = await answer.json()
    assert body["id"] == made["id"]
    assert [(one["limit"], one["used"], one["left"]) for one in body["limits"]] == [
        ("10 requests/day", 1, 9),
        ("2 concurrent", 0, 2),
    ]
    async with gateway.admin("GET", "/admin/v1/limits/no-such-key") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "key_not_found")
