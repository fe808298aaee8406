import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestTimeout
from gateway.web import wire


def test_head_is_a_status_line_and_the_headers_in_order() -> None:
    lines = wire.head(200, [("content-type", "text/plain"), ("x-a", "b")], "id1", "content-length: 3").split(
        b"\r\n"
    )
    assert lines[:5] == [
        b"HTTP/1.1 200 OK",
        b"content-type: text/plain",
        b"x-a: b",
        b"x-gateway-request-id: id1",
        b"content-length: 3",
    ]
    assert lines[5].startswith(b"date: ")
    assert lines[5].endswith(b" GMT")
    assert lines[6:] == [b"", b""]


def test_an_answer_does_not_bring_its_framing_along() -> None:
    foreign = [("Connection", "keep-alive"), ("Content-Length", "9"), ("x-gateway-request-id", "another")]
    head = wire.head(200, foreign, "ours", "content-length: 3")
    assert head.lower().count(b"content-length") == 1
    assert b"connection" not in head.lower()
    assert b"another" not in head


def test_an_unheard_of_status_has_a_line_too() -> None:
    assert wire.head(299, [], "id").startswith(b"HTTP/1.1 299 \r\n")


@given(st.text())
def test_no_value_adds_a_line(value: str) -> None:
    plain = wire.head(200, [("x-a", "")], "id").count(b"\n")
    try:
        head = wire.head(200, [("x-a", value)], "id")
    except ValueError:
        return
    assert head.count(b"\n") == plain
    assert head.count(b"\r") == plain


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\rb", "a\0b", "\x7f"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        wire.head(200, [("x-a", value)], "id")


@given(st.binary(min_size=1))
def test_bytes_that_are_no_text_pass_unchanged(raw: bytes) -> None:
    value = raw.decode("utf-8", "surrogateescape")
    try:
        head = wire.head(200, [("x-a", value)], "id")
    except ValueError:
        return
    assert b"x-a: " + raw + b"\r\n" in head


def test_chunks() -> None:
    assert wire.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_a_refusal_is_a_whole_response_that_ends_its_connection() -> None:
    head, body = wire.refusal(RequestTimeout("Too late."), "id1").split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-gateway-error: request_timeout" in head
    assert f"\r\ncontent-length: {len(body)}".encode() in head
    assert b'"message":"Too late."' in body
