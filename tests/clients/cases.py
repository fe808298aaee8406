"""What people do with OpenAI's Python client, case by case. `client.mjs` does the same with the npm one.

A case returns what it was told, as plain JSON, so that two runs can be compared.
"""

import hashlib
import io
from collections.abc import Awaitable, Callable
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.clients.media import AUDIO, PICTURE

Case = Callable[[AsyncOpenAI], Awaitable[Any]]

MODEL = "gpt-4o-mini"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Person(BaseModel):
    name: str
    age: int


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def chat(client: AsyncOpenAI) -> Any:
    answer = await client.chat.completions.create(model=MODEL, messages=said("Say something nice."))
    assert answer.usage is not None
    return [answer.choices[0].message.content, answer.usage.total_tokens]


async def chat_stream(client: AsyncOpenAI) -> Any:
    stream = await client.chat.completions.create(
        model=MODEL, messages=said("Stream it."), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    return [text, chunks[-1].usage.total_tokens]


async def chat_tools(client: AsyncOpenAI) -> Any:
    messages = said("How is the weather in Paris?")
    answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    message = answer.choices[0].message
    assert message.tool_calls is not None
    call: Any = message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    messages += [message.model_dump(exclude_none=True), result]
    after = await client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    return [call.function.name, call.function.arguments, after.choices[0].message.content]


async def chat_tools_stream(client: AsyncOpenAI) -> Any:
    async with client.chat.completions.stream(
        model=MODEL,
        messages=said("And in a stream?"),
        tools=[TOOL],
        stream_options={"include_usage": True},
    ) as stream:
        answer = await stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls or []
    return [[call.function.name, call.function.parsed_arguments] for call in calls]


async def chat_parse(client: AsyncOpenAI) -> Any:
    answer = await client.chat.completions.parse(
        model=MODEL, messages=said("Who was the first programmer?"), response_format=Person
    )
    person = answer.choices[0].message.parsed
    return person and person.model_dump()


async def responses(client: AsyncOpenAI) -> Any:
    answer = await client.responses.create(model=MODEL, input="Say something nice.", store=False)
    assert answer.usage is not None
    return [answer.id, answer.output_text, answer.usage.total_tokens]


async def responses_stream(client: AsyncOpenAI) -> Any:
    async with client.responses.stream(model=MODEL, input="Stream it.") as stream:
        types = [event.type async for event in stream]
        return [types, (await stream.get_final_response()).output_text]


async def responses_parse(client: AsyncOpenAI) -> Any:
    answer = await client.responses.parse(model=MODEL, input="Who was she?", text_format=Person)
    return answer.output_parsed and answer.output_parsed.model_dump()


async def responses_tools(client: AsyncOpenAI) -> Any:
    tool: Any = {"type": "function", **TOOL["function"]}
    answer = await client.responses.create(model=MODEL, input="The weather?", tools=[tool])
    call: Any = answer.output[0]
    return [call.type, call.name, call.arguments]


async def embeddings(client: AsyncOpenAI) -> Any:
    answer = await client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    return [one.embedding for one in answer.data]


async def files(client: AsyncOpenAI) -> Any:
    """Up, listed, looked at, down again byte for byte, deleted."""
    lines = b'{"custom_id": "1"}\n' * 5000 + bytes(range(256))
    file = await client.files.create(file=("data.jsonl", lines), purpose="batch")
    listed = [one.id async for one in client.files.list(purpose="batch")]
    shown = await client.files.retrieve(file.id)
    back = await client.files.content(file.id)
    deleted = await client.files.delete(file.id)
    return [file.bytes, listed, shown.filename, digest(back.content), back.content == lines, deleted.deleted]


async def speech(client: AsyncOpenAI) -> Any:
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Hello."
    ) as answer:
        sound = await answer.read()
    return [answer.headers["content-type"], digest(sound), sound == AUDIO]


