"""One request, asked directly and through a gateway: what the upstream got and what the client got, twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.conformance.generate import Request
from tests.running import KEY, REAL_KEY
from tests.scripted import Scripted, Seen
from tests.web.raw import Raw, Response

# Of one connection only, or what the gateway says of itself (docs/compatibility.md). All others are equal.
_ITS_OWN: Final = frozenset(
    {"host", "authorization", "user-agent", "accept-encoding", "connection", "keep-alive"}
)
# How long an answer is may be said in either way; the bytes are compared.
_FRAMING: Final = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "server"}
)
# Added by the gateway: its own, and when a model's end is announced, its day (RFC 9745, RFC 8594).
_OURS: Final = ("x-gateway-", "x-ratelimit-", "deprecation", "sunset")


@dataclass(frozen=True, slots=True)
class Call:
    """What became of one request: as the upstream saw it, and as it was answered."""

    seen: Seen | None  # None: it never got there
    response: Response


class _Client(Raw):
    """One that also reads what a mock calls `Content-Length`."""

    async def head(self) -> tuple[int, dict[str, str]]:
        status, headers = await super().head()
        return status, {name.lower(): value for name, value in headers.items()}


async def call(port: int, request: Request, upstream: Scripted) -> Call:
    """Ask whoever listens there, a client's key in hand."""
    before = upstream.calls
    async with _Client(port) as client:
        await client.send(on_the_wire(request, port))
        response = await client.response()
    seen = upstream.requests[-1] if upstream.calls == before + 1 else None
    return Call(seen, response)


def on_the_wire(request: Request, port: int) -> bytes:
    headers = [
        ("Host", f"127.0.0.1:{port}"),
        ("Authorization", f"Bearer {KEY}"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "conformance"),
        *request.headers,
    ]
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(request.body or b""))))
    lines = [f"{request.method} /v1{request.target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (request.body or b"")


def differences(direct: Call, through: Call) -> Iterator[str]:
    """In words, every way in which the call through the gateway was another one. None: it was the same."""
    if direct.seen is None or through.seen is None:
        where = "directly" if direct.seen is None else "through the gateway"
        answered = f"{through.response.status} {_short(through.response.body)!r}"
        yield f"the request did not arrive {where}: {answered}"
        return
    yield from _request_differences(direct.seen, through.seen)
    yield from _answer_differences(direct.response, through.response)


def _request_differences(direct: Seen, through: Seen) -> Iterator[str]:
    if through.header("authorization") != f"Bearer {REAL_KEY}":
        yield "request: not with the upstream's key"
    if any(KEY in value for _, value in through.headers):
        yield "request: the client's key went along"
    yield from _unequal("request method", direct.method, through.method)
    yield from _unequal("request target", direct.path, through.path)
    yield from _unequal(
        "request body", _short(direct.body), _short(through.body), direct.body == through.body
    )
    yield from _unequal("request headers", _compared(direct.headers), _compared(through.headers))


def _compared(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sorted. No length and a length of 0 say the same: there is no body."""
    named = ((name.lower(), value) for name, value in headers if name.lower() not in _ITS_OWN)
    return sorted(pair for pair in named if pair != ("content-length", "0"))


def _answer_differences(direct: Response, through: Response) -> Iterator[str]:
    yield from _unequal("answer status", direct.status, through.status)
    yield from _unequal("answer body", _short(direct.body), _short(through.body), direct.body == through.body)
    if not through.whole:
        yield "answer: cut off"
    for name in sorted({"content-type", *through.headers}):
        added = name.startswith(_OURS) and name not in direct.headers
        if name not in _FRAMING and not added:
            yield from _unequal(f"answer header {name}", direct.headers.get(name), through.headers.get(name))


def _unequal(what: str, direct: object, through: object, same: bool | None = None) -> Iterator[str]:
    if not (direct == through if same is None else same):
        yield f"{what}: directly {direct!r}, through the gateway {through!r}"


def _short(body: bytes) -> bytes:
    return body if len(body) <= 200 else body[:200] + b"..."
