"""A few members of a large JSON object, found while its bytes pass: nothing else of it is kept.

An answer with an image in it is many megabytes of base64 round a handful of numbers. It is walked at the
speed of the `re` module, which skips a string in one step however long it is.
"""

import re
from collections.abc import Collection
from typing import Final

import msgspec

_LONGEST_NAME: Final = 256  # bytes, escapes included; a longer one is none of those that anybody looks for

# All possessive: what they have passed they never look at again.
_SPACE = re.compile(rb"[ \t\n\r]*+")
_TO_NAME = re.compile(rb'[^"}]*+')
_TO_SIGN = re.compile(rb'[^"{}\[\],]*+')
# Below the top level whole strings are passed over, too; a string that is not all here is left standing.
_DEEPER = re.compile(rb'(?s:[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+)')
_IN_STRING = re.compile(rb'(?s:[^"\\]*+(?:\\.[^"\\]*+)*+)')


class Scanner:
    """Reads a JSON document in pieces; how it is cut makes no difference.

    `values` are the raw values of those members of its top level that are named, as far as they have come:
    of a name that comes twice the last one, and none that is longer than `most` bytes. What is no JSON object
    has no values, or wrong ones, and never fails. `over`: the object has ended.
    """

    def __init__(self, names: Collection[str], most: int) -> None:
        self._names = frozenset(names)
        self._most = most
        self._step = self._start
        self._name = bytearray()
        self._value = bytearray()
        self._wanted = ""  # the name whose value is being kept
        self._in_name = False
        self._depth = 0  # of what is open inside the value
        self._escaped = False  # the last byte was a backslash in a string
        self.values: dict[str, bytes] = {}
        self.over = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self.over:
            at = self._step(data, at)

    def _start(self, data: bytes, at: int) -> int:
        at = _end(_SPACE, data, at)
        if at < len(data):
            self.over = data[at] != 0x7B  # {
            self._step = self._to_name
        return at + 1

    def _to_name(self, data: bytes, at: int) -> int:
        at = _end(_TO_NAME, data, at)
        if at < len(data):
            self.over = data[at] == 0x7D  # }
            self._name.clear()
            self._in_name = True
            self._step = self._string
        return at + 1

    def _string(self, data: bytes, at: int) -> int:
        """Inside a string, the name's or one of the value's."""
        if self._escaped:
            self._escaped = False
            self._keep(data, at, at + 1)
            return at + 1
        end = _end(_IN_STRING, data, at)
        self._keep(data, at, end + 1)
        if end < len(data):
            self._escaped = data[end] == 0x5C  # \
            if not self._escaped:
                self._string_ended()
        return end + 1

    def _string_ended(self) -> None:
        if not self._in_name:
            self._step = self._in_value
            return
        self._in_name = False
        name = _text(bytes(self._name[:-1])) if len(self._name) <= _LONGEST_NAME else ""
        self._wanted = name if name in self._names else ""
        self.values.pop(self._wanted, None)
        self._value.clear()
        self._depth = 0
        self._step = self._in_value

    def _in_value(self, data: bytes, at: int) -> int:
        """Up to the next sign that means something, from the colon to what follows the value."""
        end = _end(_DEEPER if self._depth else _TO_SIGN, data, at)
        sign = data[end : end + 1]
        if self._depth == 0 and sign in (b",", b"}", b"]"):
            self._keep(data, at, end)
            self._value_ended()
            self.over = sign != b","
            self._step = self._to_name
            return end + 1
        self._keep(data, at, end + 1)
        if sign == b'"':
            self._step = self._string
        elif sign:
            self._depth += 1 if sign in b"{[" else -1
        return end + 1

    def _value_ended(self) -> None:
        if self._wanted and len(self._value) <= self._most:
            self.values[self._wanted] = bytes(self._value).lstrip(b" \t\n\r:").rstrip(b" \t\n\r")
        self._wanted = ""

    def _keep(self, data: bytes, start: int, end: int) -> None:
        """Keep a slice of what is being read, but for what is too long to be wanted."""
        if self._in_name:
            if len(self._name) <= _LONGEST_NAME:
                self._name += data[start : min(end, start + _LONGEST_NAME + 1)]
        elif self._wanted and len(self._value) <= self._most:
            self._value += data[start : min(end, start + self._most + 1)]


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return at if match is None else match.end()


def _text(name: bytes) -> str:
    try:
        return msgspec.json.decode(b'"' + name + b'"', type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
