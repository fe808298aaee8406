"""What an answer names belongs to who asked; the rest of this promise is in `tests/e2e/test_ownership.py`."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, json, raw, sse

ALL = '[endpoints]\nallow = ["all"]\n'
RUN = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1"}
RESPONSE = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}


async def _other(gateway: Running) -> str:
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "other"}) as made:
        return str((await made.json())["key"])


async def _may_see(gateway: Running, path: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    async with gateway.session.get(gateway.url + path, headers=headers) as answer:
        assert answer.status in (200, 404)
        return answer.status == 200


@pytest.mark.parametrize(
    ("path", "body", "event", "made"),
    [
        ("/v1/threads/runs", {"assistant_id": "a"}, RUN, "/v1/threads/thread_1"),
        (
            "/v1/responses",
            {"model": "gpt-4o-mini", "input": "hi"},
            {"type": "response.created", "response": RESPONSE},
            "/v1/responses/resp_1",
        ),
    ],
)
async def test_what_a_stream_names_is_its_clients_before_the_stream_ends(
    start: Start, upstream: Scripted, path: str, body: dict[str, Any], event: dict[str, Any], made: str
) -> None:
    gateway = await start(ALL)
    key, more = await _other(gateway), asyncio.Event()
    streamed = sse([event, more], end="cut")
    if "assistant_id" in body:
        upstream.plan(json(200, {"id": "a", "object": "assistant"}))
        async with gateway.post("/v1/assistants", {"model": "gpt-4o-mini"}):
            pass
    upstream.plan(streamed, json(200, {"id": "x"}))
    async with gateway.post(path, body | {"stream": True}) as answer:
        assert await answer.content.readany()
        assert await _may_see(gateway, made, KEY)
        assert not await _may_see(gateway, made, key)
        more.set()


async def test_a_list_that_cannot_be_read_is_shown_to_nobody(start: Start, upstream: Scripted) -> None:
    gateway = await start(ALL)
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nfile-1"))
    headers = {"Authorization": f"Bearer {KEY}"}
    async with gateway.session.get(gateway.url + "/v1/files", headers=headers) as answer:
        said = await answer.json()
    assert (answer.status, said["error"]["code"]) == (502, "upstream_protocol_error")
