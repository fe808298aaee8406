import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.call import Call
from gateway.web.framing import path_of
from tests.web.conftest import Serve
from tests.web.raw import CANARY, Raw, ask


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models?a=/b", "/v1/models"),
        ("/v1/%2e%2e/x", "/v1/%2e%2e/x"),
        ("http://evil.example/v1/models?q", "/v1/models"),
        ("HTTPS://evil.example", "/"),
        ("http://evil.example?/v1/models", "/"),
        ("ftp://evil.example/v1/models", "ftp://evil.example/v1/models"),
        ("//evil.example/v1", "//evil.example/v1"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_path_of(target: str, path: str) -> None:
    assert path_of(target) == path


@given(st.text())
def test_a_path_never_has_a_query(target: str) -> None:
    assert "?" not in path_of(target)


async def echo_path(call: Call) -> None:
    await call.answer(200, call.path.encode())


KEY = f"Authorization: Bearer {CANARY}\r\n"
POST = f"POST / HTTP/1.1\r\nHost: a\r\n{KEY}"
CHUNKS = "2\r\n{}\r\n0\r\n\r\n"

STATUSES = {
    "gzip, chunked": (501, "unsupported_transfer_coding"),
    "HTTP/2.0": (505, "http_version_not_supported"),
    "HTTP/0.9": (505, "http_version_not_supported"),
    "preface of HTTP/2": (505, "http_version_not_supported"),
    "header without end": (431, "headers_too_large"),
    "200 headers": (431, "headers_too_large"),
    "URL without end": (414, "uri_too_long"),
}
MALFORMED = {
    "two lengths": f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "length and chunks": f"{POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "signed length": f"{POST}Content-Length: +2\r\n\r\n{{}}",
    "list of lengths": f"{POST}Content-Length: 2,2\r\n\r\n{{}}",
    "hexadecimal length": f"{POST}Content-Length: 0x2\r\n\r\n{{}}",
    "unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n{CHUNKS}",
    "chunked twice": f"{POST}Transfer-Encoding: chunked, chunked\r\n\r\n{CHUNKS}",
    "identity": f"{POST}Transfer-Encoding: identity\r\n\r\n{CHUNKS}",
    "gzip, chunked": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n{CHUNKS}",
    "chunks in 1.0": f"POST / HTTP/1.0\r\nHost: a\r\n{KEY}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "HTTP/2.0": f"GET / HTTP/2.0\r\nHost: a\r\n{KEY}\r\n",
    "HTTP/0.9": "GET /\r\n\r\n",
    "preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "folded header": f"GET / HTTP/1.1\r\nHost: a\r\n{KEY} folded\r\n\r\n",
    "space before colon": f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {CANARY}\r\n\r\n",
    "NUL in a header": f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\0\r\n\r\n",
    "control byte in a header": f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\x01\r\n\r\n",
    "bare CR": f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\rX: y\r\n\r\n",
    "bare LF": f"GET / HTTP/1.1\nHost: a\n{KEY}\n",
    "key in the request line": f"GET /v1/\x01{CANARY} HTTP/1.1\r\nHost: a\r\n\r\n",
    "header without end": f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}{'x' * 20_000}",
    "URL without end": f"GET /{CANARY}{'x' * 20_000}",
    "200 headers": f"GET / HTTP/1.1\r\nHost: a\r\n{KEY * 200}\r\n",
    "no Host": f"GET / HTTP/1.1\r\n{KEY}\r\n",
    "two Hosts": f"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n{KEY}\r\n",
    "path in Host": f"GET / HTTP/1.1\r\nHost: a/b\r\n{KEY}\r\n",
    "user in Host": f"GET / HTTP/1.1\r\nHost: {CANARY}@b\r\n\r\n",
    "query in Host": f"GET / HTTP/1.1\r\nHost: a?b\r\n{KEY}\r\n",
    "two ports in Host": f"GET / HTTP/1.1\r\nHost: a:80:80\r\n{KEY}\r\n",
    "port in words in Host": f"GET / HTTP/1.1\r\nHost: a:http\r\n{KEY}\r\n",
    "bracket in Host": f"GET / HTTP/1.1\r\nHost: [::1\r\n{KEY}\r\n",
    "fragment": f"GET /#{CANARY} HTTP/1.1\r\nHost: a\r\n{KEY}\r\n",
    "letter past ASCII in the path": f"GET /\xe9 HTTP/1.1\r\nHost: a\r\n{KEY}\r\n",
    "lower-case method": f"get / HTTP/1.1\r\nHost: a\r\n{KEY}\r\n",
    "target that breaks the URL library": f"GET http://[::1]:999999%zz99@/ HTTP/1.1\r\nHost: a\r\n{KEY}\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_http_is_refused_in_words_and_the_connection_ends(serve: Serve, name: str) -> None:
    served = await serve(echo_path)
    async with Raw(served.port) as client:
        await client.send(MALFORMED[name])
        response = await client.response()
        status, code = STATUSES.get(name, (400, "malformed_http"))
        assert (response.status, response.code) == (status, code)
        assert response.headers["content-type"] == "application/json"
        assert response.headers["connection"] == "close"
        assert response.headers["x-gateway-error"] == code
        assert len(response.headers["x-gateway-request-id"]) == 32
        assert "server" not in response.headers
        assert CANARY.encode() not in response.body
        assert await client.closed()
    assert [error.code for error in served.refused] == [code]


@pytest.mark.parametrize("host", ["a", "a:80", "a:", "[::1]", "[::1]:8080", "127.0.0.1", "a_b.c-d", ""])
async def test_hosts_that_are_fine(serve: Serve, host: str) -> None:
    served = await serve(echo_path)
    assert (await ask(served.port, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status == 200


async def test_http_1_0_is_not_told_to_continue(serve: Serve) -> None:
    async def read(call: Call) -> None:
        await call.answer(200, await call.body.read())

    served = await serve(read)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{")
        await served.until(lambda: served.server.requests_count == 1)
        await client.send("}")
        response = await client.response()
        assert (response.status, response.body) == (200, b"{}")


async def test_a_malformed_request_in_pieces_is_refused_too(serve: Serve) -> None:
    served = await serve(echo_path)
    async with Raw(served.port) as client:
        for byte in MALFORMED["control byte in a header"].rstrip():
            await client.send(byte)
        response = await client.response()
        assert response.code == "malformed_http"
        assert await client.closed()


async def test_an_absolute_form_is_a_path_only(serve: Serve) -> None:
    served = await serve(echo_path)
    response = await ask(served.port, "GET http://evil.example/v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (response.status, response.body) == (200, b"/v1/models")


async def test_connect_is_refused_and_the_connection_ends(serve: Serve) -> None:
    served = await serve(echo_path)
    async with Raw(served.port) as client:
        await client.send("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\nmore")
        response = await client.response()
        assert (response.status, response.code) == (405, "method_not_allowed")
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_an_upgrade_is_not_followed(serve: Serve) -> None:
    served = await serve(echo_path)
    head = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    assert (await ask(served.port, head)).status == 200


async def test_an_unknown_expectation_is_417(serve: Serve) -> None:
    served = await serve(echo_path)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n{}")
        response = await client.response()
        assert (response.status, response.code) == (417, "expectation_failed")
        assert await client.closed()
