"""The official client, as people use it: sync, async and streaming, against a served gateway."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.legacy import legacy
from tests.running import KEY, Running
from tests.scripted import Scripted
from tests.scripted import json as plain

CHAT: list[Any] = [{"role": "user", "content": "Say something nice."}]


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key=KEY) as sdk:
        yield sdk


async def test_chat_plain_and_stream(client: AsyncOpenAI, upstream: Scripted) -> None:
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=CHAT)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    said = ""
    async for chunk in await client.chat.completions.create(model="gpt-4o-mini", messages=CHAT, stream=True):
        said += chunk.choices[0].delta.content or ""
    assert said == answer.choices[0].message.content
    assert upstream.calls == 1


async def test_usage_comes_to_those_who_ask(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=CHAT, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []


async def test_every_endpoint(client: AsyncOpenAI) -> None:
    completion = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi", max_tokens=5)
    assert completion.choices[0].text
    vectors = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(vectors.data) == 2
    response = await client.responses.create(model="gpt-4o-mini", input="hi")
    assert response.output_text
    events = [e async for e in await client.responses.create(model="gpt-4o-mini", input="hi", stream=True)]
    assert events[-1].type == "response.completed"
    assert (await client.moderations.create(input="hi")).results
    models = [model.id async for model in client.models.list()]
    assert models
    assert (await client.models.retrieve(models[0])).id == models[0]


async def test_raw_headers_say_what_happened(client: AsyncOpenAI) -> None:
    said = []
    for _ in range(2):
        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=CHAT)
        said.append((raw.headers["x-gateway-cache"], raw.headers["x-gateway-upstream"]))
        assert raw.headers["x-gateway-request-id"]
    assert said == [("miss", "scripted"), ("hit", "cache")]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (500, openai.InternalServerError),
    ],
)
async def test_upstream_errors_raise_what_they_always_raised(
    client: AsyncOpenAI, upstream: Scripted, status: int, error: type[openai.APIStatusError]
) -> None:
    body = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}
    upstream.plan(plain(status, body))
    with pytest.raises(error) as raised:
        await client.with_options(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=CHAT)
    assert raised.value.code == "c"


async def test_the_gateways_refusals_raise_the_right_exceptions(
    client: AsyncOpenAI, gateway: Running
) -> None:
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-gw-wrong").models.list()
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="", messages=CHAT)
    with pytest.raises(openai.PermissionDeniedError):
        await client.files.list()
    with pytest.raises(openai.NotFoundError):
        await client.get("/dreams", cast_to=object)


async def test_the_sync_client(gateway: Running) -> None:
    def talk() -> tuple[str | None, str]:
        with OpenAI(base_url=gateway.url + "/v1", api_key=KEY) as sdk:
            answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=CHAT)
            stream = sdk.chat.completions.create(model="gpt-4o-mini", messages=CHAT, stream=True)
            return answer.choices[0].message.content, "".join(
                c.choices[0].delta.content or "" for c in stream
            )

    plain_text, streamed = await asyncio.to_thread(talk)
    assert plain_text == streamed


LEGACY = """
import openai
completion = openai.Completion.create(engine="text-davinci-002", prompt="Your message", max_tokens=16, n=1,
                                      stop=None, temperature=0.7)
print(repr(completion.choices[0].text))
chat = openai.ChatCompletion.create(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "hi"}])
print(repr(chat.choices[0].message.content))
streamed = openai.ChatCompletion.create(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "hi"}],
                                        stream=True)
print(repr("".join(part.choices[0].delta.get("content", "") for part in streamed)))
try:
    openai.Completion.create(engine="x", prompt="p", max_tokens=-1)
except openai.error.InvalidRequestError as error:
    print(error.param)
"""


@pytest.mark.parametrize("slash", ["", "/"])
async def test_openai_0_28(gateway: Running, upstream: Scripted, tmp_path: Path, slash: str) -> None:
    lines = await legacy(LEGACY, gateway.url + "/v1" + slash, KEY, tmp_path)
    text, chat, streamed, param = lines
    assert len(text) > 2
    assert chat == streamed
    assert param == "max_tokens"
    first = upstream.requests[0]
    assert (first.path, first.json()["model"]) == ("/v1/completions", "text-davinci-002")
