"""A cached answer: what is kept of it, how it is sealed, and which answers are worth keeping."""

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

import msgspec

from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage
from gateway.policy.sse import Splitter
from gateway.policy.usage import Meter

VERSION: Final = b"\x01"
_MAC_SIZE: Final = 32
_SMALL: Final = 16_384  # bytes of a sealed entry

# A choice that ended like this will not get better by asking again. A filter's mood may.
_WHOLE: Final = frozenset({"stop", "length", "tool_calls", "function_call"})


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One answer. `headers` are those that a client may see, `content-type` among them.

    A `plain` entry has its body as its one chunk; a `stream` entry has its raw events as they came, the usage
    chunk included. `created` is in milliseconds.
    """

    mode: Literal["plain", "stream"]
    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]
    created: int
    model: str
    upstream: str
    usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<Entry {self.mode} {self.status} of {len(self.chunks)} chunks from {self.upstream}>"


_PACKER = msgspec.msgpack.Encoder()
_UNPACKER = msgspec.msgpack.Decoder(Entry)


def seal(entry: Entry, key: bytes, secret: bytes) -> bytes:
    """The entry as bytes that only a holder of `secret` (at most 64 bytes) can make, for this key alone."""
    payload = _PACKER.encode(entry)
    return VERSION + _mac(key, payload, secret) + payload


def unseal(blob: bytes, key: bytes, secret: bytes) -> Entry | None:
    """The entry that was sealed under this key; None for whatever else somebody has put there.

    It may be the very one of the last time: nobody changes it.
    """
    return _unseal_again(blob, key, secret) if len(blob) <= _SMALL else _unseal(blob, key, secret)


def _unseal(blob: bytes, key: bytes, secret: bytes) -> Entry | None:
    head = len(VERSION) + _MAC_SIZE
    mac, payload = blob[len(VERSION) : head], blob[head:]
    if not blob.startswith(VERSION) or not hmac.compare_digest(mac, _mac(key, payload, secret)):
        return None
    try:
        return _UNPACKER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# The same few answers are asked for again and again. At most 4 MB.
_unseal_again: Final = lru_cache(maxsize=128)(_unseal)


def _mac(key: bytes, payload: bytes, secret: bytes) -> bytes:
    digest = hashlib.blake2b(key=secret, digest_size=_MAC_SIZE, person=b"gateway-answer")
    digest.update(VERSION + len(key).to_bytes(4, "big") + key)
    digest.update(payload)
    return digest.digest()


class PlainChoice(msgspec.Struct):
    """What makes a choice of a plain answer a complete one."""

    finish_reason: str | None = None
    message: dict[str, Any] | None = None
    text: str | None = None


class Judged(Protocol):
    """What makes an answer worth keeping."""

    error: Any
    choices: list[PlainChoice]
    data: list[msgspec.Raw]
    results: list[msgspec.Raw]
    status: Any


class _Answer(msgspec.Struct):
    error: Any = None
    choices: list[PlainChoice] = []
    data: list[msgspec.Raw] = []
    results: list[msgspec.Raw] = []
    status: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)


def events_of(runs: Iterable[bytes]) -> list[bytes]:
    """The raw events of a stream that was recorded in runs of whole ones, as they came."""
    events: list[bytes] = []
    for run in runs:
        splitter = Splitter()
        events += map(bytes, splitter.feed(run))
        if rest := splitter.rest():
            events.append(rest)
    return events


def worth_keeping_plain(endpoint: str, status: int, content_type: str, body: bytes) -> bool:
    """Is this a complete, successful answer of the kind that the endpoint gives? Errors never are."""
    answer = parse(_ANSWER, body)
    return answer is not None and worth_keeping_read(endpoint, status, content_type, answer)


def worth_keeping_read(endpoint: str, status: int, content_type: str, answer: Judged) -> bool:
    """The same of an answer that has been read."""
    if status != 200 or content_type.partition(";")[0].strip().lower() != "application/json":
        return False
    if answer.error is not None:
        return False
    match endpoint:
        case "chat.completions":
            return _all_whole(answer) and all(choice.message is not None for choice in answer.choices)
        case "completions":
            return _all_whole(answer) and all(choice.text is not None for choice in answer.choices)
        case "responses":
            return bool(answer.status == "completed")
        case "embeddings":
            return bool(answer.data)
        case "moderations":
            return bool(answer.results)
    return False


def worth_keeping_stream(endpoint: str, meter: Meter) -> bool:
    """Did this stream, all of it read, come to a proper end and bring a complete answer?"""
    if meter.failed or meter.filtered or meter.unread:
        return False
    if endpoint == "responses":
        return meter.end == "response.completed"
    return meter.end == "[DONE]" and bool(meter.reasons) and _WHOLE.issuperset(meter.reasons.values())


def _all_whole(answer: Judged) -> bool:
    return bool(answer.choices) and all(choice.finish_reason in _WHOLE for choice in answer.choices)
