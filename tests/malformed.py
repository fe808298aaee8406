"""Requests that are not as HTTP has them, or that two readers could read in two ways; and what each is owed.

In the data `{path}` is a path that takes a POST, `{key}` a key that opens it, `{body}` a body that it likes,
`{size}` and `{hex}` are that body's length: nothing is wrong but what the case is about.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

Owed = tuple[int, str]

MALFORMED = (400, "malformed_http")
EXPECTATION = (417, "expectation_failed")
TOO_LONG = (414, "uri_too_long")
TOO_MANY = (431, "headers_too_large")
CODING = (501, "unsupported_transfer_coding")
VERSION = (505, "http_version_not_supported")
NOT_ALLOWED = (405, "method_not_allowed")
TOO_LARGE = (413, "request_too_large")
LATE = (408, "request_timeout")

HOST = "Host: gateway\r\n"
AUTH = "Authorization: Bearer {key}\r\n"
FIELDS = HOST + AUTH + "Content-Type: application/json\r\n"
CHUNKED = "Transfer-Encoding: chunked"
LENGTH = "Content-Length: {size}"
CHUNKS = "{hex}\r\n{body}\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """`data` as it is on the wire, in Latin-1. `last`: what follows it would change what it is."""

    name: str
    data: str = field(repr=False)
    owed: Owed = MALFORMED
    last: bool = False

    def __str__(self) -> str:
        return self.name

    def wire(self, path: str, key: str, body: bytes) -> bytes:
        data = self.data.encode("latin-1")
        places = {"path": path, "key": key, "size": str(len(body)), "hex": f"{len(body):x}"}
        for place, value in places.items():
            data = data.replace(b"{%b}" % place.encode(), value.encode())
        return data.replace(b"{body}", body)


def sent(*fields: str, body: str = "{body}", line: str = "POST {path} HTTP/1.1") -> str:
    return f"{line}\r\n{FIELDS}" + "".join(f"{one}\r\n" for one in fields) + "\r\n" + body


def sized(*fields: str) -> str:
    return sent(*fields, LENGTH)


def chunked(body: str) -> str:
    return sent(CHUNKED, body=body)


def begun(line: str) -> str:
    return sent(LENGTH, line=line)


GOOD = sent(LENGTH)


def lengths() -> Iterator[Case]:
    yield Case("two lengths that differ", sent(LENGTH, "Content-Length: 0"))
    yield Case("two lengths that agree", sent(LENGTH, LENGTH))
    for value in (
        *("{size}, {size}", "{size}, 0", "-1", "+{size}", "0x{hex}", "", "1 0", "1_0", "{size}.0", "\xb2"),
        *(
            "18446744073709551617",
            "18446744073709551615",
            "0018446744073709551615",
            "9223372036854775808",
            "9" * 40,
            "{size};",
            '"{size}"',
            "{size}\v",
        ),
    ):
        yield Case(f"the length {value!r}", sent(f"Content-Length: {value}"))
    yield Case("a length before a space", sent(LENGTH.replace(":", " :")))
    yield Case("a length that is folded", sent(LENGTH.replace(" ", "\r\n ")))


def codings() -> Iterator[Case]:
    for name, fields in {
        "length, then chunks": (LENGTH, CHUNKED),
        "chunks, then length": (CHUNKED, LENGTH),
        "length 0 and chunks": ("Content-Length: 0", CHUNKED),
        "two codings": (CHUNKED, CHUNKED),
        "two codings, one is identity": (CHUNKED, "Transfer-Encoding: identity"),
        "identity beside a length": (LENGTH, "Transfer-Encoding: identity"),
        "no coding beside a length": (LENGTH, "Transfer-Encoding:"),
        "a space before the colon": ("Transfer-Encoding : chunked",),
        "a tab before the colon": ("Transfer-Encoding\t: chunked",),
        "a space before the name": (" Transfer-Encoding: chunked",),
        "a coding that is folded": ("Transfer-Encoding:\r\n chunked",),
        "a NUL in the name": ("Transfer-Encoding\0: chunked",),
    }.items():
        yield Case(name, sent(*fields, body=CHUNKS))
    for value in (
        *("chunked, chunked", "chunked, identity", "chunked, gzip", "xchunked", "chunked x", "identity"),
        *('"chunked"', "chunked;q=1", ", chunked", "chunked,", "\vchunked", "chunked\f", "\xa0chunked"),
        "chunked\0",
    ):
        yield Case(f"the coding {value!r}", sent(f"Transfer-Encoding: {value}", body=CHUNKS))
    for value in ("gzip, chunked", "zigzag, chunked", "identity, chunked"):
        yield Case(f"the coding {value!r}", sent(f"Transfer-Encoding: {value}", body=CHUNKS), CODING)
    old = "POST {path} HTTP/1.0"
    yield Case("chunks in HTTP/1.0", sent(CHUNKED, body=CHUNKS, line=old))
    kept = sent("Connection: keep-alive", CHUNKED, body=CHUNKS, line=old)
    yield Case("chunks in HTTP/1.0, kept alive", kept)


def chunks() -> Iterator[Case]:
    for size in (
        *("0x{hex}", "-1", "+{hex}", "{hex}_0", " {hex}", "{hex} ", "g", "", "1" + "0" * 16, "f" * 17),
        "\xb2",
    ):
        yield Case(f"a chunk of size {size!r}", chunked(f"{size}\r\n{{body}}\r\n0\r\n\r\n"))
    for name, body in {
        "a chunk longer than its size": "1\r\n{body}\r\n0\r\n\r\n",
        "a chunk without a line end": "{hex}\r\n{body}0\r\n\r\n",
        "a chunk that ends with LF": "{hex}\r\n{body}\n0\r\n\r\n",
        "a size that ends with LF": "{hex}\n{body}\r\n0\r\n\r\n",
        "a size that ends with CR": "{hex}\r{body}\r\n0\r\n\r\n",
        "an extension that ends with LF": "{hex};a\n{body}\r\n0\r\n\r\n",
        "an extension with a NUL": "{hex};a\0\r\n{body}\r\n0\r\n\r\n",
        "an extension of 2 MB": "{hex};a=" + "x" * 2_000_000 + "\r\n{body}\r\n0\r\n\r\n",
        "an extension to each of 10,000 chunks": ("1;a=" + "x" * 200 + "\r\n \r\n") * 10_000 + "0\r\n\r\n",
        "a trailer that is no field": "{hex}\r\n{body}\r\n0\r\nX\r\n\r\n",
        "a trailer with a NUL": "{hex}\r\n{body}\r\n0\r\nX: \0\r\n\r\n",
        "a trailer that is a length": "{hex}\r\n{body}\r\n0\r\nContent-Length: 1\r\n\r\n",
        "a trailer that is a coding": "{hex}\r\n{body}\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
        "a trailer that is a Host": "{hex}\r\n{body}\r\n0\r\nHost: gateway\r\n\r\n",
        "a trailer that is folded": "{hex}\r\n{body}\r\n0\r\nX: y\r\n z\r\n\r\n",
    }.items():
        yield Case(name, chunked(body))
    long, many = f"X: {'y' * 20_000}\r\n", "X: y\r\n" * 300
    yield Case("a trailer of 20 kB", chunked(f"{{hex}}\r\n{{body}}\r\n0\r\n{long}\r\n"), TOO_MANY)
    yield Case("300 trailers", chunked(f"{{hex}}\r\n{{body}}\r\n0\r\n{many}\r\n"), TOO_MANY)


def fields() -> Iterator[Case]:
    yield Case("lines that end with LF", GOOD.replace("\r\n", "\n"))
    for one in (
        *("X: y\nZ: z", "X: y\rz", "\rX: y", "X: y\r", "X: y\r\n z", "X: y\r\n\tz", "X: y\0z", "X: \x01"),
        *("X: \x7f", "X Y: z", "X : y", "X\t: y", "X\x01: y", "X\0: y", "X\xe9: y", "X(Y): z", "X", ": y"),
        "Content-Type: text/plain",
    ):
        yield Case(f"the field {one!r}", sized(one))
    for written in ("\r\n {key}", "{key}\0", "{key}\x01", "{key}\r", "\0{key}"):
        yield Case(f"the key {written!r}", GOOD.replace("{key}", written))
    yield Case("a space before the key's colon", GOOD.replace("Authorization:", "Authorization :"))
    yield Case("a space before the first field", GOOD.replace("Host", " Host", 1))
    yield Case("a value of 20 kB", sized(f"X: {'y' * 20_000}"), TOO_MANY)
    yield Case("a name of 20 kB", sized(f"{'X' * 20_000}: y"), TOO_MANY)
    yield Case("a key of 20 kB", GOOD.replace("{key}", "{key}" * 500), TOO_MANY)
    yield Case("300 fields", sized(*["X: y"] * 300), TOO_MANY)
    yield Case("a head without end", sent(*["X: " + "y" * 8000] * 100, "X"), TOO_MANY, last=True)


def hosts() -> Iterator[Case]:
    yield Case("no Host", GOOD.replace(HOST, ""))
    yield Case("two Hosts that agree", sized("Host: gateway"))
    yield Case("two Hosts that differ", sized("Host: elsewhere"))
    for host in (
        *("gateway/v1", "gateway?x", "gateway#x", "{key}@gateway", "gate way", "gateway, elsewhere"),
        *("gateway\\x", "gate\xe9way", "[::1", "::1]", "gateway:80:80", "gateway:x", "gateway:123456"),
    ):
        yield Case(f"the Host {host!r}", GOOD.replace("Host: gateway", f"Host: {host}"))


def lines() -> Iterator[Case]:
    long = "x" * 20_000
    yield Case("a URL of 20 kB", begun("POST {path}?{key}" + long + " HTTP/1.1"), TOO_LONG)
    yield Case("a URL without end", "POST {path}?{key}" + long, TOO_LONG, last=True)
    for line in (
        *("POST\t{path} HTTP/1.1", "POST {path} x HTTP/1.1", "POST {path} HTTP/1.1 ", "POST HTTP/1.1"),
        *("POST {path}\0 HTTP/1.1", "POST {path}?{key}\x01 HTTP/1.1", "POST {path}\t HTTP/1.1"),
        *("POST {path}\r HTTP/1.1", "POST {path}?{key}\xe9 HTTP/1.1", "POST {path}#{key} HTTP/1.1"),
        *("POST v1/models HTTP/1.1", "POST http:///v1/models HTTP/1.1", "POST * HTTP/1.1"),
        *("POST http://[::1]:999999%zz99@/ HTTP/1.1", "POST elsewhere:443 HTTP/1.1", "POST ?x HTTP/1.1"),
        *("POST {path} HTTP/1", "POST {path} HTTP/1.10", "POST {path} http/1.1", "POST {path} HTTPS/1.1"),
        *("POST {path} ICE/1.0", "POST {path} RTSP/1.0", "POST {path} HTTP/1.1\r", "POST {path} HTTP/-1.1"),
        *("post {path} HTTP/1.1", "Post {path} HTTP/1.1", "FROBNICATE {path} HTTP/1.1"),
        *("PO:ST {path} HTTP/1.1", "POST\0 {path} HTTP/1.1", " POST {path} HTTP/1.1", "{path} HTTP/1.1"),
    ):
        yield Case(f"the line {line!r}", begun(line))
    for line in ("POST {path} HTTP/3.0", "POST {path} HTTP/1.2", "POST {path} HTTP/9.9"):
        yield Case(f"the line {line!r}", begun(line), VERSION)
    for line in ("POST {path} HTTP/2.0", "POST {path} HTTP/0.9", "GET {path}"):
        yield Case(f"the line {line!r}", f"{line}\r\n{FIELDS}\r\n", VERSION, last=True)
        yield Case(f"the line {line!r}, and a body", begun(line))
    for authority in ("elsewhere:443", "{path}", "http://elsewhere/"):
        owed = NOT_ALLOWED if "/" not in authority or authority == "{path}" else MALFORMED
        line = f"CONNECT {authority} HTTP/1.1"
        yield Case(line, f"{line}\r\nHost: elsewhere:443\r\n{AUTH}\r\n", owed)


def other_protocols() -> Iterator[Case]:
    hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "".join(map(chr, range(256))) * 2
    yield Case("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", VERSION)
    yield Case("TLS", hello)
    yield Case("SSH", "SSH-2.0-OpenSSH_9.2\r\n")
    yield Case("Redis", "*1\r\n$8\r\nFLUSHALL\r\n")
    yield Case("SMTP", "EHLO {key}\r\n")
    yield Case("PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + GOOD)
    yield Case("a body without a head", "{body}{body}")
    yield Case("zeros", "\0" * 64)


def expectations() -> Iterator[Case]:
    for one in ("200-maybe", "100-continue, 200-maybe", "100-continue;q=1", "{key}", ""):
        yield Case(f"the expectation {one!r}", sized(f"Expect: {one}"), EXPECTATION)
    yield Case("two expectations", sized("Expect: 100-continue", "Expect: 100-continue"), EXPECTATION)


CASES = [
    *(*lengths(), *codings(), *chunks(), *fields(), *hosts(), *lines(), *other_protocols()),
    *expectations(),
]
