"""Requests that are HTTP, and ask for what they should not; and what each is owed. The connection goes on."""

import gzip
import json
from collections.abc import Iterator

from tests.malformed import FIELDS, GOOD, LENGTH, NOT_ALLOWED, Case, Owed, sent

UNKNOWN = (404, "unknown_url")
NO_KEY = (401, "invalid_api_key")
NO_JSON = (400, "invalid_json")
TWICE = (400, "duplicate_key")
PACKED = (400, "unsupported_content_encoding")
HEADER = (400, "invalid_header")

FORGED = "sk-gw-00c0ffee-forged"
CHAT = "/v1/chat/completions"
KEYS = "/admin/v1/keys"

# Whatever a normalizer made of these, it would arrive at the path that takes a POST, or somewhere worse.
_PATHS = (
    *("{path}/", "/{path}", "//elsewhere{path}", "/.{path}", "/x/..{path}", "/x/%2e%2e{path}"),
    *("/x/%2E%2e{path}", "/x/..%2f..{path}", "/x/.%2e{path}", "/%2e{path}", "/..{path}", "/../..{path}"),
    *("{path};x", "{path};{key}", "{path}%00", "{path}%00.json", "{path}%20", "{path}%0d%0a", "{path}%3f"),
    *("{path}%23", "{path}%5c", "{path}\\", "/x/..\\..{path}", "{path}%2f", "{path}%252f"),
    *("{path}//", "{path}/./", "{path}/x/", "{path}/../..", "{path}/x/..", "//{path}", "/v1/.{path}"),
    *("{path}\"", "{path}<", "{path}|", "{path}^", "{path}`", "{path}{", "ftp://elsewhere{path}", "/"),
    *("/v1", "/v1/", "/v2/models", "/admin", "/console/..{path}", "/{key}", "{path}/{key}/x/y/z"),
    "http://elsewhere/x/..{path}",
)  # fmt: skip


# Below both paths there is something that has a name, and takes other methods at the admin listener.
_NAMES = (
    *("%252e%252e", "%2e%2e", "..", ".", "%2e", "%c0%ae%c0%ae", "%c0%af", "%ff", "%ed%a0%80", "%", "%2"),
    *("%zz", "%u002e", "%00", "x%0d%0ay", "%5c", "x;y", "x%3by", "%2f", "%252f", "%0a", "%7f"),
)  # fmt: skip


def paths() -> Iterator[Case]:
    for path in _PATHS:
        yield Case(f"the path {path}", GOOD.replace("{path}", path), UNKNOWN)


def names(owed: Owed) -> Iterator[Case]:
    for name in _NAMES:
        yield Case(f"the name {name}", GOOD.replace("{path}", f"{{path}}/{name}"), owed)


def methods() -> Iterator[Case]:
    for method in ("PUT", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "QUERY"):
        yield Case(method, sent(LENGTH, line=f"{method} {{path}} HTTP/1.1"), NOT_ALLOWED)
    yield Case("TRACE without a body", f"TRACE {{path}} HTTP/1.1\r\n{FIELDS}\r\n", NOT_ALLOWED)
    yield Case("OPTIONS *", f"OPTIONS * HTTP/1.1\r\n{FIELDS}\r\n", UNKNOWN)


