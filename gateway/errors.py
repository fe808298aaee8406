"""Every refusal that the gateway itself speaks, and how it looks.

The shape is OpenAI's `ErrorResponse`: `{"error": {"message", "type", "param", "code"}}`. The table of
statuses, types and codes is in `docs/errors.md`; `tests/test_errors.py` keeps the two the same.
"""

from collections.abc import Iterator
from typing import ClassVar

import msgspec


class GatewayError(Exception):
    """A request is refused, in words. Subclasses fix the status, the type and the default code.

    `retry_ms` is when trying again helps (None: nothing is known); `should_retry` becomes
    `x-should-retry`, which OpenAI's SDKs obey before they look at the status.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"
    close: ClassVar[bool] = False  # the connection's framing is in doubt, or its body unread

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_ms: int | None = None,
        should_retry: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_ms = retry_ms
        self.should_retry = should_retry
        self.headers = headers
        if code is not None:
            self.code = code


class InternalError(GatewayError):
    """A fault of the gateway's own. Says the request id and nothing else."""


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_json"


class NotPriced(InvalidRequest):
    """Nobody knows what this costs, and a dollar limit has to: model_not_priced, feature_not_priced."""

    code = "model_not_priced"


class BadFraming(InvalidRequest):
    """The HTTP message itself is malformed: answered, then the connection is closed."""

    code = "malformed_http"
    close = True


class InvalidKey(GatewayError):
    """Missing, wrong, revoked and expired keys get one and the same body."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Incorrect API key provided. Use a key of this gateway: "
            "`Authorization: Bearer sk-gw-...` or `api-key: sk-gw-...`.",
            headers=(("www-authenticate", "Bearer"),),
        )


class Forbidden(GatewayError):
    """`code` is one of model_not_allowed, endpoint_not_allowed, address_not_allowed."""

    status = 403
    type = "permission_error"
    code = "endpoint_not_allowed"


class UnknownUrl(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "unknown_url"


class NotFound(GatewayError):
    """There is no such object, or it is somebody else's. The body has the code that OpenAI gives: `said`."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"

    def __init__(self, message: str, *, said: str | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.said = said


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(GatewayError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"
    close = True


class Conflict(GatewayError):
    """What is there does not allow it: declared_in_configuration, team_exists, team_in_use."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class RequestTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    close = True


class UriTooLong(GatewayError):
    status = 414
    type = "invalid_request_error"
    code = "uri_too_long"
    close = True


class ExpectationFailed(GatewayError):
    status = 417
    type = "invalid_request_error"
    code = "expectation_failed"
    close = True


class HeadersTooLarge(GatewayError):
    """Too many header fields, or too long a one (RFC 6585 section 5)."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"
    close = True


class RateLimited(GatewayError):
    """A rate or a concurrency limit, named in the message."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class QuotaExceeded(GatewayError):
    """A budget. Waiting a minute does not help, so clients are told not to retry."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"


class CodingNotImplemented(GatewayError):
    """A transfer coding other than chunked (RFC 9112 section 6.1)."""

    status = 501
    type = "invalid_request_error"
    code = "unsupported_transfer_coding"
    close = True


class VersionNotSupported(GatewayError):
    """Neither HTTP/1.1 nor HTTP/1.0."""

    status = 505
    type = "invalid_request_error"
    code = "http_version_not_supported"
    close = True


class UpstreamUnreachable(GatewayError):
    """Nothing was sent: refused, no such host, TLS failed, or timed out while connecting."""

    status = 502
    type = "upstream_error"
    code = "upstream_unreachable"


class UpstreamProtocolError(GatewayError):
    """Something was sent, and what came back is no answer."""

    status = 502
    type = "upstream_error"
    code = "upstream_protocol_error"


class UpstreamAuth(UpstreamProtocolError):
    """The gateway's own key was refused: the client's key is fine, and must not be told otherwise."""

    code = "upstream_auth"

    def __init__(self, upstream: str) -> None:
        message = f"The upstream '{upstream}' refused the gateway's own key. Tell whoever runs the gateway."
        super().__init__(message, should_retry=False)


class UpstreamTimeout(GatewayError):
    status = 504
    type = "upstream_error"
    code = "upstream_timeout"


class Unavailable(GatewayError):
    """`code` is one of overloaded, draining."""

    status = 503
    type = "service_unavailable_error"
    code = "overloaded"


class StoreUnavailable(GatewayError):
    """The store did not answer in time, or is known to be down. Raised by every call of `store`."""

    status = 503
    type = "service_unavailable_error"
    code = "quota_store_unavailable"

    def __init__(self, message: str, *, retry_ms: int = 1000) -> None:
        super().__init__(message, retry_ms=retry_ms)


class StoreReset(StoreUnavailable):
    """The store answers, and is not the one whose counters were known: it came back empty, or is another."""

    code = "quota_store_reset"


def body_of(error: GatewayError) -> bytes:
    """The error as OpenAI's JSON, ready to send."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.type,
                "param": error.param,
                "code": error.said if isinstance(error, NotFound) else error.code,
            }
        }
    )


def headers_of(error: GatewayError) -> Iterator[tuple[str, str]]:
    """The headers that go with the error, without content-type and content-length.

    `retry-after` is whole seconds, rounded up (RFC 9110 section 10.2.3); `retry-after-ms` is exact.
    """
    yield "x-gateway-error", error.code
    yield from error.headers
    if error.retry_ms is not None:
        yield "retry-after-ms", str(error.retry_ms)
        yield "retry-after", str(-(-error.retry_ms // 1000))
    if error.should_retry is not None:
        yield "x-should-retry", "true" if error.should_retry else "false"


def sse_of(error: GatewayError) -> bytes:
    """The error as the one event that ends a stream which has already begun."""
    return b"data: " + body_of(error) + b"\n\n"
