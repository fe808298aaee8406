"""A response apart, as the events of its stream, and together again.

The events and their order are `ResponseStreamEvent` of OpenAI's API description.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from gateway.policy import sse
from gateway.policy.jsonbytes import parse
from gateway.policy.replay_chunks import Object, UnfaithfulError, decoded, objects

_Events = Iterator[tuple[str, Object]]

# What is not yet known when a response begins.
_NOT_YET: Final[Object] = {"status": "in_progress", "output": [], "usage": None, "completed_at": None}


class _Completed(msgspec.Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw()


_COMPLETED = msgspec.json.Decoder(_Completed)


def to_events(body: bytes) -> list[bytes]:
    """The events of a stream that ends in `body`. There is no `[DONE]` in this API."""
    response = decoded(body)
    if response.get("status") != "completed":
        raise UnfaithfulError
    begun = response | {name: value for name, value in _NOT_YET.items() if name in response}
    events = [_event("response.created", 0, {"response": begun})]
    events.append(_event("response.in_progress", 1, {"response": begun}))
    for at, item in enumerate(objects(response.get("output"))):
        for type_, said in _item(item):
            events.append(_event(type_, len(events), {"output_index": at} | said))
    whole = msgspec.Raw(msgspec.json.format(body, indent=-1))  # a line break would end the data line
    return [*events, _event("response.completed", len(events), {"response": whole})]


def to_body(events: Sequence[bytes]) -> bytes:
    """The response that the last event completes, byte for byte as it stands there."""
    for raw in reversed(events):
        event = parse(_COMPLETED, sse.data(raw))
        if event is not None and event.type == "response.completed":
            return bytes(event.response)
    raise UnfaithfulError


def _item(item: Object) -> _Events:
    emit = _ITEMS.get(str(item.get("type")))
    if emit is None or not isinstance(item.get("id"), str):
        raise UnfaithfulError
    return emit(item)


def _message(item: Object) -> _Events:
    yield "response.output_item.added", {"item": item | {"status": "in_progress", "content": []}}
    for at, part in enumerate(objects(item.get("content"))):
        place = {"item_id": item["id"], "content_index": at}
        if part.get("type") == "output_text":
            yield from _text(place, part)
        elif part.get("type") == "refusal":
            yield from _written("response.content_part", "response.refusal", place, part, "refusal")
        else:
            raise UnfaithfulError
    yield "response.output_item.done", {"item": item}


def _text(place: Object, part: Object) -> _Events:
    logprobs = {"logprobs": objects(part.get("logprobs"))}
    notes = objects(part.get("annotations"))
    empty = part | {name: [] for name in ("annotations", "logprobs") if part.get(name)}
    yield "response.content_part.added", place | {"part": empty | {"text": ""}}
    yield "response.output_text.delta", place | {"delta": _string(part, "text")} | logprobs
    for at, note in enumerate(notes):
        yield "response.output_text.annotation.added", place | {"annotation_index": at, "annotation": note}
    yield "response.output_text.done", place | {"text": part["text"]} | logprobs
    yield "response.content_part.done", place | {"part": part}


def _written(around: str, within: str, place: Object, part: Object, member: str) -> _Events:
    """A part that is one string: it is added empty, written, and done."""
    text = _string(part, member)
    yield f"{around}.added", place | {"part": part | {member: ""}}
    yield f"{within}.delta", place | {"delta": text}
    yield f"{within}.done", place | {member: text}
    yield f"{around}.done", place | {"part": part}


def _reasoning(item: Object) -> _Events:
    thoughts = objects(item.get("content"))
    empty = item | {"summary": []} | ({"content": []} if thoughts else {})
    yield "response.output_item.added", {"item": empty}
    for at, part in enumerate(objects(item.get("summary"))):
        place = {"item_id": item["id"], "summary_index": at}
        part_event, text_event = "response.reasoning_summary_part", "response.reasoning_summary_text"
        yield from _written(part_event, text_event, place, part, "text")
    for at, part in enumerate(thoughts):
        place = {"item_id": item["id"], "content_index": at}
        yield from _written("response.content_part", "response.reasoning_text", place, part, "text")
    yield "response.output_item.done", {"item": item}


def _function_call(item: Object) -> _Events:
    return _call("response.function_call_arguments", item | {"status": "in_progress"}, item, "arguments")


def _custom_call(item: Object) -> _Events:
    return _call("response.custom_tool_call_input", item, item, "input")


def _call(within: str, begun: Object, item: Object, member: str) -> _Events:
    text = _string(item, member)
    place = {"item_id": item["id"]}
    yield "response.output_item.added", {"item": begun | {member: ""}}
    yield f"{within}.delta", place | {"delta": text}
    yield f"{within}.done", place | {member: text}
    yield "response.output_item.done", {"item": item}


# Other items come from tools that the provider runs: an answer that rests on those is not kept anyway.
_ITEMS: Final[dict[str, Callable[[Object], _Events]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
}


def _string(owner: Object, member: str) -> str:
    value: Any = owner.get(member)
    if not isinstance(value, str):
        raise UnfaithfulError
    return value


def _event(type_: str, number: int, said: Object) -> bytes:
    data = msgspec.json.encode({"type": type_, "sequence_number": number} | said)
    return b"event: " + type_.encode() + b"\ndata: " + data + b"\n\n"
