"""A choice of a chat completion: a message apart, as deltas, and together again.

The shapes are `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse` of OpenAI's API
description.
"""

from typing import Any

from gateway.policy.replay_chunks import (
    Object,
    UnfaithfulError,
    append,
    extend_logprobs,
    integer,
    objects,
    settle,
)

_OWN = ("index", "message", "logprobs", "finish_reason")


def split(choice: Object) -> list[Object]:
    """The chunks' choices that say what this one says: the role, each text and call, the finish reason."""
    deltas = _deltas(choice.get("message"))
    apart = {name: None for name in ("logprobs",) if name in choice}
    pieces = [
        {"index": choice.get("index"), "delta": delta, **apart, "finish_reason": None} for delta in deltas
    ]
    if apart:
        pieces[min(1, len(pieces) - 1)]["logprobs"] = choice["logprobs"]
    end: Object = {"index": choice.get("index"), "delta": {}, **apart}
    end["finish_reason"] = choice.get("finish_reason")
    for name, value in choice.items():
        if name not in _OWN:
            settle(end, name, value)
    return [*pieces, end]


def join(pieces: list[Object]) -> Object:
    """The choice that these chunks' choices, all of one index, make together."""
    message: Object = {}
    calls: dict[int, Object] = {}
    choice: Object = {"index": pieces[0]["index"], "message": message}
    for piece in pieces:
        for name, value in piece.items():
            if name == "delta":
                _add(message, calls, value)
            elif name == "logprobs":
                extend_logprobs(choice, value)
            else:
                settle(choice, name, value)
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    if choice.get("finish_reason") is None:
        raise UnfaithfulError
    choice["message"] = {"role": "assistant", "content": None} | message
    return choice


def _deltas(message: Any) -> list[Object]:
    """The first says who speaks and which members there are; the others say one thing each."""
    if not isinstance(message, dict):
        raise UnfaithfulError
    opening: Object = {"role": message.get("role", "assistant")}
    deltas = [opening]
    for name, value in message.items():
        if name == "tool_calls" and value:
            deltas += [{"tool_calls": [_call(at, call)]} for at, call in enumerate(objects(value))]
        elif name == "function_call" and isinstance(value, dict):
            deltas.append({name: value})
        elif name == "annotations" and isinstance(value, list):
            opening[name] = value
        elif isinstance(value, str) and name != "role":
            opening[name] = ""
            deltas.append({name: value})
        elif name != "role":
            append(opening, name, value)
    return deltas


def _call(at: int, call: Object) -> Object:
    if call.get("type", "function") != "function":  # the chunk's schema knows no other
        raise UnfaithfulError
    return call | {"index": at}


def _add(message: Object, calls: dict[int, Object], delta: Any) -> None:
    if not isinstance(delta, dict):
        raise UnfaithfulError
    for name, value in delta.items():
        if name == "tool_calls" and value:
            for part in objects(value):
                _add_call(calls.setdefault(integer(part.get("index")), {}), part)
        elif name == "function_call" and isinstance(value, dict):
            _add_function(message, name, value)
        elif name == "annotations" and isinstance(value, list):
            message[name] = objects(message.get(name)) + objects(value)
        elif name == "role":
            settle(message, name, value)
        else:
            append(message, name, value)


def _add_call(call: Object, part: Object) -> None:
    for name, value in part.items():
        if name == "function" and isinstance(value, dict):
            _add_function(call, name, value)
        elif name == "type" and value not in (None, "", "function"):
            raise UnfaithfulError
        elif name != "index" and (value or name not in call):
            settle(call, name, value)


def _add_function(owner: Object, name: str, part: Object) -> None:
    function = owner.setdefault(name, {})
    for member, value in part.items():
        append(function, member, value)
