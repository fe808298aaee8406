from typing import Any

from tests.running import Running

CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}


async def call(gateway: Running, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    async with gateway.admin(method, "/admin/v1/teams" + path, body) as answer:
        return answer.status, await answer.json()


async def key_in(gateway: Running, team: str) -> tuple[str, str]:
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "alice", "team": team}) as answer:
        made = await answer.json()
        return made["id"], made["key"]


async def chats(gateway: Running, key: str) -> int:
    async with gateway.post("/v1/chat/completions", CHAT, key=key) as answer:
        await answer.read()
        status: int = answer.status
        return status


async def test_a_team_from_its_making_to_its_end(gateway: Running) -> None:
    status, made = await call(gateway, "POST", body={"name": "field work", "limits": ["1 requests/day"]})
    assert (status, made["name"], made["limits"]) == (201, "field work", ["1 requests/day"])
    assert await call(gateway, "GET", "/field%20work") == (200, made)
    assert [team["name"] for team in (await call(gateway, "GET"))[1]["data"]] == ["research", "field work"]
    assert await call(gateway, "DELETE", "/field%20work") == (200, {"name": "field work", "deleted": True})
    assert (await call(gateway, "GET", "/field%20work"))[1]["error"]["code"] == "team_not_found"


async def test_a_teams_limits_hold_for_its_keys_and_change_with_it(gateway: Running) -> None:
    await call(gateway, "POST", body={"name": "lab", "limits": ["1 requests/day"]})
    _, key = await key_in(gateway, "lab")
    assert [await chats(gateway, key), await chats(gateway, key)] == [200, 429]
    status, changed = await call(gateway, "PATCH", "/lab", {"limits": ["2 requests/day"]})
    assert (status, changed["limits"]) == (200, ["2 requests/day"])
    assert [await chats(gateway, key), await chats(gateway, key)] == [200, 429]


async def test_a_team_with_keys_stays(gateway: Running) -> None:
    await call(gateway, "POST", body={"name": "lab", "limits": ["1 requests/day"]})
    key_id, _ = await key_in(gateway, "lab")
    status, answer = await call(gateway, "DELETE", "/lab")
    assert (status, answer["error"]["code"]) == (409, "team_in_use")
    async with gateway.admin("DELETE", f"/admin/v1/keys/{key_id}") as deleted:
        assert deleted.status == 200
    assert (await call(gateway, "DELETE", "/lab"))[0] == 200


async def test_a_name_is_given_once(gateway: Running) -> None:
    for name in ("lab", "research"):
        await call(gateway, "POST", body={"name": name})
        status, answer = await call(gateway, "POST", body={"name": name})
        assert (status, answer["error"]["code"]) == (409, "team_exists")


async def test_a_declared_team_is_changed_where_it_is_declared(gateway: Running) -> None:
    assert (await call(gateway, "GET", "/research"))[1]["declared"] is True
    for method, body in (("PATCH", {"limits": []}), ("DELETE", None)):
        status, answer = await call(gateway, method, "/research", body)
        assert (status, answer["error"]["code"]) == (409, "declared_in_configuration")


async def test_what_is_wrong_makes_no_team(gateway: Running) -> None:
    for body, param in (
        ({"name": "lab", "members": []}, "members"),
        ({"name": "lab", "limits": ["x"]}, "limits"),
    ):
        status, answer = await call(gateway, "POST", body=body)
        assert (status, answer["error"]["param"]) == (400, param)
    assert (await call(gateway, "GET", "/lab"))[0] == 404
