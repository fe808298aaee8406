"""The heads of requests, as bytes on the wire."""

import re
from functools import lru_cache

from yarl import URL

from gateway.exchange import Outbound
from gateway.upstream.target import target

# Credentials are ours to set, and so is where a request goes and where it ends, whatever else the list lets
# through.
OURS = frozenset(
    {
        "authorization",
        "api-key",
        "cookie",
        "proxy-authorization",
        "host",
        "content-length",
        "transfer-encoding",
    }
)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.1
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Pairs = tuple[tuple[str, str], ...]


class Heads:
    """The heads of all that one upstream is asked; what does not change from one to the next is made once.

    With what is kept, a head is one formatting of 0.5 µs; made anew each time it was 4.
    """

    def __init__(self, base: URL, credentials: Pairs) -> None:
        self._base = base
        lines = [_line("Host", base.host_port_subcomponent or ""), *(_line(*one) for one in credentials)]
        self._constant = b"".join(lines)
        self._kept = lru_cache(maxsize=1024)(self._start)

    def of(self, request: Outbound, length: int) -> bytes:
        """The head of a request with a body of `length` bytes.

        Raises `UnknownUrl` for an odd path or query, ValueError for a header that nobody may send.
        """
        start = (self._start if request.query else self._kept)(request.method, request.path, request.query)
        if length or request.method != "GET":  # RFC 9110 section 8.6: a POST without a body says so
            return b"%b%bContent-Length: %d\r\n\r\n" % (start, fields(request.headers), length)
        return b"%b%b\r\n" % (start, fields(request.headers))

    def _start(self, method: str, path: str, query: str) -> bytes:
        url = target(self._base, path, query)
        return f"{method} {url.raw_path_qs} HTTP/1.1\r\n".encode("ascii") + self._constant


@lru_cache(maxsize=256)
def fields(headers: Pairs) -> bytes:
    """The lines of these headers, in their order; a client says mostly what it said before.

    Raises ValueError for a name that is no token, and for a control character: it would begin another line.
    """
    return b"".join(_line(name, value) for name, value in headers if name.lower() not in OURS)


def _line(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError("a header that cannot be sent")
    return f"{name}: {value}\r\n".encode()


def is_conditional(request: Outbound) -> bool:
    """Is it asked for only if it has changed (RFC 9110 section 13.1)?"""
    return any(name.lower() in ("if-none-match", "if-modified-since") for name, _ in request.headers)
