"""Where the members of a JSON object stand in its bytes.

The syntax of the whole document is checked at the speed of C; only the top level is then walked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.errors import InvalidRequest
from gateway.policy.jsonbytes import parse

Span = tuple[int, int]

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()
_MEMBER = re.compile(rb'[ \t\n\r]*[{,][ \t\n\r]*("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*:[ \t\n\r]*')
_CLOSE = re.compile(rb"[ \t\n\r]*\}")

# No model reads a million values, and each of them costs a few hundred bytes once it is decoded. A value
# takes two bytes at least, so only bodies above 2 MB need counting.
_MAX_VALUES = 1_000_000


def members(document: bytes, within: str = "") -> dict[str, Span]:
    """The byte span of each member's value, in the order of the document.

    `within` is put before a name that is complained about. Raises InvalidRequest: `invalid_json` for whatever
    is no JSON object in UTF-8 (RFC 8259), or nests too deep; `duplicate_key` for a name that occurs twice,
    because readers differ in which of the two they believe.
    """
    values = _decode(document)
    spans: dict[str, Span] = {}
    end = 0
    while member := _MEMBER.match(document, end):
        name = _text(member[1])
        start = member.end()
        # The decoder keeps the last of several. So a first one shows by its value, or by its coming again.
        value = bytes(values[name])
        if name in spans or not document.startswith(value, start):
            raise _duplicate(within + name)
        end = start + len(value)
        spans[name] = (start, end)
    if spans and not _CLOSE.match(document, end):
        raise _duplicate(within + name)  # `12`, of which the last one, `1`, is the beginning
    return spans


class Spans(Mapping[str, Span]):
    """The `members` of a document, which has `count` of them: looked for when somebody asks where one is."""

    __slots__ = ("_count", "_document", "_found")

    def __init__(self, document: bytes, count: int) -> None:
        self._document = document
        self._count = count
        self._found: dict[str, Span] | None = None

    def __getitem__(self, name: str) -> Span:
        return self._members()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members())

    def __len__(self) -> int:
        return self._count

    def _members(self) -> dict[str, Span]:
        if self._found is None:
            self._found = members(self._document)
        return self._found

    def __repr__(self) -> str:
        return f"<Spans {self._count} members>"


def once(document: bytes, within: str = "") -> None:
    """Raises InvalidRequest where an object in this JSON names a member twice, however deep it stands."""
    try:
        name = repeated(document, parse(_ANY, document))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    if name is not None:
        raise _duplicate(within + name)


def repeated(document: bytes, value: Any) -> str | None:
    """A name that an object anywhere in `document` has twice. `value` is what msgspec made of it."""
    if msgspec.json.encode(value) in (document, msgspec.json.format(document, indent=-1)):
        return None  # nothing was dropped; this is how most clients write, and it saves the slow proof
    try:
        # Numbers as floats, of which none is too long.
        json.loads(document, object_pairs_hook=_each_once, parse_int=float)
    except _Repeated as found:
        return str(found)
    return None


class _Repeated(Exception):
    """Its argument is the name."""


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise _Repeated(name)
        names.add(name)


def _decode(document: bytes) -> dict[str, msgspec.Raw]:
    if len(document) > 2 * _MAX_VALUES and sum(map(document.count, b",[{")) > _MAX_VALUES:
        raise InvalidRequest("The body holds more than a million JSON values.")
    try:
        values = _OBJECT.decode(document)
        if not document.isascii():
            document.decode()  # the decoder does not look inside the strings that it skips
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be a JSON object.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not valid UTF-8.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON ({error}).") from None
    return values


def _text(token: bytes) -> str:
    return msgspec.json.decode(token, type=str) if b"\\" in token else token[1:-1].decode()


def _duplicate(name: str) -> InvalidRequest:
    shown = name if name.isprintable() and len(name) <= 64 else None
    return InvalidRequest("A name occurs twice in one object of the body.", code="duplicate_key", param=shown)
