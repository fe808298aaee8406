"""Calls become exchanges; what the line makes of them is tested with the line."""

import asyncio
import json

import pytest

from gateway.policy.websocket import is_offered
from gateway.web.call import Call
from tests import scripted
from tests.conftest import Start
from tests.running import KEY, REAL_KEY, Running
from tests.scripted import Scripted
from tests.web.conftest import Serve
from tests.web.raw import CANARY, Raw, ask

CHAT = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(CHAT).encode()


def chat(key: str = KEY, *fields: str, body: bytes = BODY, path: str = "/v1/chat/completions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {key}", *fields]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def port_of(gateway: Running) -> int:
    return gateway.app.listeners.public_port


async def test_a_question_is_forwarded_and_its_answer_comes_back(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(scripted.json(200, b'{"exactly":  "these bytes"}'))
    response = await ask(port_of(gateway), chat())
    assert (response.status, response.body) == (200, b'{"exactly":  "these bytes"}')
    assert upstream.requests[0].body == BODY
    assert len(response.headers["x-gateway-request-id"]) == 32


async def test_an_absolute_form_goes_to_the_configured_upstream(gateway: Running, upstream: Scripted) -> None:
    response = await ask(port_of(gateway), chat(path="http://evil.example/v1/chat/completions?x=y"))
    assert response.status == 200
    assert upstream.requests[0].path == "/v1/chat/completions?x=y"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/%2e%2e%2fadmin",
        "//evil.example/v1/models",
        "/v1/models;x",
        "/v1/%00",
        "/v1\\models",
        "/v1/engines",
        "/v1/dreams",
        "/v2/models",
        "/",
        "*",
        "/admin/v1/keys",
        "/v1",
    ],
)
async def test_other_paths_are_404_and_reach_nobody(gateway: Running, upstream: Scripted, path: str) -> None:
    method = "OPTIONS" if path == "*" else "GET"
    response = await ask(
        port_of(gateway), f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    )
    assert (response.status, response.code) == (404, "unknown_url")
    assert upstream.calls == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1//chat/completions",
        "/v1/engines/gpt-6-luna/chat/completions",
        "/openai/deployments/gpt-6-luna/chat/completions?api-version=2024-10-21",
        "//openai/deployments/gpt-6-luna/chat/completions?api-version=2024-10-21",
        "/openai/v1/chat/completions?api-version=preview",
    ],
)
async def test_old_clients_and_those_of_azure_get_there(
    gateway: Running, upstream: Scripted, path: str
) -> None:
    response = await ask(port_of(gateway), chat(path=path))
    assert response.status == 200
    assert upstream.requests[0].path == "/v1/chat/completions"
    assert upstream.requests[0].body == BODY


async def test_a_base_address_without_v1_is_told_so(gateway: Running, upstream: Scripted) -> None:
    response = await ask(port_of(gateway), chat(path="/chat/completions"))
    assert (response.status, response.code) == (404, "unknown_url")
    assert b"put it at the end of base_url" in response.body
    assert upstream.calls == 0


async def test_even_where_unknown_paths_pass_some_do_not(start: Start, upstream: Scripted) -> None:
    wishing = await start('[endpoints]\nunknown = "forward"\nallow = ["inference"]\n')
    for path in ("/v1/organization/dreams", "/v1/Chat/completions", "/v1/chat%2Fcompletions"):
        assert (await ask(port_of(wishing), chat(path=path))).status in (403, 404)
    assert upstream.calls == 0


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], True),
        (["connection: keep-alive, upgrade", "upgrade: h2c, WebSocket"], True),
        (["Connection: keep-alive", "Connection: upgrade", "Upgrade: websocket"], True),
        (["Upgrade: websocket"], False),
        (["Connection: upgrade"], False),
        (["Connection: upgrade", "Upgrade: h2c"], False),
        (["Connection: close", "Upgrade: websocket"], False),
    ],
)
async def test_who_asks_for_a_websocket(serve: Serve, fields: list[str], asks: bool) -> None:
    async def handler(call: Call) -> None:
        await call.answer_json(200, is_offered(call.header_values))

    served = await serve(handler)
    message = "\r\n".join(["GET /v1/realtime HTTP/1.1", "Host: a", *fields, "", ""])
    assert json.loads((await ask(served.port, message)).body) is asks


