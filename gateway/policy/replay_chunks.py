"""An answer as chunks and as one body: what chat completions and completions have in common.

`UnfaithfulError` is raised wherever the other form cannot be had without guessing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.policy import sse
from gateway.policy.counts import state_usage
from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage
from gateway.policy.usage import DONE, is_usage_chunk, states_usage

Object = dict[str, Any]

LAST_EVENT: Final = b"data: " + DONE + b"\n\n"

# What stands in every chunk. Other members of the answer are said once, in the first.
_COMMON: Final = ("id", "created", "model", "service_tier", "system_fingerprint")
_APART: Final = ("object", "choices", "usage", "obfuscation")

_OBJECT = msgspec.json.Decoder(Object)


class UnfaithfulError(Exception):
    """The stored answer does not say what its other form would be."""


@dataclass(frozen=True, slots=True)
class Family:
    """An API that answers in chunks: its two objects' names, and how a choice comes apart and together."""

    endpoint: str
    body_object: str
    chunk_object: str
    split: Callable[[Object], list[Object]]
    join: Callable[[list[Object]], Object]


def to_events(family: Family, body: bytes, usage: Usage | None, include_usage: bool) -> list[bytes]:
    """The events of a stream that says what `body` says; `usage` is told where the body has none."""
    answer = decoded(body)
    common = {name: answer[name] for name in _COMMON if name in answer} | {"object": family.chunk_object}
    silent = {"usage": None} if include_usage else {}
    chunks = [
        common | {"choices": [piece]} | silent
        for choice in objects(answer.get("choices"))
        for piece in family.split(choice)
    ]
    if not chunks:
        raise UnfaithfulError
    chunks[0] |= {name: value for name, value in answer.items() if name not in (*_COMMON, *_APART)}
    if include_usage and (counts := _counts(family.endpoint, answer, usage)):
        chunks.append(common | {"choices": [], "usage": counts})
    return [*map(_event, chunks), LAST_EVENT]


def to_body(family: Family, events: Sequence[bytes], usage: Usage | None) -> bytes:
    """The body that says what the events say; `usage` is told where they have none."""
    answer: Object = {}
    counts: Object = {}
    pieces: dict[int, list[Object]] = {}
    for chunk in _chunks(events):
        for name, value in chunk.items():
            if name not in _APART and (value or name not in answer):
                answer[name] = value
        for piece in objects(chunk.get("choices")):
            pieces.setdefault(integer(piece.get("index")), []).append(piece)
        counts = _counts(family.endpoint, chunk, None) or counts
    if not pieces:
        raise UnfaithfulError
    answer["object"] = family.body_object
    answer["choices"] = [family.join(pieces[index]) for index in sorted(pieces)]
    if counts := counts or _counts(family.endpoint, {}, usage):
        answer["usage"] = counts
    return msgspec.json.encode(answer)


def with_usage(family: Family, events: Sequence[bytes], usage: Usage | None) -> list[bytes]:
    """The events, and a usage chunk made of `usage` where they have none."""
    counts = _counts(family.endpoint, {}, usage)
    if not counts or any(map(states_usage, reversed(events))):
        return list(events)
    first = next(_chunks(events), {})
    common = {name: first[name] for name in _COMMON if name in first} | {"object": family.chunk_object}
    chunk = _event(common | {"choices": [], "usage": counts})
    end = next((at for at, raw in enumerate(events) if sse.data(raw) == DONE), len(events))
    return [*events[:end], chunk, *events[end:]]


def without_usage(events: Sequence[bytes]) -> list[bytes]:
    """The events but for the chunk that only carries usage."""
    return [raw for raw in events if not is_usage_chunk(raw)]


def decoded(document: bytes) -> Object:
    value = parse(_OBJECT, document)
    if value is None:
        raise UnfaithfulError
    return value


def objects(value: Any) -> list[Object]:
    """A list of objects, which nothing may stand for."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise UnfaithfulError
    return value


def integer(value: Any) -> int:
    if type(value) is not int:
        raise UnfaithfulError
    return value


def append(whole: Object, name: str, value: Any) -> None:
    """Add what a delta says of one member: strings are continued, of scalars the last one holds."""
    if isinstance(value, dict) or (isinstance(value, list) and value):
        raise UnfaithfulError
    before = whole.get(name)
    if isinstance(value, str) and isinstance(before, str):
        whole[name] = before + value
    elif value is not None and value != []:
        whole[name] = value
    else:
        whole.setdefault(name, value)


def settle(whole: Object, name: str, value: Any) -> None:
    """Note what a chunk says of a choice as a whole: the last that is said holds."""
    if isinstance(value, list) and value:
        raise UnfaithfulError
    if value is not None or name not in whole:
        whole[name] = value


def extend_logprobs(whole: Object, logprobs: Any) -> None:
    """Add a chunk's log probabilities: each member is a list, which is continued."""
    whole.setdefault("logprobs", None)
    if logprobs is None:
        return
    if not isinstance(logprobs, dict):
        raise UnfaithfulError
    known = whole["logprobs"] = whole["logprobs"] or {}
    for name, values in logprobs.items():
        if values is None:
            known.setdefault(name, None)
        elif isinstance(values, list):
            known[name] = (known.get(name) or []) + values
        else:
            raise UnfaithfulError


def _chunks(events: Sequence[bytes]) -> Iterator[Object]:
    for raw in events:
        if (data := sse.data(raw)) and data != DONE:
            yield decoded(data)


def _counts(endpoint: str, answer: Object, usage: Usage | None) -> Object:
    """The usage that the answer states, or what the upstream said otherwise; never an estimate."""
    said = answer.get("usage")
    if isinstance(said, dict):
        return said
    return state_usage(endpoint, usage) if usage and not usage.estimated else {}


def _event(chunk: Object) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
