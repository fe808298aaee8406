"""What others have made is as closed to events as it is to requests."""

import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gateway.errors import Forbidden, NotFound
from gateway.policy.ownership import Named
from gateway.sockets.ends import Message
from gateway.sockets.metering import Metering
from gateway.sockets.naming import check_message
from gateway.sockets.over import Over
from gateway.sockets.reader import Unmetered
from tests.realtime import Realtime
from tests.running import KEY, Running
from tests.sockets.conftest import Begin, End, session_of

AUTH = {"Authorization": f"Bearer {KEY}"}
STORE = {"tools": [{"type": "file_search", "vector_store_ids": ["vs_of_others"]}]}
NAMING: list[dict[str, Any]] = [
    {"type": "session.update", "session": STORE},
    {"type": "conversation.item.create", "item": {"content": [{"type": "input_file", "file_id": "file-o"}]}},
    {"type": "response.create", "response": STORE, **STORE},
    {"type": "response.append", "response": {"previous_response_id": "resp_of_others"}},
    {"type": "new.thing", "conversation": {"id": "conv_of_others"}},
    {"type": "new.thing", "x": [{"container": "cntr_of_others"}]},
]


async def begun(begin: Begin) -> Running:
    gateway = await begin()
    mine = [Named("vector_store", name) for name in ("vs_of_others", "vs_mine")]
    await gateway.gateway.owners.record("team:elsewhere", mine[:1])
    return gateway


@pytest.mark.parametrize("event", NAMING)
@pytest.mark.parametrize("dialect", ["realtime", "responses"])
async def test_no_event_names_what_others_have(begin: Begin, event: dict[str, Any], dialect: Any) -> None:
    gateway, client, upstream = await begun(begin), End(), End()
    metering = Metering(gateway.gateway, session_of(gateway, f"/v1/{dialect}"), dialect, client, upstream)
    data = json.dumps(event | ({"model": "gpt-4o-mini"} if dialect == "responses" else {})).encode()
    for text in (True, False):
        assert await metering.outgoing(Message(data, text=text)) is None
    assert {json.loads(sent.data)["type"] for sent in client.sent} == {"error"}
    assert metering.idle
    await gateway.concluded()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig"])
async def test_no_event_comes_veiled(begin: Begin, encoding: str) -> None:
    gateway, client = await begun(begin), End()
    metering = Metering(gateway.gateway, session_of(gateway), "realtime", client, End())
    data = json.dumps({"type": "response.create"}).encode(encoding)
    assert await metering.outgoing(Message(data, text=False)) is None
    sound = Message(bytes(range(256)) * 4, text=False)
    assert await metering.outgoing(sound) is sound


@pytest.mark.parametrize("event", NAMING)
async def test_nor_where_nothing_is_counted(begin: Begin, event: dict[str, Any]) -> None:
    gateway = await begun(begin)
    reader = Unmetered(gateway.gateway, session_of(gateway, "/v1/live/sessions"))
    with pytest.raises(Over) as over:
        await reader.outgoing(Message(json.dumps(event).encode()))
    assert over.value.close.code == 1008
    for harmless in (b"anything at all", b"\x00\xff", b'{"input": "file_id: file-o"}'):
        assert await reader.outgoing(Message(harmless)) == Message(harmless)


CALLS = ["call_id=rtc_of_others", "%63all_id=rtc_of_others", "model=gpt-realtime&call_id=rtc_of_others"]


@pytest.mark.parametrize(
    "path",
    [
        *(f"/v1/realtime?{query}" for query in CALLS),
        *(f"/openai/v1/realtime?{query}" for query in CALLS),
        "/v1/live/sessions/live_of_others/attach",
        "/v1/live/sessions/live%5Fof_others/fork",
    ],
)
async def test_nobody_listens_to_the_calls_of_others(begin: Begin, up: Realtime, path: str) -> None:
    gateway = await begun(begin)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with gateway.session.ws_connect(URL(gateway.url + path, encoded=True), headers=AUTH):
            pass
    assert (refused.value.status, up.handshakes) == (404, [])


async def test_who_may_use_some_models_may_not_turn_to_others(begin: Begin) -> None:
    gateway = await begun(begin)
    client = gateway.gateway.clients.client("test")
    assert client is not None
    update = b'{"type":"session.update","session":{"x":{"model":"gpt-realtime"}}}'
    await check_message(gateway.gateway, client, update)
    with pytest.raises(Forbidden):
        await check_message(gateway.gateway, replace(client, models=(("gpt-4o*",),)), update)
    with pytest.raises(NotFound):
        await check_message(gateway.gateway, client, json.dumps(STORE).encode())
    await check_message(gateway.gateway, replace(client, ownership=False), json.dumps(STORE).encode())
