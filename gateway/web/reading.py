"""What every way of reading a request's body has in common."""

import contextlib
from collections.abc import Iterator

from aiohttp import hdrs, web

from gateway.errors import BadFraming, InvalidRequest, RequestTimeout, RequestTooLarge
from gateway.exchange import ClientGone
from gateway.web import wire
from gateway.web.framing import expects_continue

# Bytes that buy a second more of patience: a slow line gets its large body through, a trickle does not.
SLOWEST = 16 * 1024


def check_head(request: web.BaseRequest, limit: int) -> None:
    """Refuse a body by its head: InvalidRequest for a compressed one, which nobody here could look into,
    RequestTooLarge for one of more than `limit` bytes."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding.strip().lower() not in ("identity", ""):
        raise InvalidRequest(
            "Compressed request bodies are not supported: send it plain, without Content-Encoding.",
            code="unsupported_content_encoding",
        )
    if (request.content_length or 0) > limit:
        raise too_large(limit)


def begin(request: web.BaseRequest) -> None:
    """Say `100 Continue` where the client waits for it (RFC 9110 section 10.1.1). Raises ClientGone."""
    if request.content.is_eof() or not expects_continue(request):
        return
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ClientGone
    transport.write(wire.CONTINUE)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What goes wrong while a body is read, as the gateway's own errors."""
    try:
        yield
    except TimeoutError:
        raise RequestTimeout("The request's body did not arrive in time.") from None
    except web.RequestPayloadError:
        raise BadFraming("The request's body is malformed.") from None
    except ConnectionError:
        raise ClientGone from None


def too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request's body is larger than {limit} bytes.")
