"""Models that OpenAI has shut down or will, and those that only chat: what their clients get."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, sse
from tests.scripted import json as plain

ONCE = {"model": "gpt-5.6-terra", "prompt": "Once upon", "max_tokens": 16}


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0) as sdk:
        yield sdk


async def rows(gateway: Running) -> list[dict[str, Any]]:
    await gateway.concluded()
    async with gateway.admin("GET", "/admin/v1/ledger") as answer:
        return list(reversed((await answer.json())["data"]))


async def test_a_completion_of_a_model_that_only_chats(client: AsyncOpenAI, upstream: Scripted) -> None:
    whole = await client.completions.create(**ONCE, n=2)  # type: ignore[call-overload]
    assert [choice.index for choice in whole.choices] == [0, 1]
    parts = await client.completions.create(**ONCE, n=2, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    texts, usage = {0: "", 1: ""}, None
    async for part in parts:
        usage = part.usage or usage
        for choice in part.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [choice.text for choice in whole.choices]
    assert usage == whole.usage
    (seen,) = upstream.requests  # the second was a hit, told as a stream
    assert seen.path == "/v1/chat/completions"


async def test_it_is_the_chat_for_the_cache_and_a_completion_for_the_ledger(
    client: AsyncOpenAI, gateway: Running, upstream: Scripted
) -> None:
    await client.completions.create(**ONCE)  # type: ignore[call-overload]
    asked = upstream.requests[0].json()
    raw = await client.chat.completions.with_raw_response.create(**asked)
    assert raw.headers["x-gateway-cache"] == "hit"
    first, second = await rows(gateway)
    assert (first["endpoint"], second["endpoint"]) == ("completions", "chat.completions")
    assert first["output_tokens"] > 0
    metrics = await gateway.metrics()
    assert 'gateway_requests_total{cache="miss",endpoint="completions",model="gpt-5.6-terra"' in metrics


async def test_every_prompt_is_a_request_of_its_own(
    client: AsyncOpenAI, gateway: Running, upstream: Scripted
) -> None:
    prompts = ["One", "Two", "Three"]
    whole = await client.completions.create(model="gpt-5.6-terra", prompt=prompts, n=2)
    assert [choice.index for choice in whole.choices] == list(range(6))
    parts = await client.completions.create(model="gpt-5.6-terra", prompt=prompts, n=2, stream=True)
    texts = dict.fromkeys(range(6), "")
    async for part in parts:
        for choice in part.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [choice.text for choice in whole.choices]
    contents = [seen.json()["messages"][0]["content"] for seen in upstream.requests]
    assert contents == prompts  # the stream was told from the cache
    written = await rows(gateway)
    assert [row["cache"] for row in written] == ["miss"] * 3 + ["hit"] * 3
    assert whole.usage is not None
    assert sum(row["input_tokens"] + row["output_tokens"] for row in written) == whole.usage.total_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_prompt_that_fails_ends_it(start: Start, upstream: Scripted, stream: bool) -> None:
    gateway = await start(limits='["2 requests/day"]')
    body = {"model": "gpt-5.6-terra", "prompt": ["One", "Two", "Three", "Four"], "stream": stream}
    if not stream:
        async with gateway.post("/v1/completions", body) as answer:
            assert answer.status == 429
            assert (await answer.json())["error"]["code"] == "insufficient_quota"
    else:
        async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key=KEY, max_retries=0) as sdk:
            with pytest.raises(openai.APIError) as raised:
                async for _ in await sdk.completions.create(**body):  # type: ignore[call-overload]
                    pass
            assert raised.value.code == "insufficient_quota"
    assert upstream.calls == 2
    assert len(await rows(gateway)) == 3


async def test_errors_of_the_upstream_are_its_own(client: AsyncOpenAI, upstream: Scripted) -> None:
    error = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}
    upstream.plan(plain(404, error))
    with pytest.raises(openai.NotFoundError) as raised:
        await client.completions.create(**ONCE)  # type: ignore[call-overload]
    assert raised.value.body == error["error"]


async def test_a_stream_that_breaks_off_is_no_answer(client: AsyncOpenAI, upstream: Scripted) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    upstream.plan(sse([chunk], end="cut"))
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in await client.completions.create(**ONCE, stream=True):  # type: ignore[call-overload]
            pass


async def test_what_cannot_be_bridged_is_refused_by_name(gateway: Running, upstream: Scripted) -> None:
    others = {"suffix": "x", "echo": True, "best_of": 3, "prompt": [1, 2], "logprobs": 9, "messages": []}
    for name, value in others.items():
        async with gateway.post("/v1/completions", {**ONCE, name: value}) as answer:
            assert (answer.status, answer.headers["x-gateway-error"]) == (400, "cannot_bridge")
            assert (await answer.json())["error"]["param"] == name
    assert upstream.calls == 0


@pytest.mark.parametrize("mode", ["keep", "redirect", "refuse"])
async def test_a_model_that_is_shut_down(start: Start, upstream: Scripted, mode: str) -> None:
    gateway = await start(f'[models]\nretired = "{mode}"\n[models.aliases]\n"gpt-4-*" = "gpt-5.5"')
    body = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.post("/v1/chat/completions", body) as answer:
        if mode == "refuse":
            assert (answer.status, answer.headers["x-gateway-error"]) == (404, "model_retired")
            assert "Use 'gpt-5.6-terra' instead" in (await answer.json())["error"]["message"]
        else:
            assert answer.headers["sunset"] == "Fri, 23 Oct 2026 00:00:00 GMT"
            assert answer.headers["deprecation"] == "@1776816000"
    async with gateway.post("/v1/chat/completions", {**body, "model": "gpt-4-turbo"}) as answer:
        assert (answer.status, answer.headers.get("sunset")) == (200, None)
    sent = [seen.json()["model"] for seen in upstream.requests]
    assert (
        sent
        == {
            "keep": ["gpt-3.5-turbo", "gpt-5.5"],
            "redirect": ["gpt-5.6-terra", "gpt-5.5"],
            "refuse": ["gpt-5.5"],
        }[mode]
    )


async def test_what_a_list_of_models_says_is_remembered(gateway: Running, upstream: Scripted) -> None:
    model = {"id": "mine", "object": "model", "created": 1, "owned_by": "us", "shutdown_date": "2099-12-31"}
    listed = json.dumps({"object": "list", "data": [model]}).encode()
    upstream.plan(plain(200, listed))
    async with gateway.get("/v1/models") as answer:
        assert await answer.read() == listed
    async with gateway.post("/v1/embeddings", {"model": "mine", "input": "a"}) as answer:
        assert answer.headers["sunset"] == "Thu, 31 Dec 2099 00:00:00 GMT"
    assert 'gateway_model_time_left_seconds{model="mine"}' in await gateway.metrics()
