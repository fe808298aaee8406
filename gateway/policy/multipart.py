"""multipart/form-data (RFC 7578, RFC 2046 section 5.1), read as it passes: bytes in, parts out.

A form is read twice, here and by the upstream, and what is priced must be what is forwarded. So the grammar
is the strictest that any upstream has: lines end with CRLF, nothing stands before the first delimiter or
after the last, no delimiter has padding, and the boundary occurs nowhere but in delimiters, because there
are parsers that look for it in the middle of a line and after a bare LF. What a file holds is never looked
at beyond that; a multipart inside a part is content like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import InvalidRequest
from gateway.policy.formheads import PartHead, invalid, part_head

_CRLF = b"\r\n"
_LONGEST_HEAD = 8 * 1024  # aiohttp, nginx: 8 KiB for a line of a head
_LONGEST_VALUE = 1024  # of the fields that are read: a model's name, a number
_LONGEST_TEXT = 128 * 1024  # OpenAI: 32,000 characters of a prompt
_MOST_PARTS = 1000  # starlette: 1,000 files and 1,000 fields


@dataclass(frozen=True, slots=True)
class Part:
    """One whole part. Its value is the bytes from `start` up to `end` of the form.

    `value` is the text of a wanted field, and None for all others. `file`: it has a file name.
    """

    name: str
    file: bool
    start: int
    end: int
    value: str | None


class Scanner:
    """Reads one form. Any split of its bytes reads the same. It holds at most a head, or a wanted value.

    `wanted` are the fields whose values are read; each may occur once, and is one short line, or as much as a
    prompt may be where it is one of `texts`. After an error it must not be fed again. Every method raises
    InvalidRequest: `invalid_multipart`, or `duplicate_key` for a wanted field that comes again.
    """

    def __init__(self, boundary: bytes, wanted: frozenset[str], texts: frozenset[str] = frozenset()) -> None:
        self.mark = b"--" + boundary
        self.names: list[str] = []  # of the parts whose heads have been read, in order
        self._wanted = wanted
        self._texts = texts
        self._buffer = bytearray()
        self._unsearched = 0  # where in the buffer a boundary may still begin
        self._base = 0  # where in the form the buffer begins
        self._start = 0  # where the value of the current part begins
        self._head = PartHead("", False)
        self._parts: list[Part] = []  # complete, and not handed out yet
        self._state: Callable[[], bool] = self._opening

    def feed(self, data: bytes) -> list[Part]:
        """The parts that end in these bytes."""
        self._buffer += data  # in place: a long value that comes byte by byte is not copied each time
        while self._state():
            pass
        parts, self._parts = self._parts, []
        return parts

    def end(self) -> None:
        """The form has ended: was that its end? Some upstreams read a part that was cut off, some do not."""
        if self._state != self._closed:
            raise invalid("The form ends before its last boundary.")

    # Each state takes what it can from the buffer, and says whether to go on: False waits for more.

    def _opening(self) -> bool:
        if len(self._buffer) < len(self.mark) + len(_CRLF):
            return False
        if self._buffer.startswith(_CRLF):  # the delimiter's own, which only later ones need
            self._drop(len(_CRLF))
        if not self._buffer.startswith(self.mark):
            raise invalid("The form does not begin with its boundary.")
        return self._go(len(self.mark), self._after_mark)

    def _after_mark(self) -> bool:
        if len(self._buffer) < 2:
            return False
        sign = self._buffer[:2]
        if sign not in (_CRLF, b"--"):
            raise invalid("A boundary is followed by something else than the end of its line.")
        return self._go(2, self._in_head if sign == _CRLF else self._closed)

    def _in_head(self) -> bool:
        end = self._buffer.find(_CRLF * 2)
        if (end if end >= 0 else len(self._buffer)) > _LONGEST_HEAD:
            raise invalid("The head of a part is too long.")
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        if self.mark in head:
            raise invalid("The boundary occurs in the head of a part.")
        self._begin(part_head(head, self._wanted, self._texts))
        self._go(end + 2 * len(_CRLF), self._in_value)
        self._start = self._base
        return True

    def _begin(self, head: PartHead) -> None:
        if head.name in self._wanted and head.name in self.names:
            raise InvalidRequest(
                f"The field '{head.name}' occurs twice in the form.", code="duplicate_key", param=head.name
            )
        if len(self.names) == _MOST_PARTS:
            raise invalid(f"The form has more than {_MOST_PARTS} parts.")
        self._head = head
        self.names.append(head.name)

    def _in_value(self) -> bool:
        at = self._buffer.find(self.mark, self._unsearched)
        if at < 0:
            return self._keep_looking()
        end = self._base + at - len(_CRLF)
        if end < self._start or self._buffer[at - 2 : at] != _CRLF:
            raise invalid("The boundary occurs in the middle of a line.")
        value = self._value(bytes(self._buffer[: at - 2])) if self._head.name in self._wanted else None
        self._parts.append(Part(self._head.name, self._head.file, self._start, end, value))
        return self._go(at + len(self.mark), self._after_mark)

    def _keep_looking(self) -> bool:
        tail = len(self.mark) + 1  # of a delimiter that is not here in full: CRLF, and the mark but one byte
        if self._head.name not in self._wanted:
            self._drop(max(0, len(self._buffer) - tail))
        elif len(self._buffer) > self._longest + tail:
            raise self._unreadable()
        self._unsearched = max(0, len(self._buffer) - len(self.mark) + 1)
        return False

    @property
    def _longest(self) -> int:
        return _LONGEST_TEXT if self._head.name in self._texts else _LONGEST_VALUE

    def _value(self, data: bytes) -> str:
        try:
            text = data.decode("ascii" if self._head.ascii else "utf-8")
        except UnicodeDecodeError:
            raise self._unreadable() from None
        # Some upstreams strip what is round a value: then it is another than the one read here.
        odd = self._head.name not in self._texts and (not text.isprintable() or text != text.strip())
        if odd or len(data) > self._longest:
            raise self._unreadable()
        return text

    def _unreadable(self) -> InvalidRequest:
        name = self._head.name
        return invalid(f"The field '{name}' has to be text, and short.", name)

    def _closed(self) -> bool:
        if self._buffer.strip(_CRLF):
            raise invalid("Something follows the form's last boundary.")
        self._drop(len(self._buffer))
        return False

    def _go(self, count: int, state: Callable[[], bool]) -> bool:
        self._drop(count)
        self._state = state
        return True

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._base += count
        self._unsearched = 0

    def __repr__(self) -> str:
        return f"<Scanner {len(self.names)} parts in {self._base + len(self._buffer)} bytes>"
