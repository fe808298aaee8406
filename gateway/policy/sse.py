"""Server-sent events as bytes: where one ends, and what it says.

The grammar is WHATWG HTML, section 9.2 "Server-sent events": lines end in LF, CR or CRLF, and an event ends
with a blank line. The bytes are never changed, only cut.
"""

import re
from typing import Final

LIMIT: Final = 2**20  # no provider's event comes near it; a whole image in base64 may pass it

_BOM = b"\xef\xbb\xbf"
# Atomic, so that CRLF is never taken for CR and LF; a CR that came last may still be half of a CRLF.
_BLANK = re.compile(rb"(?s:\r\n|\n|\r(?=.))")
_END = re.compile(rb"(?s:(?>\r\n|\n|\r)(?>\r\n|\n|\r(?=.)))")


class Piece(bytes):
    """Part of an event that is too big to be held: to be passed on, not to be read."""


class Splitter:
    """Cuts a byte stream into raw events. How the stream arrives in pieces makes no difference.

    An event longer than `limit` bytes is not held: it is handed out in `Piece`s as it comes, and `overflowed`
    stays True from then on.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._oversized = False  # in the middle of an event that is handed out in pieces
        self.overflowed = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, each with the blank line that ends it.

        What was returned so far plus `rest()` is what was fed, byte for byte. An event that ends in a lone CR
        waits for the next byte, which may be the LF of that CR.
        """
        if not self._held and len(data) <= self._limit and data.endswith(b"\n\n") and b"\r" not in data:
            first = data.find(b"\n")  # a search for one byte takes a quarter of one for two
            if first == len(data) - 2 > 0:
                return [data]
            if first > 0 and b"\n\n\n" not in data:
                return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]
        return self._cut(data)

    def rest(self) -> bytes:
        """What follows the last event that was returned: half an event, or one that ends in a lone CR."""
        return bytes(self._held)

    def _cut(self, data: bytes) -> list[bytes]:
        held = self._held
        seen = max(0, len(held) - 2)  # an end is at most four bytes, of which the last one or two are new
        held += data
        events = []
        start = 0
        while (end := self._end(start, seen)) is not None:
            events.append(self._event(start, end))
            start = seen = end
        del held[:start]
        if self._oversized or len(held) > self._limit:
            self._spill(events)
        return events

    def _end(self, start: int, seen: int) -> int | None:
        """Where the event that begins at `start` ends; nothing before `seen` can end it."""
        blank = None if self._oversized else _BLANK.match(self._held, start)
        found = blank or _END.search(self._held, seen)
        return found.end() if found else None

    def _event(self, start: int, end: int) -> bytes:
        event = bytes(self._held[start:end])
        if self._oversized or len(event) > self._limit:
            self._oversized = False
            self.overflowed = True
            return Piece(event)
        return event

    def _spill(self, events: list[bytes]) -> None:
        """Hand out what is held of an oversized event, but for the two bytes that its end may need."""
        self._oversized = self.overflowed = True
        if len(self._held) > 2:
            events.append(Piece(self._held[:-2]))
            del self._held[:-2]


def data(event: bytes) -> bytes:
    """The event's data: its `data` lines, joined by LF. Empty when it has none, as a comment has not."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    return b"\n".join(value for name, value in _fields(event) if name == b"data")


def kind(event: bytes) -> bytes:
    """The event's type: its last `event` field, or nothing."""
    return next((value for name, value in reversed(_fields(event)) if name == b"event"), b"")


def _fields(event: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values, line by line. A comment is a field without a name."""
    fields = []
    for line in event.removeprefix(_BOM).splitlines():
        name, _, value = line.partition(b":")
        fields.append((name, value.removeprefix(b" ")))
    return fields
