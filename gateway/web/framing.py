"""What a request's head must be, beyond what aiohttp's parser checks (RFC 9112)."""

import re

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11

from gateway.errors import BadFraming, ExpectationFailed, MethodNotAllowed

_HOST = re.compile(r"[\w.\-~%!$&'()*+,;=:\[\]]*", re.ASCII)  # RFC 3986 section 3.2.2, with the port


def check(request: web.BaseRequest) -> None:
    """Refuse what other HTTP implementations might read differently. After a refusal the connection ends.

    Raises BadFraming, ExpectationFailed or MethodNotAllowed (for CONNECT: this is no tunnel).
    """
    headers = request.headers
    version = request.version
    if version not in (HttpVersion11, HttpVersion10):
        raise BadFraming("This gateway speaks HTTP/1.1 and HTTP/1.0.")
    if hdrs.TRANSFER_ENCODING in headers:
        codings = headers.getall(hdrs.TRANSFER_ENCODING)
        if version == HttpVersion10 or [coding.strip().lower() for coding in codings] != ["chunked"]:
            raise BadFraming("The only transfer encoding is chunked, and only in HTTP/1.1.")
    if not _HOST.fullmatch(headers.get(hdrs.HOST, "")):
        raise BadFraming("The Host header is malformed.")
    if hdrs.EXPECT in headers and not expects_continue(request):
        raise ExpectationFailed("The only expectation that can be met is 100-continue.")
    if request.method == hdrs.METH_CONNECT:
        raise MethodNotAllowed("This gateway is no tunnel.")


def expects_continue(request: web.BaseRequest) -> bool:
    return [value.lower() for value in request.headers.getall(hdrs.EXPECT, ())] == ["100-continue"]


def path_of(target: str) -> str:
    """The raw path of a request target, without its query.

    Of an absolute-form (RFC 9112 section 3.2.2) the authority is dropped: routing never believes it.
    """
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            target = "/" + rest.partition("?")[0].partition("/")[2]
    return target.partition("?")[0]
