"""What an answer that is passed on used, read beside it as its bytes pass. Bounded, however large it is."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import msgspec

from gateway.policy.counts import (
    AUDIO_TOKENS_PER_SECOND,
    estimated_passed,
    read_passed_usage,
    seconds_of,
    texts,
    tier_of,
)
from gateway.policy.endpoints import Charge, Endpoint
from gateway.policy.jsonbytes import parse
from gateway.policy.records import Usage
from gateway.policy.scan import Scanner
from gateway.policy.usage import TEXT_KEPT

_TEXTS: Final = ("text", "output", "choices")
_MEMBERS: Final = ("usage", "service_tier", *_TEXTS)
_EVENT_MEMBERS: Final = ("type", "usage", "service_tier", "delta", "error")
_EVENT_KEPT: Final = 2**16  # bytes of each member of an event; pictures are none of these
_DATA: Final = b"data:"
# Each of these is one picture of several, and states its own usage.
_PICTURES: Final = frozenset({"image_generation.completed", "image_edit.completed"})
_ADDED: Final = ("input", "output", "cached", "cache_write", "input_image", "cached_image", "output_image")

_LINE = re.compile(rb"[^\r\n]*+")
_ANY = msgspec.json.Decoder(Any)


class Tap(Protocol):
    """Stands beside one answer. What it says is true so far, at any moment.

    `texts` is what was written, as far as it is text, for counting where no usage is stated: of much the
    beginning. `text_bytes` is how long all of it is.
    """

    usage: Usage | None
    failed: bool  # an error came as an event
    owing: bool  # the work is done when the answer begins: its usage is worth reading on for

    @property
    def texts(self) -> list[str]: ...

    @property
    def text_bytes(self) -> int: ...

    def feed(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The answer has ended, well or not."""
        ...

    def estimate(self, input: int, output: int) -> Usage:
        """The usage where none is stated: these tokens, and what the answer says beside them."""
        ...


def tap_for(endpoint: Endpoint, status: int, headers: Mapping[str, str]) -> Tap | None:
    """The one that reads such an answer. None: there is nothing in it to read."""
    if endpoint.charge is not Charge.USAGE or status >= 400 or encoded(headers):
        return None
    content_type = headers.get("content-type", "").lower()
    if content_type.startswith("text/event-stream"):
        return EventTap(endpoint.name)
    if "json" in content_type:
        return JsonTap(endpoint.name)
    written = content_type.startswith("text/") and endpoint.name.startswith("audio.trans")
    return TextTap(endpoint.name) if written else None


def encoded(headers: Mapping[str, str]) -> bool:
    """Whether the body is compressed, although nobody asked for that."""
    return headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


class _Stated:
    """What has been stated, and the text that was written."""

    owing = False

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._tier = ""
        self._seconds = 0.0
        self._text = bytearray()
        self.text_bytes = 0
        self.usage: Usage | None = None
        self.failed = False

    @property
    def texts(self) -> list[str]:
        return [self._text.decode(errors="replace")] if self._text else []

    def end(self) -> None:
        """Nothing is held back."""

    def estimate(self, input: int, output: int) -> Usage:
        heard = math.ceil(self._seconds * AUDIO_TOKENS_PER_SECOND)
        return estimated_passed(self._endpoint, heard or input, output, self._tier)

    def _write(self, text: bytes) -> None:
        self._text += text[: max(0, TEXT_KEPT - len(self._text))]
        self.text_bytes += len(text)

    def _state(self, values: Mapping[str, bytes]) -> Usage | None:
        """Take in what an object says of its usage; the usage, if it can be believed."""
        stated = _value(values, "usage")
        self._tier = tier_of(_value(values, "service_tier")) or self._tier
        self._seconds = seconds_of(stated) or self._seconds
        return read_passed_usage(self._endpoint, stated, self._tier)


class JsonTap(_Stated):
    """Beside one JSON object. Its members count once it has ended, or was broken off."""

    owing = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self._scanner = Scanner(_MEMBERS, TEXT_KEPT)
        self._taken = False

    def feed(self, data: bytes) -> None:
        self._scanner.feed(data)
        if self._scanner.over:
            self.end()

    def end(self) -> None:
        if self._taken:
            return
        self._taken = True
        values = self._scanner.values
        self.usage = self._state(values)
        for text in texts([_value(values, name) for name in _TEXTS]):
            self._write(text.encode(errors="replace"))


class TextTap(_Stated):
    """Beside a transcription as plain text or subtitles: it is the text itself."""

    def feed(self, data: bytes) -> None:
        self._write(data)


class EventTap(_Stated):
    """Beside a stream of server-sent events, of which single ones may be as large as a picture."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self._scanner = _event_scanner()
        self._head = bytearray()  # the line's beginning, until it is known whether it is data
        self._is_data = False
        self._after_cr = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            line = _LINE.match(data, at)
            assert line is not None
            if line.end() > at:
                self._part(data[at : line.end()])
                self._after_cr = False
                at = line.end()
            else:
                self._line_end(data[at : at + 1])
                at += 1

    def end(self) -> None:
        """The last event may lack its blank line: what it says is true all the same."""
        self._event()

    def _part(self, part: bytes) -> None:
        if len(self._head) < len(_DATA):
            more = part[: len(_DATA) - len(self._head)]
            self._head += more
            self._is_data = self._head == _DATA
            part = part[len(more) :]
        if self._is_data and part:
            self._scanner.feed(part)

    def _line_end(self, sign: bytes) -> None:
        half, self._after_cr = self._after_cr and sign == b"\n", sign == b"\r"
        if half:
            return  # the LF of a CRLF
        if not self._head:
            self._event()
        self._head.clear()
        self._is_data = False

    def _event(self) -> None:
        values, self._scanner = self._scanner.values, _event_scanner()
        if not values:
            return
        kind = _value(values, "type")
        self.failed = self.failed or kind == "error" or _value(values, "error") is not None
        usage = self._state(values)
        if usage is not None:
            self.usage = _sum(self.usage, usage) if self.usage and kind in _PICTURES else usage
        written = _value(values, "delta")
        if isinstance(written, str):
            self._write(written.encode(errors="replace"))


def _event_scanner() -> Scanner:
    return Scanner(_EVENT_MEMBERS, _EVENT_KEPT)


def _value(values: Mapping[str, bytes], name: str) -> Any:
    raw = values.get(name)
    return None if raw is None else parse(_ANY, raw)


def _sum(first: Usage, second: Usage) -> Usage:
    return replace(second, **{name: getattr(first, name) + getattr(second, name) for name in _ADDED})
