"""The bytes of a request's head."""

import pytest
from yarl import URL

from gateway.errors import UnknownUrl
from gateway.exchange import Outbound
from gateway.upstream.heads import Heads, is_conditional

KEY = (("authorization", "Bearer sk-1"),)
BASE = URL("http://up.example:8080/v1")


def head(
    method: str = "POST",
    path: str = "/chat/completions",
    headers: tuple[tuple[str, str], ...] = (),
    length: int = 2,
    query: str = "",
    base: URL = BASE,
) -> bytes:
    return Heads(base, KEY).of(Outbound(method, path, headers, b"", query), length)


def test_the_whole_of_it() -> None:
    assert head(headers=(("content-type", "application/json"), ("x-kept", "\tcaf\xe9"))) == (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"Host: up.example:8080\r\n"
        b"authorization: Bearer sk-1\r\n"
        b"content-type: application/json\r\n"
        b"x-kept: \tcaf\xc3\xa9\r\n"
        b"Content-Length: 2\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "length", "said"),
    [("GET", 0, None), ("GET", 3, b"3"), ("POST", 0, b"0"), ("DELETE", 0, b"0"), ("DELETE", 7, b"7")],
)
def test_a_length_is_said_where_a_body_is_expected(method: str, length: int, said: bytes | None) -> None:
    made = head(method, length=length)
    assert made.endswith(b"\r\nContent-Length: %b\r\n\r\n" % said if said else b"Bearer sk-1\r\n\r\n")


def test_the_query_is_as_it_was_written() -> None:
    assert head("GET", query="a[]=%26&b=", length=0).startswith(
        b"GET /v1/chat/completions?a[]=%26&b= HTTP/1.1\r\n"
    )


@pytest.mark.parametrize(
    ("base", "host"),
    [
        ("https://api.example/v1", b"api.example"),
        ("http://[::1]:81/v1", b"[::1]:81"),
        ("https://up.example.:444/v1", b"up.example:444"),
    ],
)
def test_the_host(base: str, host: bytes) -> None:
    assert b"\r\nHost: %b\r\n" % host in head(base=URL(base))


@pytest.mark.parametrize(
    "name", ["Authorization", "api-key", "COOKIE", "proxy-authorization", "Host", "content-LENGTH",
             "Transfer-Encoding"],
)  # fmt: skip
def test_what_is_ours_nobody_else_sets(name: str) -> None:
    assert head(headers=((name, "theirs"),)) == head()


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", "a\r\nb: c"), ("x", "a\nb"), ("x", "a\0"), ("x", "\x7f"), ("x", "\udc80"), ("", "a"), ("x y", "a"),
     ("x:", "a"), ("x\r\ny", "a"), ("\xe9", "a")],
)  # fmt: skip
def test_what_would_begin_another_line_is_not_written(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        head(headers=((name, value),))


@pytest.mark.parametrize("path", ["//other", "/../x", "/a b", "/\r\nX: y"])
def test_an_odd_path(path: str) -> None:
    with pytest.raises(UnknownUrl):
        head(path=path)


def test_who_asks_whether_something_changed() -> None:
    assert is_conditional(Outbound("GET", "/x", (("a", "b"), ("If-None-Match", "1")), b""))
    assert not is_conditional(Outbound("GET", "/x", (("a", "b"),), b""))
