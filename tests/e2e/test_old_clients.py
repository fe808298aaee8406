"""Clients of other years and of Azure: their paths, their headers, their answers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncAzureOpenAI

from tests.conftest import Start
from tests.e2e.test_the_script import ROOT, SCRIPT
from tests.legacy import legacy
from tests.running import KEY, Running
from tests.scripted import Scripted, raw
from tests.scripted import json as plain

CHAT: list[Any] = [{"role": "user", "content": "Say something nice."}]
REDIRECT = '[models]\nretired = "redirect"'

# What people wrote in 2023. It prints JSON, line by line.
OF_2023 = """
import json, openai
def say(*what): print(json.dumps(what))
messages = [{"role": "user", "content": "hi there"}]
for named in ({"engine": "gpt-3.5-turbo-instruct"}, {"model": "gpt-3.5-turbo-instruct"}):
    whole = openai.Completion.create(prompt="Once upon", max_tokens=16, **named)
    parts = openai.Completion.create(prompt="Once upon", max_tokens=16, stream=True, **named)
    say(whole.choices[0].text, "".join(part.choices[0].text for part in parts))
for named in ({"engine": "gpt-5.6-sol"}, {"model": "gpt-5.6-sol"}):
    whole = openai.ChatCompletion.create(messages=messages, **named)
    parts = openai.ChatCompletion.create(messages=messages, stream=True, **named)
    say(whole.choices[0].message.content,
        "".join(part.choices[0].delta.get("content", "") for part in parts))
for named in ({"engine": "text-embedding-3-small"}, {"model": "text-embedding-3-small"}):
    say(len(openai.Embedding.create(input=["a", "b"], encoding_format="float", **named).data))
for named in ({"engine": "gpt-5.6-sol"}, {"model": "gpt-5.6-sol"}):
    edit = openai.Edit.create(input="helo", instruction="Mend it.", **named)
    say(edit.object, edit.choices[0].text, edit.usage.total_tokens)
say(openai.Moderation.create(input="hi").results[0].flagged)
say([model.id for model in openai.Model.list().data], openai.Model.retrieve("gpt-4o-mini").id)
"""


@pytest.mark.parametrize("slash", ["", "/"])
async def test_openai_0_28_with_engines_and_models(
    gateway: Running, upstream: Scripted, tmp_path: Path, slash: str
) -> None:
    lines = await legacy(OF_2023, gateway.url + "/v1" + slash, KEY, tmp_path)
    by_engine, by_model, chat_engine, chat_model, *others = map(json.loads, lines)
    assert by_engine[0]
    assert by_engine[0] == by_engine[1] == by_model[0] == by_model[1]
    assert chat_engine[0]
    assert chat_engine[0] == chat_engine[1] == chat_model[0] == chat_model[1]
    assert others[:2] == [[2], [2]]
    assert others[2] == others[3]
    assert others[2][0] == "edit"
    assert others[4:] == [[False], [["gpt-4o-mini", "gpt-6-luna", "text-embedding-3-small"], "gpt-4o-mini"]]
    # However it was asked, it is the same question: seven paths, each asked for once.
    asked = [(seen.path, seen.json().get("model")) for seen in upstream.requests if seen.method == "POST"]
    assert asked == [
        ("/v1/completions", "gpt-3.5-turbo-instruct"),
        ("/v1/chat/completions", "gpt-5.6-sol"),
        ("/v1/embeddings", "text-embedding-3-small"),
        ("/v1/chat/completions", "gpt-5.6-sol"),
        ("/v1/moderations", None),
    ]
    edit = upstream.requests[3].json()["messages"]
    assert [(each["role"], each["content"]) for each in edit] == [("system", "Mend it."), ("user", "helo")]


OF_AZURE = """
import json, openai, os
openai.api_type = "azure"
openai.api_version = "2023-05-15"
openai.api_base = os.environ["OPENAI_API_BASE"]
openai.api_key = os.environ["OPENAI_API_KEY"]
messages = [{"role": "user", "content": "hi there"}]
print(openai.Completion.create(engine="gpt-3.5-turbo-instruct", prompt="Once upon").choices[0].text)
print(openai.ChatCompletion.create(engine="gpt-5.6-sol", messages=messages).choices[0].message.content)
parts = openai.ChatCompletion.create(deployment_id="gpt-5.6-sol", messages=messages, stream=True)
print("".join(part.choices[0].delta.get("content", "") for part in parts if part.choices))
vectors = openai.Embedding.create(engine="text-embedding-3-small", input=["a", "b"], encoding_format="float")
print(len(vectors.data))
"""


@pytest.mark.parametrize("slash", ["", "/"])
async def test_openai_0_28_for_azure(
    gateway: Running, upstream: Scripted, tmp_path: Path, slash: str
) -> None:
    text, chat, streamed, vectors = await legacy(OF_AZURE, gateway.url + slash, KEY, tmp_path)
    assert text
    assert chat == streamed
    assert vectors == "2"
    asked = [(seen.path, seen.json()["model"], seen.header("api-key")) for seen in upstream.requests]
    assert asked == [
        ("/v1/completions", "gpt-3.5-turbo-instruct", None),
        ("/v1/chat/completions", "gpt-5.6-sol", None),
        ("/v1/embeddings", "text-embedding-3-small", None),
    ]


@pytest.fixture
async def azure(gateway: Running) -> AsyncIterator[AsyncAzureOpenAI]:
    async with AsyncAzureOpenAI(
        azure_endpoint=gateway.url, api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as sdk:
        yield sdk


async def test_todays_client_for_azure(azure: AsyncAzureOpenAI, upstream: Scripted) -> None:
    whole = await azure.chat.completions.create(model="gpt-5.6-sol", messages=CHAT)
    parts = await azure.chat.completions.create(model="gpt-5.6-sol", messages=CHAT, stream=True)
    said = "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])
    assert said
    assert whole.choices[0].message.content == said
    vectors = await azure.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(vectors.data) == 2
    asked = [(seen.path, seen.json()["model"], seen.header("api-key")) for seen in upstream.requests]
    assert asked == [
        ("/v1/chat/completions", "gpt-5.6-sol", None),
        ("/v1/embeddings", "text-embedding-3-small", None),
    ]


async def test_todays_client_for_azure_draws(azure: AsyncAzureOpenAI, upstream: Scripted) -> None:
    upstream.plan(plain(200, {"created": 1, "data": [{"b64_json": "aGk="}]}))
    image = await azure.images.generate(model="gpt-image-2", prompt="a door")
    assert image.data is not None
    assert image.data[0].b64_json == "aGk="
    (seen,) = upstream.requests
    assert (seen.path, seen.json()["model"]) == ("/v1/images/generations", "gpt-image-2")


async def test_todays_client_for_azure_speaks_and_listens(
    azure: AsyncAzureOpenAI, upstream: Scripted
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 5\r\n\r\n"
    upstream.plan(raw(head + b"\x00\xff\xfbhi"), plain(200, {"text": "hi"}))
    spoken = await azure.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hi")
    assert spoken.content == b"\x00\xff\xfbhi"
    heard = await azure.audio.transcriptions.create(model="gpt-transcribe", file=("a.mp3", spoken.content))
    assert heard.text == "hi"
    speech, transcription = upstream.requests
    assert (speech.path, speech.json()["model"]) == ("/v1/audio/speech", "gpt-4o-mini-tts")
    assert transcription.path == "/v1/audio/transcriptions"
    assert b"\x00\xff\xfbhi" in transcription.body


RETIRED = """
import openai
completion = openai.Completion.create(engine="text-davinci-002", prompt=["One", "Two"], n=2, max_tokens=16,
                                      temperature=0.7, logprobs=2)
