"""Strangers get one answer, and nothing of theirs is read or passed on."""

import pytest

from gateway.runtime import Clock
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("key", ["", "sk-gw-wrong", KEY[:-1], KEY + "x", "é", "' OR 1=1 --", "*"])
async def test_every_wrong_key_gets_the_same_answer(gateway: Running, upstream: Scripted, key: str) -> None:
    async with gateway.post(CHAT, QUESTION, key=key) as answer:
        assert answer.status == 401
        error = (await answer.json())["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert key not in error["message"] or not key or key == "*"
        assert answer.headers["x-gateway-error"] == "invalid_api_key"
    assert upstream.calls == 0


async def test_the_api_key_header_is_accepted_and_two_credentials_are_not(
    gateway: Running, upstream: Scripted
) -> None:
    url = gateway.url + CHAT
    async with gateway.session.post(url, json=QUESTION, headers={"api-key": KEY}) as answer:
        assert answer.status == 200
    twice = [("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")]
    async with gateway.session.post(url, json=QUESTION, headers=twice) as answer:
        assert answer.status == 401
    async with gateway.session.post(url, json=QUESTION) as answer:
        assert answer.status == 401


async def test_the_upstream_sees_the_real_key_and_never_the_clients(
    gateway: Running, upstream: Scripted
) -> None:
    async with gateway.post(CHAT, QUESTION, api_key=KEY, openai_organization="org-x", cookie="a=b"):
        pass
    seen = upstream.requests[0]
    assert seen.header("authorization") == "Bearer sk-real-canary-4d2f"
    assert KEY not in str(seen.headers)
    assert {name.lower() for name, _ in seen.headers}.isdisjoint({"api-key", "cookie", "openai-organization"})


async def test_address_endpoint_model_and_expiry_are_held(start: Start, upstream: Scripted) -> None:
    gateway = await start()
    cases = [
        ({"addresses": ["10.0.0.0/8"]}, 403, "address_not_allowed"),
        ({"models": ["gpt-5*"]}, 403, "model_not_allowed"),
        ({"expires": 4102444800}, 401, "invalid_api_key"),
        ({"addresses": ["127.0.0.0/8"], "models": ["gpt-4o*"], "expires": 4102444999}, 200, None),
    ]
    for number, (fields, status, code) in enumerate(cases):
        async with gateway.admin("POST", "/admin/v1/keys", {"name": f"k{number}"} | fields) as made:
            assert made.status == 201, await made.text()
            key = (await made.json())["key"]
        gateway.gateway.clock.offset = 4102444800_000 - Clock().now() if "expires" in fields else 0
        async with gateway.post(CHAT, QUESTION, key=key) as answer:
            assert answer.status == status
            if code is not None:
                assert (await answer.json())["error"]["code"] == code
        gateway.gateway.clock.offset = 0
    assert upstream.calls == 1
