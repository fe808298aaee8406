"""One renderer, OpenAI's shape, and headers that are right when obeyed."""

import json

import pytest

from gateway.errors import (
    GatewayError,
    InvalidKey,
    NotFound,
    QuotaExceeded,
    RateLimited,
    body_of,
    headers_of,
    sse_of,
)


def family(error: type[GatewayError]) -> list[type[GatewayError]]:
    """The errors of this module; other rooms' own are tested there."""
    heirs = [heir for child in error.__subclasses__() for heir in family(child)]
    return [error, *heirs] if error.__module__ == "gateway.errors" else []


@pytest.mark.parametrize("kind", family(GatewayError))
def test_every_error_has_openais_shape(kind: type[GatewayError]) -> None:
    error = kind() if kind is InvalidKey else kind("words")
    said = json.loads(body_of(error))
    assert set(said) == {"error"}
    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert 400 <= kind.status < 600
    said_code = None if kind is NotFound else error.code
    assert (dict(headers_of(error))["x-gateway-error"], said["error"]["code"]) == (error.code, said_code)


def test_retry_after_is_rounded_up_and_exact_beside() -> None:
    headers = dict(headers_of(RateLimited("slow", retry_ms=1001)))
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1001")
    assert "x-should-retry" not in headers
    assert dict(headers_of(QuotaExceeded("spent", should_retry=False)))["x-should-retry"] == "false"


def test_in_a_stream_it_is_one_event() -> None:
    event = sse_of(RateLimited('two\nlines "quoted"'))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:])["error"]["message"] == 'two\nlines "quoted"'