print([(choice.index, bool(choice.text), choice.finish_reason) for choice in completion.choices])
print(completion.object, completion.usage.total_tokens > 0)
streamed = openai.Completion.create(engine="text-davinci-002", prompt="Once upon", stream=True)
print(bool("".join(part.choices[0].text for part in streamed)))
edit = openai.Edit.create(engine="text-davinci-edit-001", input="helo", instruction="Mend it.")
print(edit.object, bool(edit.choices[0].text))
try:
    openai.Completion.create(engine="text-davinci-002", prompt="a", suffix="b")
except openai.error.InvalidRequestError as error:
    print(error.code, error.param)
"""


async def test_a_program_of_2023_outlives_its_models(
    start: Start, upstream: Scripted, tmp_path: Path
) -> None:
    gateway = await start(REDIRECT)
    choices, whole, streamed, edit, refused = await legacy(RETIRED, gateway.url + "/v1", KEY, tmp_path)
    assert choices == str([(index, True, "stop") for index in range(4)])
    assert (whole, streamed, edit) == ("text_completion True", "True", "edit True")
    assert refused == "cannot_bridge suffix"
    assert {seen.path for seen in upstream.requests} == {"/v1/chat/completions"}
    assert [seen.json()["model"] for seen in upstream.requests] == ["gpt-5.6-terra"] * 3 + ["gpt-4o"]


async def test_the_script_prints_a_message_of_a_model_that_only_chats(
    start: Start, upstream: Scripted, tmp_path: Path
) -> None:
    gateway = await start(REDIRECT)
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "openai_secret_manager").symlink_to(ROOT / "openai_secret_manager")
    environ = {"GATEWAY_API_KEY": KEY, "XDG_CONFIG_HOME": str(tmp_path)}
    program = (
        f"import os, sys\nsys.path.insert(0, {str(packages)!r})\nos.environ.update({environ!r})\n" + SCRIPT
    )
    lines = await legacy(program, gateway.url + "/v1", "sk-of-nobody", tmp_path)
    assert "".join(lines).strip()
    (seen,) = upstream.requests
    assert (seen.path, seen.json()["model"]) == ("/v1/chat/completions", "gpt-5.6-terra")
