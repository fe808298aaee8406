"""Chat, responses, embeddings, moderations: texts, calls of tools, answers of a given structure, streams."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.openai_like import CREATED, reply_to, spaced, text_of, usage_of, vector

Json = dict[str, Any]

# What every answer of a given structure says, and with what every tool is called.
PERSON = '{"name":"Ada","age":36}'
ARGUMENTS = '{"city":"Paris"}'


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/chat/completions", _chat),
        web.post("/v1/responses", _responses),
        web.post("/v1/embeddings", _embeddings),
        web.post("/v1/moderations", _moderations),
    ]


async def events(request: web.Request, said: Iterable[Json], done: bool) -> web.StreamResponse:
    """A stream of them; those of the Responses API have names."""
    stream = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await stream.prepare(request)
    for one in said:
        name = f"event: {one['type']}\n" if "type" in one else ""
        await stream.write(f"{name}data: {json.dumps(one)}\n\n".encode())
    if done:
        await stream.write(b"data: [DONE]\n\n")
    return stream


# ---- chat completions ----------------------------------------------------------------------------------


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    message, finish = _message(body)
    usage = usage_of(9, 5)
    base = {"id": "chatcmpl-1", "created": CREATED, "model": body["model"]}
    if body.get("stream"):
        return await events(request, _chunks(base, message, finish, usage, body), done=True)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return web.json_response(base | {"object": "chat.completion", "choices": [choice], "usage": usage})


def _message(body: Json) -> tuple[Json, str]:
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    last = body["messages"][-1]
    if body.get("tools") and last["role"] != "tool":
        function = {"name": body["tools"][0]["function"]["name"], "arguments": ARGUMENTS}
        call = {"id": "call_1", "type": "function", "function": function}
        return message | {"tool_calls": [call]}, "tool_calls"
    if body.get("response_format", {}).get("type") == "json_schema":
        return message | {"content": PERSON}, "stop"
    words, finish = reply_to([text_of(last["content"])], body)
    return message | {"content": " ".join(words)}, finish


def _chunks(base: Json, message: Json, finish: str, usage: Json, body: Json) -> Iterator[Json]:
    base = base | {"object": "chat.completion.chunk"}
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if "tool_calls" in message:
        call = message["tool_calls"][0]
        begun = call | {"index": 0, "function": call["function"] | {"arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        parts = (ARGUMENTS[:5], ARGUMENTS[5:])
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts]
    else:
        deltas += [{"content": word} for word in spaced(message["content"].split(" "))]
    for delta in [*deltas, {}]:
        ended = None if delta else finish
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": ended}
        yield base | {"choices": [choice]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield base | {"choices": [], "usage": usage}


# ---- responses -----------------------------------------------------------------------------------------


async def _responses(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if body.get("stream"):
        return await events(request, response_events(body), done=False)
    return web.json_response(response(body))


def response(body: Json) -> Json:
    """The whole response to such a body."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "model": body["model"],
        "output": [_item(body)],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 14,
        },
    }


def _item(body: Json) -> Json:
    said = body["input"]
    if body.get("tools"):
        name = body["tools"][0]["name"]
        return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name} | {
            "arguments": ARGUMENTS,
            "status": "completed",
        }
    structured = body.get("text", {}).get("format", {}).get("type") == "json_schema"
    text = PERSON if structured else " ".join(reply_to([said if isinstance(said, str) else "that"], body)[0])
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }


def response_events(body: Json) -> Iterator[Json]:
    """The events of a streamed response, numbered."""
    whole = response(body)
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    said = [{"type": "response.created", "response": begun}, *_item_events(whole["output"][0])]
    for number, one in enumerate([*said, {"type": "response.completed", "response": whole}]):
        yield one | {"sequence_number": number}


def _item_events(item: Json) -> Iterator[Json]:
    at = {"output_index": 0, "item_id": item["id"]}
    empty: Json = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item | empty}
    if item["type"] == "function_call":
        for part in (ARGUMENTS[:5], ARGUMENTS[5:]):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": part}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": ARGUMENTS} | {
            "name": item["name"]
        }
    else:
        at |= {"content_index": 0}
        part = item["content"][0]
        yield {"type": "response.content_part.added", **at, "part": part | {"text": ""}}
        for word in spaced(part["text"].split(" ")):
            yield {"type": "response.output_text.delta", **at, "delta": word, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}


# ---- embeddings and moderations ------------------------------------------------------------------------


async def _embeddings(request: web.Request) -> web.Response:
    body = await request.json()
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text, 8, base64)}
        for index, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def _moderations(request: web.Request) -> web.Response:
    body = await request.json()
    flagged = "kill" in str(body["input"])
    result = {"flagged": flagged, "categories": {"violence": flagged}, "category_scores": {"violence": 0.5}}
    return web.json_response({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})
