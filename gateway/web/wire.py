"""Response heads and chunks as bytes (RFC 9112), without a round through aiohttp's writer.

aiohttp builds a response from a dozen Python objects; a head is one join, which is half of what a small
answer costs. What it must not lose on the way is here: no control character can split a head in two.
"""

import time
from email.utils import formatdate
from http import HTTPStatus

from gateway.errors import GatewayError, body_of, headers_of
from gateway.exchange import Headers

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS = frozenset({204, 304})

_STATUS_LINES = {int(status): f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_CONTROL = bytes([*range(9), *range(10, 32), 127])
# Framing belongs to this connection, whatever an answer says about the one it came by (RFC 9110 section
# 7.6.1); the request's id is written once, whoever names it.
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-gateway-request-id",
    }
)


def head(status: int, headers: Headers, request_id: str, *framing: str) -> bytes:
    """Status line and headers. `framing` are whole lines, and win over what `headers` say about framing.

    Raises ValueError for a control character in a header: it would end the header, or the head.
    """
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} "]
    lines += [f"{name}: {value}" for name, value in headers if (_foreign.get(name) or _is_foreign(name))]
    lines += (f"x-gateway-request-id: {request_id}", *framing, _date_line(int(time.time())), "", "")
    # As the parsers decode: bytes that are no UTF-8 come out as they went in.
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    # Counted, which takes a third of the time that looking for them does.
    if len(data) - len(data.translate(None, _CONTROL)) != 2 * (len(lines) - 1):
        raise ValueError("a response header contains a control character")
    return data


_foreign: dict[str, bool] = {}  # names that were seen to be none of _OURS: answers repeat theirs
_MOST_NAMES = 256


def _is_foreign(name: str) -> bool:
    foreign = name.lower() not in _OURS
    if foreign and len(_foreign) < _MOST_NAMES:
        _foreign[name] = True
    return foreign


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body. `data` must not be empty: an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def refusal(error: GatewayError, request_id: str) -> bytes:
    """A whole response that ends its connection, for where there is no request to answer."""
    body = body_of(error)
    headers = (("content-type", "application/json"), *headers_of(error))
    framing = (f"content-length: {len(body)}", "connection: close")
    return head(error.status, headers, request_id, *framing) + body


_dated: tuple[int, str] = (0, "")


def _date_line(now: int) -> str:
    """In IMF-fixdate, formatted once a second."""
    global _dated
    if _dated[0] != now:
        _dated = (now, f"date: {formatdate(now, usegmt=True)}")
    return _dated[1]
