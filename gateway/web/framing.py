"""What a request's head must be, beyond what aiohttp's parser checks (RFC 9112)."""

import re

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11

from gateway.errors import (
    BadFraming,
    CodingNotImplemented,
    ExpectationFailed,
    GatewayError,
    MethodNotAllowed,
    VersionNotSupported,
)
from gateway.web.faults import SPOKEN

# RFC 3986 section 3.2.2, with the port. Empty, where the target has no name (RFC 9112 section 3.2).
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.\-~%!$&'()*+,;=]*)(?::[0-9]{0,5})?", re.ASCII)
# The parser takes 2^64 - 1, which is its word for "no length", for a length, and what follows for a request.
MAX_LENGTH_DIGITS = 18
# RFC 3986 has no other octets, and a fragment never leaves its client.
TARGET = re.compile(r"[\x21\x22\x24-\x7e]*")


def check(request: web.BaseRequest) -> None:
    """Refuse what other HTTP implementations might read differently. After a refusal the connection ends.

    Raises BadFraming, CodingNotImplemented, ExpectationFailed, VersionNotSupported, or MethodNotAllowed (for
    CONNECT: this is no tunnel).
    """
    headers = request.headers
    version = request.version
    if version not in (HttpVersion11, HttpVersion10):
        raise VersionNotSupported(SPOKEN)
    if hdrs.TRANSFER_ENCODING in headers:
        _check_codings(headers.getall(hdrs.TRANSFER_ENCODING), version == HttpVersion10)
    if len(headers.get(hdrs.CONTENT_LENGTH, "")) > MAX_LENGTH_DIGITS:
        raise BadFraming("The Content-Length is too long.")
    if not HOST.fullmatch(headers.get(hdrs.HOST, "")):
        raise BadFraming("The Host header is malformed.")
    if request.method == hdrs.METH_CONNECT:
        raise MethodNotAllowed("This gateway is no tunnel.", headers=(("allow", "GET, POST, DELETE"),))
    if not TARGET.fullmatch(request.raw_path):
        raise BadFraming("The URL is malformed.")
    if hdrs.EXPECT in headers and _expectations(request) != ["100-continue"]:
        raise ExpectationFailed("The only expectation that can be met is 100-continue.")


def _check_codings(fields: list[str], old: bool) -> None:
    """RFC 9112 section 6.1, 6.3. `old`: HTTP/1.0 has no codings, and whoever sends one has lost count."""
    codings = [coding.strip().lower() for field in fields for coding in field.split(",")]
    if codings == ["chunked"] and not old:
        return
    refusal: type[GatewayError] = BadFraming
    if not old and all(codings) and codings[-1] == "chunked" and "chunked" not in codings[:-1]:
        refusal = CodingNotImplemented  # the body has an end that can be found, in a coding that is not known
    raise refusal("The only transfer coding is chunked, once, and only in HTTP/1.1.")


def expects_continue(request: web.BaseRequest) -> bool:
    """Does the client wait to be told that its body is wanted? One of HTTP/1.0 never does."""
    return request.version != HttpVersion10 and _expectations(request) == ["100-continue"]


def _expectations(request: web.BaseRequest) -> list[str]:
    return [value.lower() for value in request.headers.getall(hdrs.EXPECT, ())]


def path_of(target: str) -> str:
    """The raw path of a request target, without its query.

    Of an absolute-form (RFC 9112 section 3.2.2) the authority is dropped: routing never believes it.
    """
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            target = "/" + rest.partition("?")[0].partition("/")[2]
    return target.partition("?")[0]