async def transcription(client: AsyncOpenAI) -> Any:
    answer = await client.audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=("hello.mp3", AUDIO),
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "silence_duration_ms": 200},
    )
    return answer.text


async def transcription_stream(client: AsyncOpenAI) -> Any:
    stream = await client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=("hello.mp3", AUDIO), stream=True
    )
    return [event.type async for event in stream]


async def image(client: AsyncOpenAI) -> Any:
    answer = await client.images.generate(model="gpt-image-1", prompt="A square.", size="1024x1024")
    return [one.b64_json for one in answer.data or []]


async def image_edit(client: AsyncOpenAI) -> Any:
    pictures: list[Any] = [("one.png", PICTURE), ("two.png", io.BytesIO(PICTURE))]
    answer = await client.images.edit(model="gpt-image-1", image=pictures, prompt="Two squares.")
    return [len(one.b64_json or "") for one in answer.data or []]


async def batches(client: AsyncOpenAI) -> Any:
    file = await client.files.create(file=("batch.jsonl", b"{}\n"), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"night": "1"},
    )
    shown = await client.batches.retrieve(batch.id)
    listed = [one.id async for one in client.batches.list(limit=10)]
    cancelled = await client.batches.cancel(batch.id)
    return [batch.id, shown.metadata, listed, cancelled.status]


async def vector_stores(client: AsyncOpenAI) -> Any:
    file = await client.files.create(file=("facts.txt", b"water is wet"), purpose="assistants")
    store = await client.vector_stores.create(name="facts")
    attached = await client.vector_stores.files.create(store.id, file_id=file.id)
    found = [hit.content[0].text async for hit in client.vector_stores.search(store.id, query="water")]
    deleted = await client.vector_stores.delete(store.id)
    return [store.id, attached.status, found, deleted.deleted]


async def moderations(client: AsyncOpenAI) -> Any:
    answer = await client.moderations.create(input="I could kill for a coffee.")
    return answer.results[0].flagged


async def models(client: AsyncOpenAI) -> Any:
    listed = [model.id async for model in client.models.list()]
    return [listed, (await client.models.retrieve(MODEL)).id]


async def not_found(client: AsyncOpenAI) -> Any:
    """An error of the API is the error that its own client knows."""
    try:
        await client.files.retrieve("file-of-nobody")
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None)]


async def realtime(client: AsyncOpenAI) -> Any:
    """A session over a WebSocket: two turns."""
    types, texts = [], []
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        for text in ("Hello", "Bye"):
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            )
            await connection.response.create()
            async for event in connection:
                types.append(event.type)
                if event.type == "response.output_text.done":
                    texts.append(event.text)
                if event.type == "response.done":
                    break
    return [types, texts]


async def realtime_secret(client: AsyncOpenAI) -> Any:
    secret = await client.realtime.client_secrets.create(
        session={"type": "realtime", "model": "gpt-realtime"}
    )
    return secret.value


async def responses_socket(client: AsyncOpenAI) -> Any:
    """The Responses API over one WebSocket: two responses."""
    types = []
    async with client.responses.connect() as connection:
        for text in ("Hello", "Bye"):
            await connection.response.create(model=MODEL, input=text)
            async for event in connection:
                types.append(event.type)
                if event.type == "response.completed":
                    break
    return types


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        *(chat, chat_stream, chat_tools, chat_tools_stream, chat_parse),
        *(responses, responses_stream, responses_parse, responses_tools),
        *(embeddings, files, speech, transcription, transcription_stream, image, image_edit),
        *(batches, vector_stores, moderations, models, not_found),
        *(realtime, realtime_secret, responses_socket),
    )
}


async def play(base_url: str, key: str) -> dict[str, Any]:
    """Every case's result; for one that an exception ended, `{"error": …}`."""
    results: dict[str, Any] = {}
    async with AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20) as client:
        for name, case in CASES.items():
            try:
                results[name] = await case(client)
            except Exception as error:
                results[name] = {"error": f"{type(error).__name__}: {error}"}
    return results