def keys() -> Iterator[Case]:
    """Who cannot be told apart from somebody else is nobody."""
    good = "Authorization: Bearer {key}"
    for name, fields in {
        "no key": (),
        "a wrong key": (f"Authorization: Bearer {FORGED}",),
        "the key twice": (good, good),
        "the key, then another": (good, f"Authorization: Bearer {FORGED}"),
        "another, then the key": (f"Authorization: Bearer {FORGED}", good),
        "two keys in one field": ("Authorization: Bearer {key}, Bearer {key}",),
        "two keys in one value": (f"Authorization: Bearer {{key}} {FORGED}",),
        "an empty one beside the key": (good, "Authorization:"),
        "another scheme": ("Authorization: Basic {key}",),
        "another scheme beside it": ("Authorization: Basic {key}", good),
        "no scheme": ("Authorization: {key}",),
        "no space": ("Authorization: Bearer{key}",),
        "a colon": ("Authorization: Bearer: {key}",),
        "a tab": ("Authorization: Bearer\t{key}",),
        "an empty key": ("Authorization: Bearer ",),
        "the key in capitals": ("Authorization: Bearer SK-GW-{key}",),
        "the key in quotes": ('Authorization: Bearer "{key}"',),
        "the key, and a letter": ("Authorization: Bearer {key}x",),
        "a letter past ASCII": ("Authorization: Bearer {key}\xe9",),
        "bytes that are no UTF-8": ("Authorization: Bearer {key}\xff\xfe",),
        "another name": ("X-Authorization: Bearer {key}",),
        "an underscore": ("Authorization_: Bearer {key}",),
        "a proxy's": ("Proxy-Authorization: Bearer {key}",),
        "a cookie": ("Cookie: authorization=Bearer {key}",),
    }.items():
        lines = "".join(f"{field}\r\n" for field in fields)
        yield Case(name, GOOD.replace("Authorization: Bearer {key}\r\n", lines), NO_KEY)
    yield Case(
        "the key in the URL",
        GOOD.replace("Authorization: ", "X: ").replace(" HTTP", "?api_key={key} HTTP"),
        NO_KEY,
    )


def two_names() -> Iterator[Case]:
    """Where the key may stand in either of two fields, they must agree: only the public listener has both."""
    for name, fields in {
        "api-key differs": f"api-key: {FORGED}",
        "api-key comes twice": "api-key: {key}\r\napi-key: {key}",
        "api-key is empty": "api-key:",
        "api-key has a scheme": "api-key: Bearer {key}",
    }.items():
        yield Case(name, sent(fields, LENGTH), NO_KEY)


_DEEP = 100_000
_VALID = '{"model":"gpt-4o-mini","messages":[]'
_NO_JSON: dict[str, str | bytes] = {
    "nothing": "",
    "white space": " \r\n",
    "no end": '{"model":"gpt-4o-mini"',
    "an end too many": '{"model":"gpt-4o-mini"}}',
    "two documents": '{"model":"gpt-4o-mini"}{"model":"gpt-4o-mini"}',
    "words behind it": '{"model":"gpt-4o-mini"} x',
    "a NUL behind it": '{"model":"gpt-4o-mini"}\0',
    "a line comment": '{"model":"gpt-4o-mini"} // x',
    "a comment": '{/* x */"model":"gpt-4o-mini"}',
    "quotes of one stroke": "{'model':'gpt-4o-mini'}",
    "a name without quotes": '{model:"gpt-4o-mini"}',
    "a comma too many": '{"model":"gpt-4o-mini",}',
    "a comma too few": '{"model":"gpt-4o-mini" "n":1}',
    "NaN": '{"model":"gpt-4o-mini","temperature":NaN}',
    "Infinity": '{"model":"gpt-4o-mini","temperature":Infinity}',
    "-Infinity": '{"model":"gpt-4o-mini","temperature":-Infinity}',
    "a number from 0": '{"model":"gpt-4o-mini","seed":01}',
    "a number with a plus": '{"model":"gpt-4o-mini","seed":+1}',
    "a number from a dot": '{"model":"gpt-4o-mini","seed":.5}',
    "a number to a dot": '{"model":"gpt-4o-mini","seed":5.}',
    "a hexadecimal number": '{"model":"gpt-4o-mini","seed":0x1}',
    "True": '{"model":"gpt-4o-mini","stream":True}',
    "a control in a string": '{"model":"gpt-4o-mini","user":"\x01"}',
    "a line end in a string": '{"model":"gpt-4o-mini","user":"\n"}',
    "an escape that is none": '{"model":"gpt-4o-mini","user":"\\x41"}',
    "half an escape": '{"model":"gpt-4o-mini","user":"\\u00"}',
    "a mark of byte order": b'\xef\xbb\xbf{"model":"gpt-4o-mini"}',
    "UTF-16": '{"model":"gpt-4o-mini"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"model":"gpt-4o-mini"}'.encode("utf-16-be"),
    "UTF-32": '{"model":"gpt-4o-mini"}'.encode("utf-32"),
    "Latin-1 in a value": b'{"model":"gpt-4o-mini","user":"\xe9"}',
    "Latin-1 in a name": b'{"model":"gpt-4o-mini","\xe9":1}',
    "Latin-1 far inside": b'{"model":"gpt-4o-mini","a":[{"b":["\xe9"]}]}',
    "half a character": b'{"model":"gpt-4o-mini","user":"\xc3"}',
    "an overlong slash": b'{"model":"gpt-4o-mini","user":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"model":"gpt-4o-mini","user":"\xed\xa0\x80"}',
    "past the last character": b'{"model":"gpt-4o-mini","user":"\xf4\x90\x80\x80"}',
    "a lone surrogate": '{"model":"gpt-4o-mini","user":"\\ud800"}',
    "a lone low surrogate": '{"model":"gpt-4o-mini","user":"\\udc00"}',
    "surrogates the wrong way round": '{"model":"gpt-4o-mini","user":"\\udc00\\ud800"}',
    "100,000 brackets": '{"model":"gpt-4o-mini","a":' + "[" * _DEEP + "]" * _DEEP + "}",
    "100,000 objects": '{"model":"gpt-4o-mini","a":' + '{"a":' * _DEEP + "1" + "}" * _DEEP + "}",
    "a million brackets": '{"model":"gpt-4o-mini","a":' + "[" * 1_000_000,
    "two million values": '{"model":"gpt-4o-mini","a":[' + "1," * 2_000_000 + "1]}",
    "a million names": "{" + ",".join(f'"{number}":1' for number in range(1_000_001)) + "}",
    "an array": "[" + _VALID + "}]",
    "null": "null",
    "a string": '"gpt-4o-mini"',
    "a number": "1",
}  # fmt: skip

