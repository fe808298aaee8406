"""The heads that the lane takes: plain ones of requests that generate, and no others."""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httptools
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.policy.endpoints import Body, Endpoint, find
from gateway.web.framing import HOST, MAX_LENGTH_DIGITS, TARGET

# aiohttp's parser takes 8190 bytes in one line, and 128 fields: whatever meets these bounds is left to it.
MOST_BYTES = 8000
MOST_FIELDS = 100

_BEGINNING = b"POST /v1/"
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*", re.IGNORECASE)
# What changes how a request is read, or by whom.
_ODD = frozenset(
    {
        "content-encoding",
        "expect",
        "proxy-connection",
        "sec-websocket-key1",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_KEEP_ALIVE = {"keep-alive": True, "close": False}


def _endpoints() -> Iterator[tuple[bytes, Endpoint]]:
    for path in ("/chat/completions", "/completions", "/embeddings", "/responses", "/moderations"):
        endpoint, _ = find("POST", f"/v1{path}")
        assert endpoint.body is Body.JSON
        yield f"/v1{path}".encode(), endpoint


_ENDPOINTS = dict(_endpoints())


@dataclass(slots=True)
class Head:
    """A request's head. `size` and `length` are bytes: its own, and those of the body behind it."""

    endpoint: Endpoint
    query: str  # as it came on the wire, without its question mark
    headers: CIMultiDictProxy[str] = field(repr=False)  # no name twice
    length: int
    keep_alive: bool
    size: int

    def header_values(self, name: str) -> Sequence[str]:
        """Every value of a header; names in any case."""
        return self.headers.getall(name, ())


class NoHead(enum.Enum):
    UNFINISHED = enum.auto()  # so far, it may become one
    ODD = enum.auto()  # for aiohttp to read, and perhaps to refuse


class Heads:
    """Reads the heads of one connection.

    Clients send the same one again and again, but for the body's length. Then nothing is parsed: 0.4 µs, or
    1.0 with another length, instead of 6.6 (with the 18 fields of OpenAI's library).
    """

    __slots__ = ("_after", "_before", "_digits", "_last")

    def __init__(self) -> None:
        self._last: Head | None = None
        self._before = self._after = self._digits = b""  # of the last one: round its Content-Length

    def read(self, data: bytes) -> Head | NoHead:
        """The head that `data` begins with."""
        if self._last is not None and data.startswith(self._before):
            at = len(self._before)
            end = data.find(b"\r", at)
            if data.startswith(self._after, end) and _is_length(digits := data[at:end]):
                return self._again(self._last, digits)
        end = data.find(_END) + len(_END)
        if end < len(_END):
            return NoHead.UNFINISHED if _may_become_one(data) else NoHead.ODD
        head = _plain(data[:end])
        if head is None:
            return NoHead.ODD
        self._remember(head, data[:end])
        return head

    def _again(self, last: Head, digits: bytes) -> Head:
        if digits == self._digits:
            return last
        text = digits.decode()
        headers = CIMultiDict(last.headers)
        headers["Content-Length"] = text
        size = len(self._before) + len(digits) + len(self._after)
        proxy = CIMultiDictProxy(headers)
        head = Head(last.endpoint, last.query, proxy, int(text), last.keep_alive, size)
        self._last, self._digits = head, digits
        return head

    def _remember(self, head: Head, data: bytes) -> None:
        found = _LENGTH.search(data)
        assert found is not None
        self._digits = head.headers["Content-Length"].encode()
        self._before = data[: found.end()]
        self._after = data[found.end() + len(self._digits) :]
        self._last = head


def _is_length(digits: bytes) -> bool:
    return digits.isdigit() and len(digits) <= MAX_LENGTH_DIGITS


def _may_become_one(data: bytes) -> bool:
    """What is malformed already is not waited for: aiohttp refuses it at once."""
    if len(data) > MOST_BYTES or not (data.startswith(_BEGINNING) or _BEGINNING.startswith(data)):
        return False
    return _fields(data) is not None


def _plain(data: bytes) -> Head | None:
    """`data` is a head with its blank line. None: it is none of those that are plain."""
    line = data[: data.index(b"\r\n")]
    if len(data) > MOST_BYTES or not (line.startswith(b"POST ") and line.endswith(b" HTTP/1.1")):
        return None
    path, _, query = line[5:-9].decode("latin-1").partition("?")
    endpoint = _ENDPOINTS.get(path.encode("latin-1"))
    fields = _fields(data)
    if endpoint is None or fields is None or not TARGET.fullmatch(query):
        return None
    headers = CIMultiDict(fields)
    keep_alive = _KEEP_ALIVE.get(headers.get("Connection", "keep-alive").lower())
    length = headers.get("Content-Length", "").encode()
    if keep_alive is None or not _is_length(length) or not HOST.fullmatch(headers.get("Host", "/")):
        return None
    return Head(endpoint, query, CIMultiDictProxy(headers), int(length), keep_alive, len(data))


_names: dict[bytes, istr] = {}  # clients repeat theirs: kept once, they are 2 KiB less for each connection
_MOST_NAMES = 256
_LONGEST_NAME = 64


def _named(name: bytes) -> istr:
    made = istr(name.decode())
    if len(_names) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
        _names[name] = made
    return made


class _Reader:
    """What httptools' parser calls."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser strips what is before a value, and not what is behind it.
        self.fields.append((_names.get(name) or _named(name), value.decode().rstrip(" \t")))


def _fields(data: bytes) -> list[tuple[str, str]] | None:
    """The fields of a head, or of its beginning. None: it is malformed, or odd."""
    if not data.isascii():
        return None
    reader = _Reader()
    try:
        httptools.HttpRequestParser(reader).feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    names = {name.lower() for name, _ in reader.fields}
    if len(names) != len(reader.fields) or len(names) > MOST_FIELDS or not names.isdisjoint(_ODD):
        return None
    return reader.fields
