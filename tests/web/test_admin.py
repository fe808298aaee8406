from typing import Any

import pytest

from tests.conftest import Start
from tests.running import ADMIN_KEY, KEY, Running
from tests.waiting import until_answer
from tests.web.raw import CANARY, Raw, ask


async def call(gateway: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with gateway.admin(method, "/admin/v1" + path, body) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [f"Authorization: Bearer {CANARY}"],
        [f"Authorization: Bearer {KEY}"],
        [f"Authorization: Bearer {ADMIN_KEY}", f"Authorization: Bearer {ADMIN_KEY}"],
        [f"api-key: {ADMIN_KEY}"],
    ],
)
async def test_without_the_admin_key_nothing_is_shown(gateway: Running, fields: list[str]) -> None:
    port = gateway.app.listeners.admin_port
    for path in ("/admin/v1/keys", "/admin/v1/no-such-call"):
        response = await ask(port, "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]))
        assert (response.status, response.code) == (401, "invalid_api_key")
        assert b"admin key" in response.body
        assert CANARY.encode() not in response.body


async def test_before_the_admin_key_is_known_nobody_is_told_that_theirs_is_wrong(gateway: Running) -> None:
    server = gateway.app.listeners._admin._server
    assert server is not None
    from gateway.errors import StoreUnavailable
    from gateway.web.admin import authorize

    async def handler(request: Any) -> None:
        authorize(request, None)

    server._handler = handler
    async with Raw(gateway.app.listeners.admin_port) as client:
        await client.send(f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\r\n\r\n")
        assert (await client.response()).code == StoreUnavailable.code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/cache/explain"),
        ("DELETE", "/cache"),
        ("POST", "/keys/a/rotate"),
        ("GET", "/openapi.json"),
    ],
)
async def test_what_is_not_supported_says_so(gateway: Running, method: str, path: str) -> None:
    status, body = await call(gateway, method, path)
    assert (status, body["error"]["code"]) == (404, "unknown_url")
    assert "does not support" in body["error"]["message"]


async def test_upstreams(gateway: Running) -> None:
    status, body = await call(gateway, "GET", "/upstreams")
    assert status == 200
    (upstream,) = body["data"]
    assert (upstream["name"], upstream["up"]) == ("scripted", None)
    async with gateway.get("/v1/models") as answer:
        assert answer.status == 200
        await answer.read()
    assert (await call(gateway, "GET", "/upstreams"))[1]["data"][0]["up"] is True


async def test_the_openai_api_is_not_on_the_admin_listener(gateway: Running) -> None:
    async with gateway.session.get(gateway.admin_url + "/v1/models") as answer:
        assert answer.status == 404


CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_request_is_seen_in_usage_and_ledger_and_limits(start: Start) -> None:
    gateway = await start(limits='["$5/day", "1M tokens/day"]')
    async with gateway.post("/v1/chat/completions", CHAT, x_gateway_tags="site=a") as answer:
        usage = (await answer.json())["usage"]
        cost = answer.headers["x-gateway-cost"]
    await gateway.concluded()

    _, ledger = await call(gateway, "GET", "/ledger?tag=site%3Da")
    (row,) = ledger["data"]
    assert (row["id"], row["number"]) == (answer.headers["x-gateway-request-id"], 1)
    assert (row["key"], row["team"], row["model"], row["status"]) == ("test", "research", "gpt-6-luna", 200)
    assert row["input_tokens"] == usage["prompt_tokens"]
    assert row["cost"] == float(cost) > 0

    for group, name in (("key", "test"), ("team", "research"), ("model", "gpt-6-luna"), ("tag", "site=a")):
        _, report = await call(gateway, "GET", f"/usage?group_by={group}")
        (line,) = report["data"]
        assert (line[group], line["requests"], line["cost_nano"]) == (name, 1, row["cost_nano"])
        assert line["tokens"] == usage["total_tokens"]
        assert report["total"]["cost_nano"] == row["cost_nano"]

    _, limits = await call(gateway, "GET", "/limits/test")
    used = {limit["limit"]: limit["used"] for limit in limits["limits"]}
    assert used == {"$5/day": row["cost"], "1M tokens/day": usage["total_tokens"]}

    _, checked = await call(gateway, "GET", "/ledger/verify")
    assert (checked["rows"], checked["last"], checked["hash"]) == (1, 1, row["hash"])
    assert (checked["broken"], checked["done"]) == (None, True)


async def test_a_store_that_came_back_empty_is_accepted_when_somebody_says_so(gateway: Running) -> None:
    status, answer = await call(gateway, "POST", "/store/accept")
    assert (status, answer["error"]["code"]) == (409, "conflict")

    await gateway.app.store._runner.send("test", "FLUSHALL")

    async def complaints() -> tuple[int, int]:
        async with gateway.session.get(gateway.admin_url + "/readyz") as ready:
            return ready.status, sum("accept" in reason for reason in (await ready.json())["reasons"])

    await until_answer(complaints, (503, 1))
    status, answer = await call(gateway, "POST", "/store/accept")
    assert (status, answer["accepted"]) == (200, True)
    assert await complaints() == (200, 0)
    async with gateway.post("/v1/chat/completions", CHAT) as served:
        assert served.status == 200
