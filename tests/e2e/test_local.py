"""An empty folder, no key, one command: a real model answers, and then the cache does."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.legacy import legacy
from tests.served import Served, gone, served

pytestmark = [pytest.mark.local, pytest.mark.timeout(300)]
CHAT: list[Any] = [{"role": "user", "content": "Name a colour."}]
MODEL = "smollm2-135m-instruct"


async def test_the_first_run(tmp_path: Path) -> None:
    async with served(tmp_path, environ={"GATEWAY_LOCAL_THREADS": "1"}) as gateway:
        assert "SmolLM2-135M-Instruct" in gateway.output
        folder = tmp_path / "gateway-data"
        assert folder.stat().st_mode & 0o777 == 0o700
        await _the_snippet_works_when_pasted(gateway)
        async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key=gateway.client_key, timeout=120) as sdk:
            await _a_hit_is_byte_identical(sdk, gateway)
            await _a_stream_and_its_usage(sdk)
            await _the_other_endpoints(sdk)
        await _a_program_of_2023(gateway, tmp_path)
        children = gateway.children()
        assert len(children) >= 2
    await gone(children)


async def _the_snippet_works_when_pasted(gateway: Served) -> None:
    match = re.search(
        r"^from openai import OpenAI.*?^print\(.*?\)$", gateway.output, re.MULTILINE | re.DOTALL
    )
    assert match is not None, gateway.output
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", match[0], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.strip()


async def _a_hit_is_byte_identical(sdk: AsyncOpenAI, gateway: Served) -> None:
    answers = []
    for _ in range(2):
        raw = await sdk.chat.completions.with_raw_response.create(model=MODEL, messages=CHAT, max_tokens=12)
        answers.append((raw.headers["x-gateway-cache"], raw.headers["x-gateway-upstream"], raw.content))
    (first, second) = answers
    assert (first[0], first[1], second[0], second[1]) == ("miss", "local", "hit", "cache")
    assert first[2] == second[2]
    # The pasted snippet's call and this one: the hit asked nobody.
    assert await gateway.metric('gateway_upstream_requests_total{outcome="ok",upstream="local"}') == 2


async def _a_stream_and_its_usage(sdk: AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model=MODEL, messages=CHAT, max_tokens=12, seed=1, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 12
    hidden = await sdk.chat.completions.create(model=MODEL, messages=CHAT, max_tokens=12, seed=2, stream=True)
    assert all(chunk.choices for chunk in [chunk async for chunk in hidden])


async def _the_other_endpoints(sdk: AsyncOpenAI) -> None:
    completion = await sdk.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8)
    assert completion.choices[0].text
    vectors = await sdk.embeddings.create(model=MODEL, input="a sentence")
    assert len(vectors.data[0].embedding) > 100
    assert [model.id async for model in sdk.models.list()] == [MODEL]
    response = await sdk.responses.create(model=MODEL, input="Say hi.", max_output_tokens=8)
    assert response.output_text


LEGACY = """
import openai
completion = openai.Completion.create(engine="text-davinci-002", prompt="Your message", max_tokens=8)
print(repr(completion.choices[0].text))
chat = openai.ChatCompletion.create(model="gpt-3.5-turbo", max_tokens=8,
                                    messages=[{"role": "user", "content": "Hi!"}])
print(repr(chat.choices[0].message.content))
"""


async def _a_program_of_2023(gateway: Served, folder: Path) -> None:
    text, said = await legacy(LEGACY, gateway.url + "/v1", gateway.client_key, folder)
    assert len(text) > 2
    assert len(said) > 2
