"""The members of a JSON object that policy reads, each checked when it is read."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.members import Span

_T = TypeVar("_T")

_INTEGER = re.compile(rb"0|[1-9][0-9]{0,9}")
_STRING = msgspec.json.Decoder(str)
_BOOLEAN = {b"true": True, b"false": False}


class Fields:
    """The top level of one body. Every method reads one field; None: it is absent or null.

    `strict`: what has another shape than it should is refused, as a number always is; otherwise it counts as
    absent.
    """

    def __init__(self, body: bytes, spans: Mapping[str, Span], strict: bool = True) -> None:
        self.body = body
        self.spans = spans
        self.strict = strict

    def raw(self, name: str) -> bytes | None:
        span = self.spans.get(name)
        if span is None:
            return None
        value = self.body[span[0] : span[1]]
        return None if value == b"null" else value

    def boolean(self, name: str) -> bool | None:
        value = self.raw(name)
        if value is None:
            return None
        if value not in _BOOLEAN and self.strict:
            raise invalid(name, "must be true or false")
        return _BOOLEAN.get(value)

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise invalid(name, f"must be a whole number from {least} to {most}")
        return int(value)

    def text(self, name: str) -> str | None:
        return self.decoded(name, _STRING.decode, "a string")

    def decoded(self, name: str, decode: Callable[[bytes], _T], shape: str) -> _T | None:
        value = self.raw(name)
        try:
            return None if value is None else decode(value)
        except (msgspec.MsgspecError, RecursionError):
            raise invalid(name, f"must be {shape}") from None


def invalid(name: str, complaint: str) -> InvalidRequest:
    """A field that the gateway counts by is not as it must be."""
    return InvalidRequest(f"'{name}' {complaint}.", code=f"invalid_{name}", param=name)
