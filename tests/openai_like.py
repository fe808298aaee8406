"""What a small believable OpenAI answers: deterministic from the request's body, but for the call's number.

Words are tokens. The text repeats the last thing that was said, so a test can tell answers apart; the ids
carry the call's number, so it can tell a kept answer from a fresh one. Fields of a request that are not
known here come back under `echo`.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator
from typing import Any

from tests.scripted import Answer, Headers, Seen, json, sse

CREATED = 1_700_000_000
MODELS = ("gpt-4o-mini", "gpt-6-luna", "text-embedding-3-small")
DIMENSIONS = 8
KNOWN = frozenset(
    {"model", "messages", "prompt", "input", "instructions", "n", "temperature", "top_p", "user"}
    | {"stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"}
    | {"encoding_format", "dimensions"}
)

Json = dict[str, Any]


def answer(seen: Seen) -> Answer:
    """The answer to a request, from its method, path and body."""
    route = seen.path.partition("?")[0].removeprefix("/v1")
    if seen.method == "GET" and route == "/models":
        return ok(seen, {"object": "list", "data": [model(name) for name in MODELS]})
    if seen.method == "GET" and route.startswith("/models/"):
        return one_model(seen, route.removeprefix("/models/"))
    made = ROUTES.get(route) if seen.method == "POST" else None
    if made is None:
        return refuse(seen, 404, f"Invalid URL ({seen.method} {seen.path})", None)
    try:
        body = seen.json()
    except ValueError:
        return refuse(seen, 400, "We could not parse the JSON body of your request.", None)
    return made(seen, body)


def chat(seen: Seen, body: Json) -> Answer:
    said = [text_of(message.get("content")) for message in body.get("messages", [])]
    words, finish = reply_to(said, body)
    choices = body.get("n") or 1
    usage = usage_of(count(said), len(words) * choices)
    if body.get("stream"):
        return stream(seen, chat_chunks(seen, words, finish, choices, usage, wants_usage(body)))
    whole = chat_completion(seen.number, " ".join(words), usage, finish, choices, body.get("model"))
    return ok(seen, whole | echo(body))


def completions(seen: Seen, body: Json) -> Answer:
    said = [text_of(body.get("prompt"))]
    words, finish = reply_to(said, body)
    usage = usage_of(count(said), len(words))
    base = {
        "id": f"cmpl-{seen.number}",
        "object": "text_completion",
        "created": CREATED,
        "model": body.get("model"),
    }
    choice = {"index": 0, "logprobs": None}
    if not body.get("stream"):
        whole = choice | {"text": " ".join(words), "finish_reason": finish}
        return ok(seen, base | {"choices": [whole], "usage": usage} | echo(body))
    none = {"usage": None} if wants_usage(body) else {}
    events = [
        base | {"choices": [choice | {"text": word, "finish_reason": None}]} | none for word in spaced(words)
    ]
    events.append(base | {"choices": [choice | {"text": "", "finish_reason": finish}]} | none)
    if wants_usage(body):
        events.append(base | {"choices": [], "usage": usage})
    return stream(seen, events)


def embeddings(seen: Seen, body: Json) -> Answer:
    given = body.get("input")
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or DIMENSIONS
    base64_wanted = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": vector(str(one), size, base64_wanted)}
        for index, one in enumerate(inputs)
    ]
    tokens = count([text_of(one) for one in inputs])
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return ok(seen, {"object": "list", "data": data, "model": body.get("model"), "usage": usage} | echo(body))


def responses(seen: Seen, body: Json) -> Answer:
    given = body.get("input")
    said = [text_of(item.get("content")) for item in given] if isinstance(given, list) else [text_of(given)]
    words, finish = reply_to(said, body)
    usage = {
        "input_tokens": count(said),
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count(said) + len(words),
    }
    whole = response_object(seen, body, words, finish, usage)
    return stream(seen, response_events(whole, words), done=False) if body.get("stream") else ok(seen, whole)


def moderations(seen: Seen, body: Json) -> Answer:
    given = body.get("input")
    results = [
        {"flagged": "kill" in str(one), "categories": {"violence": "kill" in str(one)}, "category_scores": {}}
        for one in (given if isinstance(given, list) else [given])
    ]
    return ok(seen, {"id": f"modr-{seen.number}", "model": "omni-moderation-latest", "results": results})


ROUTES = {
    "/chat/completions": chat,
    "/completions": completions,
    "/embeddings": embeddings,
    "/responses": responses,
    "/moderations": moderations,
}


def usage_of(prompt: int, completion: int) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def chat_completion(
    number: int,
    text: str,
    usage: Json,
    finish: str = "stop",
    choices: int = 1,
    name: str | None = "gpt-4o-mini",
) -> Json:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": name,
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
            for index in range(choices)
        ],
        "usage": usage,
        "system_fingerprint": "fp_scripted",
    }


def chat_chunks(
    seen: Seen, words: list[str], finish: str, choices: int, usage: Json, with_usage: bool
) -> Iterator[Json]:
    base: Json = {
        "id": f"chatcmpl-{seen.number}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": seen.json().get("model"),
    }
    none = {"usage": None} if with_usage else {}
    deltas: list[Json] = [
        {"role": "assistant", "content": ""},
        *({"content": word} for word in spaced(words)),
        {},
    ]
    for delta in deltas:
        for index in range(choices):
            ended = None if delta else finish
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": ended}
            yield base | {"choices": [choice]} | none
    if with_usage:
        yield base | {"choices": [], "usage": usage}


def response_object(seen: Seen, body: Json, words: list[str], finish: str, usage: Json) -> Json:
    content = {"type": "output_text", "text": " ".join(words), "annotations": []}
    message = {"type": "message", "id": f"msg_{seen.number}", "status": "completed", "role": "assistant"}
    return {
        "id": f"resp_{seen.number}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if finish == "stop" else "incomplete",
        "model": body.get("model"),
        "output": [message | {"content": [content]}],
        "error": None,
        "usage": usage,
    } | echo(body)


def response_events(whole: Json, words: list[str]) -> Iterator[Json]:
    item = whole["output"][0]
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
        *({"type": "response.output_text.delta", **at, "delta": word} for word in spaced(words)),
        {"type": "response.output_text.done", **at, "text": " ".join(words)},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    for number, one in enumerate(events):
        yield one | {"sequence_number": number}


def one_model(seen: Seen, name: str) -> Answer:
    if name in MODELS:
        return ok(seen, model(name))
    return refuse(seen, 404, f"The model '{name}' does not exist", "model_not_found")


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "scripted"}


def ok(seen: Seen, body: Json) -> Answer:
    return json(200, body, own_headers(seen))


def stream(seen: Seen, events: list[Json] | Iterator[Json], done: bool = True) -> Answer:
    return sse(events, end="done" if done else "clean", headers=own_headers(seen))


def refuse(seen: Seen, status: int, message: str, code: str | None) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json(status, {"error": error}, own_headers(seen))


def own_headers(seen: Seen) -> Headers:
    """What OpenAI adds; the last three are no business of a gateway's clients."""
    return [
        ("x-request-id", f"req_{seen.number}"),
        ("openai-processing-ms", "7"),
        ("openai-organization", "org-scripted"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("set-cookie", "__cf_bm=scripted; path=/; HttpOnly"),
    ]


def reply_to(said: list[str], body: Json) -> tuple[list[str], str]:
    words = ["You", "said:", *(said[-1].split() if said else []), "."]
    most = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
    if most and most < len(words):
        return words[:most], "length"
    return words, "stop"


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(
            str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content
        )
    return "" if content is None else str(content)


def count(said: list[str]) -> int:
    return sum(len(text.split()) for text in said) + 3


def spaced(words: list[str]) -> list[str]:
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]


def wants_usage(body: Json) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def echo(body: Json) -> Json:
    unknown = {name: value for name, value in body.items() if name not in KNOWN}
    return {"echo": unknown} if unknown else {}


def vector(text: str, size: int, as_base64: bool) -> list[float] | str:
    digest = hashlib.sha256(text.encode()).digest() * (size // 32 + 1)
    numbers = [byte / 256 for byte in digest[:size]]
    return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode() if as_base64 else numbers
