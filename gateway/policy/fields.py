"""The members of a JSON object that policy reads, each checked when it is read."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.members import Span, Spans, members

_T = TypeVar("_T")

_INTEGER = re.compile(rb"0|[1-9][0-9]{0,9}")
_STRING = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_BOOLEAN = {b"true": True, b"false": False}


class Fields:
    """The top level of one body. Every method reads one field; None: it is absent or null.

    `strict`: what has another shape than it should is refused, as a number always is; otherwise it counts as
    absent.
    """

    plain = False  # whether no object in it has a name twice, however deep

    def __init__(self, body: bytes, spans: Mapping[str, Span], strict: bool = True) -> None:
        self.body = body
        self.spans = spans
        self.strict = strict

    def __contains__(self, name: str) -> bool:
        """Whether it is there, if only as a null."""
        return name in self.spans

    def raw(self, name: str) -> bytes | None:
        span = self.spans.get(name)
        if span is None:
            return None
        value = self.body[span[0] : span[1]]
        return None if value == b"null" else value

    def value(self, name: str) -> Any:
        """It, decoded, whatever it is."""
        return self.decoded(name, msgspec.json.decode, "JSON")

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

    def inner(self, name: str) -> "Fields | None":
        """The object there, of which no member has a name twice, either."""
        raw = self.raw(name)
        if raw is None:
            return None
        if not raw.startswith(b"{"):
            raise invalid(name, "must be an object")
        return Fields(raw, members(raw, f"{name}."))

    def text(self, name: str) -> str | None:
        return self.decoded(name, _STRING.decode, "a string")

    def decoded(self, name: str, decode: Callable[[bytes], _T], shape: str) -> _T | None:
        value = self.raw(name)
        try:
            return None if value is None else decode(value)
        except (msgspec.MsgspecError, RecursionError):
            raise invalid(name, f"must be {shape}") from None


class PlainFields(Fields):
    """The same of an object that `document.plain` has decoded: `values`. It is always read strictly.

    What has the shape that it should is taken from there. All else is complained about as its bytes are;
    an encoder gives them back: what is plain is written in one way.
    """

    plain = True
    strict = True

    def __init__(self, body: bytes, values: Mapping[str, Any]) -> None:
        self.body = body
        self.spans = Spans(body, len(values))
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> bytes | None:
        value = self._values.get(name)
        return None if value is None else _encode(value)

    def value(self, name: str) -> Any:
        return self._values.get(name)

    def boolean(self, name: str) -> bool | None:
        value = self._values.get(name)
        return value if value is None or type(value) is bool else super().boolean(name)

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self._values.get(name)
        if value is None or (type(value) is int and least <= value <= most):
            return value
        return super().integer(name, least, most)

    def inner(self, name: str) -> Fields | None:
        value = self._values.get(name)
        return PlainFields(_encode(value), value) if type(value) is dict else super().inner(name)

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        return value if value is None or type(value) is str else super().text(name)


def invalid(name: str, complaint: str) -> InvalidRequest:
    """A field that the gateway counts by is not as it must be."""
    return InvalidRequest(f"'{name}' {complaint}.", code=f"invalid_{name}", param=name)
