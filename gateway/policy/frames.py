"""Events of a stream that differ from an earlier one in their text alone, told without reading any JSON.

The deltas of one answer say the same but for a few values: the text, and with some providers a running number
and a padding. An event that was read once is the frame of those that follow. What fits into a frame has the
same members in the same order, so all that was found out about the first holds of it, but for the text: this
is no guess. What does not fit is read as if there were no frames. (0.7 µs, where decoding takes 1.6.)
"""

import re
from collections.abc import Callable
from typing import Final

MOST: Final = 4  # frames of one stream: its choices, and its kinds of text

# The inside of a JSON string that means what it says: no escape, no control character (RFC 8259 section 7).
_TEXT: Final = re.compile(rb'[^"\\\x00-\x1f]*').match
_PADDING: Final = re.compile(rb'[^"\\\x00-\x1f\x80-\xff]*').match
_NUMBER: Final = re.compile(rb"(?:0|[1-9][0-9]{0,14})(?![0-9.eE])").match
_STRING: Final = re.compile(rb' ?: ?"').match
_VALUE: Final = re.compile(rb" ?: ?").match

_Hole = Callable[[bytes, int], re.Match[bytes] | None]


class Frame:
    """What stands around the values that change; `text_of` is the only one that is ever read."""

    __slots__ = ("_first", "_length", "_parts", "_start")

    def __init__(self, first: bytes, parts: list[tuple[_Hole, bytes]]) -> None:
        self._first = first
        self._start = len(first)
        # What may stand in each hole, what stands behind it, and how long that is.
        self._parts = [(hole, behind, len(behind)) for hole, behind in parts]

    def text_of(self, event: bytes) -> bytes | None:
        """The text, in UTF-8, of an event that is of this frame. None: it is another event."""
        if not event.startswith(self._first):
            return None
        at, text = self._start, b""
        for hole, behind, length in self._parts:
            found = hole(event, at)
            if found is None:
                return None
            at = found.end()
            if not event.startswith(behind, at):
                return None
            at += length
            if hole is _TEXT:
                text = found[0]
        return text if at == len(event) and (text.isascii() or _is_utf8(text)) else None

    def __repr__(self) -> str:
        return f"<Frame with {len(self._parts)} holes>"


def frame_of(event: bytes, member: bytes, text: str) -> Frame | None:
    """The frame of an event that was read, and whose only text is `text`, in the member of that name.

    None where it cannot be told for certain which bytes are the text.
    """
    # Without an escape in it, what stands in quotes is a name or a string; no colon stands behind a string.
    if b"\\" in event:
        return None
    spelled = text.encode(errors="replace")
    holes = [
        _hole(event, member, _STRING, _TEXT),
        _hole(event, b"sequence_number", _VALUE, _NUMBER),
        _hole(event, b"obfuscation", _STRING, _PADDING),
    ]
    found = holes[0]
    if found is None or event[found[0] : found[1]] != spelled:
        return None
    ordered = sorted(hole for hole in holes if hole is not None)
    ends = [*(start for start, _, _ in ordered[1:]), len(event)]
    parts = [(_KINDS[kind], event[stop:end]) for (_, stop, kind), end in zip(ordered, ends, strict=True)]
    return Frame(event[: ordered[0][0]], parts)


_KINDS: Final[list[_Hole]] = [_TEXT, _PADDING, _NUMBER]


def _hole(event: bytes, member: bytes, before: _Hole, inside: _Hole) -> tuple[int, int, int] | None:
    """Where the value of the only member of this name begins and ends, and which kind of hole it leaves."""
    name = b'"%b"' % member
    if event.count(name) != 1:
        return None
    colon = before(event, event.find(name) + len(name))
    value = inside(event, colon.end()) if colon is not None else None
    return None if value is None else (value.start(), value.end(), _KINDS.index(inside))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