_TWICE = {
    "model": '"model":"gpt-6-luna"',
    "model, spelt otherwise": '"mod\\u0065l":"gpt-6-luna"',
    "model, all in escapes": '"\\u006d\\u006f\\u0064\\u0065\\u006c":"gpt-6-luna"',
    "model, the same": '"model":"gpt-4o-mini"',
    "model, and null": '"model":null',
    "messages": '"messages":[{"role":"user","content":"x"}]',
    "max_tokens": '"max_tokens":1,"max_tokens":100000',
    "stream": '"stream":false,"stream":true',
    "n": '"n":1,"n":128',
    "a name that nobody knows": '"x":1,"x":2',
    "an empty name": '"":1,"":2',
    "a name in stream_options": '"stream":true,"stream_options":{"include_usage":true,"include_usage":false}',
    "a name in a tool": '"tools":[{"type":"function","type":"web_search"}]',
    "a name deep in a tool": '"tools":[{"type":"function","function":{"name":"a","name":"b"}}]',
    "a name in a tool, spelt otherwise": '"tools":[{"type":"function","t\\u0079pe":"web_search"}]',
}

_VALUES: dict[str, tuple[str, Owed]] = {
    "max_tokens of 10^999999": ('"max_tokens":1e999999', (400, "invalid_max_tokens")),
    "max_tokens of a million digits": ('"max_tokens":' + "9" * 1_000_000, (400, "invalid_max_tokens")),
    "max_tokens below 0": ('"max_tokens":-1', (400, "invalid_max_tokens")),
    "max_tokens in words": ('"max_tokens":"5"', (400, "invalid_max_tokens")),
    "max_tokens with a fraction": ('"max_tokens":1.5', (400, "invalid_max_tokens")),
    "max_tokens of 1e3": ('"max_tokens":1e3', (400, "invalid_max_tokens")),
    "n of 10^6": ('"n":1000000', (400, "invalid_n")),
    "stream in words": ('"stream":"true"', (400, "invalid_stream")),
    "stream as a number": ('"stream":1', (400, "invalid_stream")),
    "stream_options as a list": ('"stream":true,"stream_options":[]', (400, "invalid_stream_options")),
}


