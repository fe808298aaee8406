"""WebSockets through a whole gateway: the official library, byte for byte, to every end."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from openai import AsyncOpenAI

from gateway.drain import drain
from tests import books
from tests.realtime import Realtime
from tests.running import KEY, REAL_KEY, configuration, running
from tests.sessions import MODEL, Begin, connect, event, turns, used
from tests.waiting import unmoved, until

# ---- the official library --------------------------------------------------------------------------------


async def test_the_official_library_talks_in_realtime(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with (
        AsyncOpenAI(api_key=KEY, base_url=gateway.url + "/v1") as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        assert (await connection.recv()).type == "session.updated"
        await connection.response.create()
        seen = []
        async for said in connection:
            seen.append(said.type)
            if said.type == "response.done":
                break
    assert seen == ["response.created", "response.output_text.delta", "response.done"]
    (row,) = await turns(gateway)
    assert (row.endpoint, row.input, row.output, row.settled) == ("realtime", 10, 1, "usage")
    path, headers = up.handshakes[0]
    assert path == f"/v1/realtime?model={MODEL}"
    assert headers["authorization"] == f"Bearer {REAL_KEY}"
    assert KEY not in str(headers)
    assert not {name for name in headers if name.startswith("x-stainless")}


async def test_the_official_library_connects_to_responses(begin: Begin, up: Realtime) -> None:
    gateway = await begin('[models.aliases]\n"team" = "gpt-4o-mini"\n')
    async with (
        AsyncOpenAI(api_key=KEY, base_url=gateway.url + "/v1") as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model="team", input="Say hello.")
        seen = []
        async for said in connection:
            seen.append(said.type)
            if said.type == "response.completed":
                break
    assert seen == ["response.created", "response.output_text.delta", "response.completed"]
    assert up.received[0]["model"] == "gpt-4o-mini"
    assert up.handshakes[0][0] == "/v1/responses"
    (row,) = await turns(gateway)
    assert (row.endpoint, row.model, row.sent) == ("responses", "team", "gpt-4o-mini")
    assert (row.input, row.output, row.settled) == (10, 1, "usage")
    assert row.cost


# ---- the handshake ---------------------------------------------------------------------------------------


async def test_a_browser_sends_its_key_as_a_subprotocol(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    offered = ("realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1")
    async with connect(gateway, key="", protocols=offered) as socket:
        assert socket.protocol == "realtime"
        await event(socket, "session.created")
    _, headers = up.handshakes[0]
    assert headers["openai-beta"] == "realtime=v1"
    assert "sec-websocket-protocol" not in headers
    assert KEY not in str(headers)


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("/v1/realtime?model=gpt-realtime", "sk-gw-test-wrong", 401, "invalid_api_key"),
        ("/v1/realtime?model=gpt-realtime", "", 401, "invalid_api_key"),
        ("/v1/realtime", KEY, 400, "missing_model"),
        ("/v1/realtime?model=a&model=b", KEY, 400, "invalid_query"),
        ("/v1/realtime?call_id=rtc_of_somebody", KEY, 404, None),
    ],
)
async def test_a_refusal_is_plain_http(
    begin: Begin, up: Realtime, path: str, key: str, status: int, code: str | None
) -> None:
    gateway = await begin()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with gateway.session.get(gateway.url + path, headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code
        assert answer.headers["x-gateway-request-id"]
    assert up.handshakes == []


async def test_rights_hold_before_anybody_is_asked(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "narrow", "models": ["gpt-4o*"]}) as answer:
        key = (await answer.json())["key"] if answer.status < 300 else pytest.fail(await answer.text())
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(gateway, key=key):
            pass
    assert refused.value.status == 403
    async with connect(gateway, "/v1/responses", key=key) as socket:
        await socket.send_json({"type": "response.create", "model": "gpt-5", "input": "x"})
        said = await event(socket, "error")
        assert (said["status"], said["error"]["code"]) == (403, "model_not_allowed")
    assert up.received == []


async def test_a_group_must_be_open(up: Realtime, tmp_path: Path) -> None:
    text = configuration(up.base_url, tmp_path / "data")
    async with running(text, tmp_path) as gateway:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect(gateway):
                pass
    assert refused.value.status == 403
    assert refused.value.headers is not None
    assert refused.value.headers["x-gateway-error"] == "endpoint_not_allowed"


@pytest.mark.parametrize(
    ("status", "told", "error"),
    [(401, 502, "upstream_auth"), (404, 404, None), (429, 429, None), (302, 502, "upstream_redirect")],
)
async def test_an_upstreams_refusal_is_the_answer(
    begin: Begin, up: Realtime, status: int, told: int, error: str | None
) -> None:
    gateway = await begin(limits='["2 concurrent"]')
    location = {"location": "http://127.0.0.1:1/elsewhere"} if status == 302 else {}
    up.refusal = web.json_response({"error": {"message": "theirs"}}, status=status, headers=location)
    headers = {"Authorization": f"Bearer {KEY}", "Connection": "Upgrade", "Upgrade": "websocket"}
    headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    url = f"{gateway.url}/v1/realtime?model={MODEL}"
    async with gateway.session.get(url, headers=headers) as answer:
        assert answer.status == told
        assert answer.headers.get("x-gateway-error") == error
        text = await answer.text()
        assert ("theirs" in text) == (error is None)
        assert REAL_KEY not in text
    await gateway.concluded()
    assert await used(gateway) == [0]
    assert gateway.gateway.open_holds == {}


async def test_an_upstream_that_is_not_there(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    await up._runner.cleanup()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(gateway):
            pass
    assert refused.value.status == 502


async def test_a_session_is_one_request_and_one_slot(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["5 requests/day", "1 concurrent"]')
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        assert await used(gateway) == [1, 1]
        assert gateway.gateway.open_holds
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect(gateway):
                pass
        assert refused.value.status == 429
        for _ in range(3):
            await socket.send_json({"type": "response.create"})
            await event(socket, "response.done")
    await gateway.concluded()
    assert await used(gateway) == [1, 0]
    assert gateway.gateway.open_holds == {}


# ---- the relay -------------------------------------------------------------------------------------------


async def test_messages_pass_unchanged(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    texts = [
        '{"type":"test.echo"}',
        '{ "type" :\t"test.echo", "new": 1e400, "x": "\\u00e9\\ud83d\\ude00 é😀" }\n',
        json.dumps({"type": "test.echo", "pad": "x" * 3_000_000}),
    ]
    async with connect(gateway, max_msg_size=0) as socket:
        await event(socket, "session.created")
        for text in texts:
            await socket.send_str(text)
            assert await socket.receive_str() == text
        for data in (b"", b"\x00\xff" * 50_000):
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data
        await socket.ping(b"still there?")
        await socket.send_str(texts[0])
        assert await socket.receive_str() == texts[0]
    assert up.binary == [b"", b"\x00\xff" * 50_000]


async def test_close_codes_and_reasons_pass_both_ways(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        await next(iter(up.sockets)).close(code=4000, message=b"session expired")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4000, "session expired")
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        await socket.close(code=4321, message=b"enough")
    await until(lambda: len(up.closes) == 2)
    assert up.closes[1][0] == 4321


async def test_an_upstream_that_breaks_off_ends_the_session(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["1M tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway) as socket:
        await socket.send_json({"type": "response.create"})
        await event(socket, "response.output_text.delta")
        up.cut()
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)
    (row,) = await turns(gateway)
    assert row.settled == "estimate"
    assert row.output == 3
    assert await used(gateway) == [row.input + row.output]


async def test_a_slow_reader_holds_the_writer_back(begin: Begin, up: Realtime) -> None:
    """Of 200 MB that the upstream would send, no more than the buffers hold has left it."""
    gateway = await begin()
    sent = 0
    big = {"type": "test.big", "pad": "x" * 1_000_000}

    async def flood(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(200):
            await socket.send_json(big)
            sent += 1

    async with connect(gateway, max_msg_size=0) as socket:
        await event(socket, "session.created")
        flooding = up._spawn(flood(next(iter(up.sockets))))
        await unmoved(lambda: sent)
        assert sent < 30
        received = 0
        while received < 200:
            await event(socket, "test.big")
            received += 1
        await flooding
    assert sent == 200


async def test_and_a_slow_upstream_the_client(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    free = asyncio.Event()
    reading = up._read

    async def slowly(socket: web.WebSocketResponse, text: str, spoken: bool) -> None:
        await free.wait()
        await reading(socket, text, spoken)

    up._read = slowly  # type: ignore[method-assign]
    sent = 0
    async with connect(gateway) as socket:
        big = json.dumps({"type": "test.big", "pad": "x" * 1_000_000})

        async def flood() -> None:
            nonlocal sent
            for _ in range(200):
                await socket.send_str(big)
                sent += 1

        flooding = up._spawn(flood())
        await unmoved(lambda: sent)
        assert sent < 30
        free.set()
        await flooding
        await until(lambda: len(up.received) == 200)


@pytest.mark.parametrize(
    ("setting", "reason"), [("max_session", "as long as it may"), ("idle_timeout", "silent")]
)
async def test_sessions_do_not_last_for_ever(begin: Begin, up: Realtime, setting: str, reason: str) -> None:
    gateway = await begin(f'[realtime]\n{setting} = "300ms"\n')
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        message = await socket.receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        assert reason in (message.extra or "")


# ---- the end ---------------------------------------------------------------------------------------------


async def test_a_revoked_key_ends_its_sessions(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "soon gone"}) as answer:
        made = await answer.json()
    async with connect(gateway, key=made["key"]) as socket:
        await event(socket, "session.created")
        async with gateway.admin("DELETE", f"/admin/v1/keys/{made['id']}") as answer:
            assert answer.status < 300
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)


async def test_draining_waits_for_the_turn_and_says_going_away(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["1M tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway) as idle, connect(gateway) as busy:
        await event(idle, "session.created")
        await busy.send_json({"type": "response.create"})
        await event(busy, "response.output_text.delta")
        draining = up._spawn(drain(gateway.gateway, 30, asyncio.Event()))
        message = await idle.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect(gateway):
                pass
        assert refused.value.status == 503
        up.hold.set()
        await event(busy, "response.done")
        message = await busy.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await draining


async def test_at_the_end_of_patience_the_turn_is_cut(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["1M tokens/day"]')
    up.hold = asyncio.Event()
    async with connect(gateway) as socket:
        await socket.send_json({"type": "response.create"})
        await event(socket, "response.output_text.delta")
        draining = up._spawn(drain(gateway.gateway, 0, asyncio.Event()))
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await draining
    assert [(row.input, row.output) for row in await turns(gateway)] == up.billed


async def test_no_key_is_said_anywhere(
    begin: Begin, up: Realtime, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await begin()
    async with connect(gateway) as socket:
        await event(socket, "session.created")
        await socket.send_json({"type": "response.create"})
        await event(socket, "response.done")
        up.cut()
        await socket.receive()
    everything = str(await books.rows(gateway)) + await gateway.metrics() + caplog.text
    everything += "".join(capfd.readouterr())
    assert KEY not in everything
    assert REAL_KEY not in everything
    assert "Hello there" not in everything
