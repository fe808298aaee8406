import json
from typing import Any

from tests.conftest import Start
from tests.running import KEY, Running
from tests.web.conftest import stop_following
from tests.web.raw import CANARY

CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}


async def me(gateway: Running, key: str = KEY) -> Any:
    async with gateway.get("/gateway/me", key=key) as answer:
        return answer.status, await answer.json()


async def test_a_client_learns_what_it_may_and_what_is_left(start: Start) -> None:
    gateway = await start(limits='["60 requests/minute", "8 concurrent"]')
    async with gateway.post("/v1/chat/completions", CHAT) as answer:
        assert answer.status == 200
    await gateway.concluded()
    status, body = await me(gateway)
    assert status == 200
    assert (body["id"], body["name"], body["team"]) == ("test", "test", "research")
    assert (body["models"], body["team_models"]) == (["*"], ["*"])
    requests, slots = body["limits"]
    assert (requests["limit"], requests["scope"]) == ("60 requests/minute", "key:test")
    assert (requests["used"], requests["left"]) == (1, 59)
    assert requests["resets_at"].endswith("Z")
    assert (slots["used"], slots["left"], slots["resets_at"]) == (0, 8, None)


async def test_a_client_learns_what_it_spent(gateway: Running) -> None:
    async with gateway.post("/v1/chat/completions", CHAT) as answer:
        usage = (await answer.json())["usage"]
        cost = float(answer.headers["x-gateway-cost"])
    await gateway.concluded()
    _, body = await me(gateway)
    for span in ("today", "month"):
        assert (body["spend"][span]["requests"], body["spend"][span]["cost"]) == (1, cost)
        assert body["spend"][span]["tokens"] == usage["total_tokens"]
    (recent,) = body["recent"]
    assert (recent["id"], recent["cost"]) == (answer.headers["x-gateway-request-id"], cost)
    assert (recent["model"], recent["status"], recent["cache"]) == ("gpt-6-luna", 200, "miss")
    other = await made(gateway)
    _, body = await me(gateway, other)
    assert (body["spend"]["month"]["requests"], body["recent"]) == (0, [])


async def test_asking_costs_nothing(start: Start) -> None:
    gateway = await start(limits='["1 requests/day"]')
    for _ in range(3):
        _, body = await me(gateway)
    assert body["limits"][0]["left"] == 1


async def test_strangers_learn_nothing(gateway: Running) -> None:
    status, body = await me(gateway, CANARY)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert CANARY not in json.dumps(body)
    async with gateway.session.get(gateway.url + "/gateway/me") as answer:
        assert answer.status == 401


async def made(gateway: Running, **fields: Any) -> str:
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "alice"} | fields) as answer:
        assert answer.status == 201
        key: str = (await answer.json())["key"]
        return key


async def test_an_expired_key_learns_nothing(gateway: Running) -> None:
    key = await made(gateway, expires="2099-01-01T00:00:00Z")
    status, body = await me(gateway, key)
    assert (status, body["expires"]) == (200, "2099-01-01T00:00:00.000Z")
    gateway.gateway.clock.offset += 100 * 366 * 86_400_000
    assert (await me(gateway, key))[0] == 401


async def test_a_key_that_is_used_from_elsewhere_learns_nothing(gateway: Running) -> None:
    assert (await me(gateway, await made(gateway, addresses=["127.0.0.0/8"])))[0] == 200
    status, body = await me(gateway, await made(gateway, addresses=["10.0.0.0/8"]))
    assert (status, body["error"]["code"]) == (403, "address_not_allowed")


async def test_before_the_keys_were_read_nobody_is_told_that_theirs_is_wrong(gateway: Running) -> None:
    stop_following()
    gateway.gateway.clients.loaded = False
    status, body = await me(gateway, CANARY)
    assert (status, body["error"]["code"]) == (503, "quota_store_unavailable")
