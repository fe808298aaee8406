"""Answers that no upstream should give, and what a client is owed for each."""

from collections.abc import Iterator
from dataclasses import dataclass, field

BODY = (
    b'{"id":"x","object":"chat.completion",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"yes"}}]}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade\r\nUpgrade: "
INFORMED = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
TRAILERS = b"Set-Cookie: a=b\r\nX-Request-Id: forged\r\n"
LAST = b"0\r\n\r\n"
GOOD = HEAD + LENGTH + b"\r\n" + BODY
IN_CHUNKS = HEAD + CHUNKED + b"\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FORGED = HEAD + b"Content-Length: 15\r\n\r\n" + b'{"forged":true}'

PROTOCOL = (502, "upstream_protocol_error")
REDIRECT = (502, "upstream_redirect")
TIMEOUT = (504, "upstream_timeout")
UNREACHABLE = (502, "upstream_unreachable")
FINE = (200, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """`parts` are written one after the other. `end`: what becomes of the connection then."""

    name: str
    parts: tuple[bytes, ...] = field(repr=False)
    owed: tuple[int, str] = PROTOCOL
    end: str = "close"
    kept: bool = False  # the connection may be used again

    def __str__(self) -> str:
        return self.name


def heads() -> Iterator[Answer]:
    for name, data in {
        "nothing": b"",
        "garbage": b"\x00\x01\x02garbage\r\n\r\n",
        "words": b"hello\r\n\r\n",
        "HTTP/0.9": b"<html>hello</html>",
        "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "TLS": b"\x15\x03\x01\x00\x02\x02\x28",
        "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
        "version 2.0": GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"),
        "version 3.0": GOOD.replace(b"HTTP/1.1", b"HTTP/3.0"),
        "version 0.9": GOOD.replace(b"HTTP/1.1", b"HTTP/0.9"),
        "version in words": GOOD.replace(b"HTTP/1.1", b"HTTP/x.y"),
        "status 000": GOOD.replace(b"200 OK", b"000 None"),
        "status 099": GOOD.replace(b"200 OK", b"099 None"),
        "status 1000": GOOD.replace(b"200 OK", b"1000 Many"),
        "status 20": GOOD.replace(b"200 OK", b"20 OK"),
        "status -200": GOOD.replace(b"200 OK", b"-200 OK"),
        "status 999": GOOD.replace(b"200 OK", b"999 Odd"),
        "status 600": GOOD.replace(b"200 OK", b"600 Odd"),
        "status in words": GOOD.replace(b"200 OK", b"OK 200"),
        "no status": GOOD.replace(b" 200 OK", b""),
        "a NUL in the status line": GOOD.replace(b"OK", b"O\0K"),
        "a CR in the status line": GOOD.replace(b"OK", b"O\rK"),
        "a status line of 20 kB": GOOD.replace(b"OK", b"x" * 20_000),
        "more than its length": GOOD + b"more",
        "half a status line": b"HTTP/1.1 20",
        "half a head": HEAD + b"X: ",
        "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "an upgrade to a WebSocket": b"HTTP/1.1 101 Switching\r\n%bwebsocket\r\n\r\n" % UPGRADE,
        "an upgrade without a word": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "nothing but 100": b"HTTP/1.1 100 Continue\r\n\r\n",
        "only informed": INFORMED * 300,
        "204 with a body": b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\n" + BODY,
        "304 with a body": b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\n" + BODY,
        "204 with chunks": b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n" + CHUNK + LAST,
        "205 with a forged answer": b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + FORGED,
        "a field of 20 kB": HEAD + b"X: " + b"y" * 20_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
        "a name of 20 kB": HEAD + b"X" * 20_000 + b": y\r\n" + LENGTH + b"\r\n" + BODY,
        "300 fields": HEAD + b"X: y\r\n" * 300 + LENGTH + b"\r\n" + BODY,
        "fields without end": HEAD + b"X: y\r\n" * 100_000,
        "a space in a name": HEAD + b"X Y: z\r\n" + LENGTH + b"\r\n" + BODY,
        "a NUL in a name": HEAD + b"X\0: y\r\n" + LENGTH + b"\r\n" + BODY,
        "a NUL in a value": HEAD + b"X-Request-Id: a\0b\r\n" + LENGTH + b"\r\n" + BODY,
        "a bare CR in a value": HEAD + b"X-Request-Id: a\rX-Forged: b\r\n" + LENGTH + b"\r\n" + BODY,
        "a space before a length's colon": HEAD + LENGTH.replace(b":", b" :") + b"\r\n" + BODY,
        "no colon": HEAD + b"X\r\n" + LENGTH + b"\r\n" + BODY,
    }.items():
        yield Answer(name, (data,))
    for status in (300, 301, 302, 303, 305, 307, 308, 399):
        line = b"HTTP/1.1 %d Elsewhere\r\n" % status
        yield Answer(
            f"status {status}",
            (line + b"Location: http://127.0.0.1:{trap}/v1\r\n" + LENGTH + b"\r\n" + BODY,),
            REDIRECT,
        )


def lengths() -> Iterator[Answer]:
    for value in (
        b"-1",
        b"+5",
        b"0x10",
        b"1_0",
        b"1 0",
        b"",
        b"5;",
        b"5, 6",
        b"x",
        b"9" * 40,
        b"18446744073709551617",
    ):
        yield Answer(
            f"the length {value.decode()!r}", (HEAD + b"Content-Length: " + value + b"\r\n\r\n" + BODY,)
        )
    longer = b"Content-Length: %d\r\n" % (len(BODY) + 10)
    for name, fields in {
        "two lengths that differ": LENGTH + longer,
        "two lengths that agree": LENGTH + LENGTH,
        "a length in two fields, folded": LENGTH[:-2] + b"\r\n 0\r\n",
        "length and chunks": LENGTH + CHUNKED,
        "chunks and length": CHUNKED + LENGTH,
    }.items():
        yield Answer(name, (HEAD + fields + b"\r\n" + (CHUNK + LAST if CHUNKED in fields else BODY),))
    yield Answer("a body shorter than its length", (HEAD + longer + b"\r\n" + BODY,))
    yield Answer("no body, where a length is", (HEAD + LENGTH + b"\r\n",))
    yield Answer(
        "a length of 2^64 - 1", (HEAD + b"Content-Length: 18446744073709551615\r\n\r\n" + BODY,), end="hang"
    )


def chunks() -> Iterator[Answer]:
    head = HEAD + CHUNKED + b"\r\n"
    for name, body in {
        "no last chunk": CHUNK,
        "half of the last chunk": CHUNK + b"0\r\n",
        "half a chunk": CHUNK[:-20],
        "a chunk longer than its size": b"1\r\n" + CHUNK[4:] + LAST,
        "a chunk without a line end": CHUNK[:-2] + LAST,
        "a size that is none": b"xyz\r\n" + BODY + b"\r\n" + LAST,
        "a negative size": b"-1\r\n" + BODY + b"\r\n" + LAST,
        "a hexadecimal prefix": b"0x" + CHUNK + LAST,
        "an empty size": b"\r\n" + BODY + b"\r\n" + LAST,
        "a size past 64 bits": b"f" * 17 + b"\r\n" + BODY + b"\r\n" + LAST,
        "a size of 2^64 - 1": b"f" * 16 + b"\r\n" + BODY,
        "a NUL in an extension": CHUNK.replace(b"\r\n", b";\0\r\n", 1) + LAST,
        "trailers without end": CHUNK + b"0\r\n" + b"X: y\r\n" * 1000,
    }.items():
        yield Answer(name, (head + body,))
    for coding in (b"xchunked", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity"):
        fields = b"Transfer-Encoding: " + coding + b"\r\n"
        yield Answer(f"the coding {coding.decode()!r}", (HEAD + fields + b"\r\n" + CHUNK + LAST,))
    two = CHUNKED + b"Transfer-Encoding: gzip\r\n"
    yield Answer("two codings", (HEAD + two + b"\r\n" + CHUNK + LAST,))


def bodies() -> Iterator[Answer]:
    for name, kind, body in (
        ("no JSON", b"application/json", b"<html>"),
        ("half of JSON", b"application/json", BODY[:-1]),
        ("JSON and more", b"application/json", BODY + b"x"),
        ("JSON twice", b"application/json", BODY + BODY),
        ("an empty body", b"application/json", b""),
        ("a page", b"text/html", b"<html></html>"),
        ("text", b"text/plain", BODY),
        ("gzip", b"application/json", b"\x1f\x8b\x08\x00" + bytes(20)),
        ("100,000 brackets", b"application/json", b"[" * 100_000 + b"]" * 100_000),
        ("events that nobody asked for", b"text/event-stream", b"data: {}\n\ndata: [DONE]\n\n"),
    ):
        fields = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        yield Answer(name, (fields + body,), end="keep", kept=True)
    yield Answer("no type", (b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY,), end="keep", kept=True)


def slow() -> Iterator[Answer]:
    yield Answer("silence", (), TIMEOUT, "hang")
    yield Answer("half a status line, and silence", (b"HTTP/1.1 20",), TIMEOUT, "hang")
    yield Answer("half a head, and silence", (HEAD,), TIMEOUT, "hang")
    yield Answer("only informed, and silence", (b"HTTP/1.1 100 Continue\r\n\r\n",), TIMEOUT, "hang")
    yield Answer("half a body, and silence", (GOOD[:-5],), TIMEOUT, "hang")
    yield Answer("half a chunk, and silence", (HEAD + CHUNKED + b"\r\n" + CHUNK[:-9],), TIMEOUT, "hang")


REFUSED = [*heads(), *lengths(), *chunks(), *bodies()]
SLOW = [*slow()]

# What is odd, and an answer.
ODD = [
    Answer("no reason", (GOOD.replace(b"200 OK", b"200 "),), FINE, "keep", kept=True),
    Answer("no space for a reason", (GOOD.replace(b"200 OK", b"200"),), FINE, "keep", kept=True),
    Answer("a reason past ASCII", (GOOD.replace(b"OK", b"\xc3\xa9\xff"),), FINE, "keep", kept=True),
    Answer("informed before", (CONTINUE, INFORMED * 300, GOOD), FINE, "keep", kept=True),
    Answer("HTTP/1.0", (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),), FINE),
    Answer("ended by its connection", (HEAD + b"\r\n" + BODY,), FINE),
    Answer("chunks", (IN_CHUNKS + CHUNK + LAST,), FINE, "keep", kept=True),
    Answer("trailers", (IN_CHUNKS + CHUNK + b"0\r\n" + TRAILERS + b"\r\n",), FINE, "keep", kept=True),
    Answer("byte by byte", tuple(GOOD[at : at + 1] for at in range(len(GOOD))), FINE, "keep", kept=True),
    Answer("a folded field", (HEAD + b"X-Request-Id: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,), FINE, "keep"),
    Answer("two answers", (GOOD + FORGED,), FINE, "keep"),
    Answer("two answers, one after the other", (GOOD, FORGED), FINE, "keep"),
    Answer("an answer and a half", (GOOD + FORGED[:40],), FINE, "keep"),
    Answer("more behind the last chunk", (IN_CHUNKS + CHUNK + LAST + FORGED,), FINE, "keep"),
    Answer("an announced end", (HEAD + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY,), FINE, "keep"),
]