async def test_what_takes_websockets_alone_says_so(gateway: Running, upstream: Scripted) -> None:
    response = await ask(port_of(gateway), chat(path="/v1/realtime").replace(b"POST", b"GET", 1))
    assert (response.status, response.code) == (404, "unknown_url")
    assert b"WebSockets alone" in response.body
    assert upstream.calls == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_other_methods_are_405(gateway: Running, upstream: Scripted, method: str) -> None:
    response = await ask(port_of(gateway), chat().replace(b"POST", method.encode(), 1))
    assert (response.status, response.code) == (405, "method_not_allowed")
    assert KEY.encode() not in response.body
    assert upstream.calls == 0


@pytest.mark.parametrize(
    "fields",
    [
        [f"Authorization: Bearer {CANARY}"],
        [f"Authorization: Bearer {KEY}", f"Authorization: Bearer {KEY}"],
        [f"Authorization: Bearer {KEY}", f"api-key: {CANARY}"],
        [f"Authorization: Basic {CANARY}"],
        ["Authorization: Bearer"],
        [f"Authorization: Bearer {CANARY}{'x' * 4000}"],
        ["Authorization: Bearer sk-gw-\xff\xfe"],
        ["Connection: Authorization"],
        [],
    ],
)
async def test_who_has_not_one_good_key_is_401(
    gateway: Running, upstream: Scripted, fields: list[str]
) -> None:
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: a", *fields, f"Content-Length: {len(BODY)}", "", ""]
    response = await ask(port_of(gateway), "\r\n".join(lines).encode("latin-1") + BODY)
    assert (response.status, response.code) == (401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert CANARY.encode() not in response.body
    assert upstream.calls == 0


async def test_identity_is_of_the_request_and_not_of_its_connection(gateway: Running) -> None:
    async with Raw(port_of(gateway)) as client:
        for key, status in ((KEY, 200), (CANARY, 401), (KEY, 200)):
            await client.send(chat(key))
            assert (await client.response()).status == status


async def test_a_strangers_body_is_never_waited_for(gateway: Running) -> None:
    async with Raw(port_of(gateway)) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\r\n"
        await client.send(f"{head}Content-Length: 50000000\r\n\r\n")
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (401, "close")


async def test_a_stranger_is_refused_before_100_continue(gateway: Running) -> None:
    async with Raw(port_of(gateway)) as client:
        head = chat(CANARY, "Expect: 100-continue").split(b"\r\n\r\n")[0]
        await client.send(head + b"\r\n\r\n")
        assert (await client.response()).status == 401


async def test_a_client_is_told_to_continue(gateway: Running) -> None:
    async with Raw(port_of(gateway)) as client:
        head, body = chat(KEY, "Expect: 100-continue").split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert (await client.head())[0] == 100
        await client.send(body)
        assert (await client.response()).status == 200


async def test_refusals_of_the_body(start: Start) -> None:
    gateway = await start("[cache]\nenabled = true\n")
    for message, status, code in (
        (chat(KEY, "Content-Encoding: gzip"), 400, "unsupported_content_encoding"),
        (chat(body=b"{"), 400, "invalid_json"),
        (
            chat(KEY).split(b"Content-Length")[0] + b"Content-Length: 999999999\r\n\r\n",
            413,
            "request_too_large",
        ),
    ):
        response = await ask(port_of(gateway), message)
        assert (response.status, response.code) == (status, code)


async def test_a_client_that_hangs_up_ends_the_upstream_call(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(scripted.hold(asyncio.Event()))
    async with Raw(port_of(gateway)) as client:
        await client.send(chat())
        await upstream.received(1)
        client.leave()
        await upstream.disconnected()


async def test_while_draining_new_requests_are_sent_away(gateway: Running, upstream: Scripted) -> None:
    async with Raw(port_of(gateway)) as client:
        await client.send(chat())
        assert (await client.response()).status == 200
        gateway.gateway.draining = True
        await client.send(chat())
        response = await client.response()
        assert (response.status, response.code) == (503, "draining")
        assert response.headers["retry-after"] == "1"
        assert response.headers["connection"] == "close"
        assert await client.closed()
    assert upstream.calls == 1


async def test_a_request_that_runs_when_draining_begins_is_answered_to_its_end(
    gateway: Running, upstream: Scripted
) -> None:
    go = asyncio.Event()
    upstream.plan(scripted.hold(go))
    async with Raw(port_of(gateway)) as client:
        await client.send(chat())
        await upstream.received(1)
        gateway.gateway.draining = True
        go.set()
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")


async def test_the_real_key_reaches_the_upstream_and_nobody_else(
    gateway: Running, upstream: Scripted
) -> None:
    response = await ask(port_of(gateway), chat())
    assert upstream.requests[0].header("authorization") == f"Bearer {REAL_KEY}"
    assert REAL_KEY not in repr(response)