def _body(name: str, body: str | bytes, owed: Owed, *more: str) -> Case:
    data = body if isinstance(body, bytes) else body.encode("latin-1")
    return Case(name, sent(*more, f"Content-Length: {len(data)}", body=data.decode("latin-1")), owed)


def bodies() -> Iterator[Case]:
    for name, body in _NO_JSON.items():
        yield _body(f"JSON: {name}", body, NO_JSON)
    for name, members in _TWICE.items():
        yield _body(f"twice: {name}", f"{_VALID},{members}}}", TWICE)
    for name, (members, owed) in _VALUES.items():
        yield _body(name, f"{_VALID},{members}}}", owed)
    yield _body("model that is no text", '{"model":["gpt-4o-mini"]}', (400, "invalid_model"))
    yield _body("model of 300 letters", f'{{"model":"{"x" * 300}"}}', (400, "invalid_model"))
    yield _body("model with a line end", '{"model":"gpt\\r\\nX: y"}', (400, "invalid_model"))
    yield _body("model with a NUL", '{"model":"gpt\\u0000"}', (400, "invalid_model"))
    bomb = gzip.compress(b" " * 10_000_000)
    for coding in ("gzip", "deflate", "br", "zstd", "GZIP", "gzip, identity", "x-gzip", "compress", "\xe9"):
        yield _body(f"in {coding}", bomb, PACKED, f"Content-Encoding: {coding}")


def admin_bodies() -> Iterator[Case]:
    for name, body in _NO_JSON.items():
        owed = (400, "invalid_value") if name in ("an array", "null", "a string", "a number") else NO_JSON
        yield _body(f"JSON: {name}", body, owed)
    twice = '{"name":"smuggled",%s}'
    yield _body("twice: name", twice % '"name":"other"', TWICE)
    yield _body("twice: name, spelt otherwise", twice % '"n\\u0061me":"other"', TWICE)
    limit = '"limits":[{"limit":"1 requests/day","limit":"9 requests/day"}]'
    yield _body("twice: a name in a limit", twice % limit, TWICE)


def headers() -> Iterator[Case]:
    for name in ("Accept", "OpenAI-Beta", "Idempotency-Key", "X-Client-Request-Id"):
        for value in ("caf\xe9", "\xff", "a\xa0b"):
            yield Case(f"{name} of {value!r}", sent(f"{name}: {value}", LENGTH), HEADER)


CASES = [*paths(), *names(UNKNOWN), *methods(), *keys(), *two_names(), *bodies(), *headers()]
# Of these, what does not depend on OpenAI's API.
ADMIN_CASES = [*paths(), *names(NOT_ALLOWED), *methods(), *keys(), *admin_bodies()]

# What goes nowhere, whoever sends it and whatever `Connection` says of it (RFC 9110 section 7.6.1).
NOWHERE = (
    *("Connection: keep-alive", "Connection: authorization, content-length, host, x-forwarded-for"),
    *("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: authorization"),
    *("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Proxy-Authorization: Basic eA=="),
    *("Cookie: a={key}", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: elsewhere", "Via: 1.1 x"),
    *("X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1;host=elsewhere", "X-Real-IP: 127.0.0.1"),
    *("X-Original-URL: /admin/v1/keys", "X-Rewrite-URL: /admin/v1/keys", "X-Gateway-Cache: bypass"),
    *("X-HTTP-Method-Override: DELETE", "X-Gateway-Cost: 0", "X-Gateway-Upstream: elsewhere"),
    *("OpenAI-Organization: org", "OpenAI-Project: p", "Transfer_Encoding: chunked", "Content_Length: 0"),
    *("Accept-Encoding: gzip", "Referer: http://{key}/", "User-Agent: {key}", "Origin: http://elsewhere"),
    *("Range: bytes=0-1", "Max-Forwards: 0"),
)  # fmt: skip


def json_of(size: int) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": [], "user": "x" * size}).encode()
