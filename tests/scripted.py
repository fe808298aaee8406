"""The upstream of the tests: a TCP server that speaks HTTP/1.1 by exact bytes.

Left alone it is a small believable OpenAI (`tests.openai_like`). `plan` scripts it instead, answer by answer,
down to the byte at which the connection breaks:

    async with Scripted() as up:
        up.plan(json(503, {"error": {}}), sse(["a", "b"], end="reset"))

`until`, `received` and `disconnected` wait for events, never for time.
"""

import asyncio
import json as _json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self

PATIENCE = 20.0  # seconds: how long `until` waits before the test has failed

Headers = Sequence[tuple[str, str]]
End = Literal["done", "clean", "cut", "reset", "hang"]


@dataclass(slots=True)
class Seen:
    """One request, as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    number: int = 0  # counts from 1 over all connections

    def header(self, name: str) -> str | None:
        """The header's only value; None when it is absent or came more than once."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if len(values) == 1 else None

    def json(self) -> Any:
        return _json.loads(self.body)


class Wire:
    """The server's end of one connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.sent = 0
        self.over = False

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client does not read."""
        self._writer.write(data)
        await self._writer.drain()
        self.sent += len(data)

    def close(self) -> None:
        """FIN, after what was written."""
        self.over = True
        self._writer.close()

    def reset(self) -> None:
        """RST: what the client has not read yet is lost to it."""
        self.over = True
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


Send = Callable[[Seen, Wire], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent for one request. `early`: without reading the request's body."""

    send: Send
    early: bool = False


# ---- answers -------------------------------------------------------------------------------------------


def head(status: int, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def json(status: int = 200, body: Any = None, headers: Headers = ()) -> Answer:
    """A plain answer with its Content-Length. `body`: bytes as they are, or anything else as JSON."""
    data = body if isinstance(body, bytes) else dump(body)
    given = {name.lower() for name, _ in headers}
    own = [] if "content-type" in given else [("Content-Type", "application/json")]

    async def send(_: Seen, wire: Wire) -> None:
        await wire.send(head(status, [*own, ("Content-Length", str(len(data))), *headers]) + data)

    return Answer(send)


def chat(
    text: str = "Hello there.",
    *,
    prompt_tokens: int = 9,
    completion_tokens: int = 3,
    finish_reason: str = "stop",
    **more: Any,
) -> Answer:
    """A plain chat completion. `more` is added to its top level."""
    from tests.openai_like import chat_completion, usage_of

    return json(
        200, chat_completion(1, text, usage_of(prompt_tokens, completion_tokens), finish_reason) | more
    )


def sse(
    events: Iterable[bytes | str | dict[str, Any] | asyncio.Event],
    *,
    chunking: Literal["event", "whole"] | int = "event",
    end: End = "done",
    framing: Literal["chunked", "eof"] = "chunked",
    status: int = 200,
    headers: Headers = (),
) -> Answer:
    """A stream. Dicts and strings become `data:` events, bytes go out as they are, an Event is waited for.

    `chunking`: one write per event, everything at once, or so many bytes at a time. `end`: `done` sends
    `[DONE]` and ends well, `clean` ends well without it, `cut` closes before the last chunk, `reset` breaks
    the connection, `hang` says nothing more. `framing="eof"` has no chunks: the connection's end is the
    end.
    """
    parts = list(events)
    chunked = framing == "chunked"

    async def send(seen: Seen, wire: Wire) -> None:
        how = ("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")
        await wire.send(head(status, [("Content-Type", "text/event-stream"), how, *headers]))
        for piece in pieces([*parts, "[DONE]"] if end == "done" else parts, chunking):
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                await wire.send(chunk(piece) if chunked else piece)
        await finish(wire, end, chunked)

    return Answer(send)


def raw(*parts: bytes | asyncio.Event, end: Literal["keep", "close", "reset", "hang"] = "keep") -> Answer:
    """Exactly these bytes; an Event among them is waited for."""

    async def send(_: Seen, wire: Wire) -> None:
        for part in parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
            else:
                await wire.send(part)
        if end != "keep":
            await finish(wire, "cut" if end == "close" else end, False)

    return Answer(send)


def hold(event: asyncio.Event, then: Answer | None = None) -> Answer:
    """Say nothing until the event, then `then` (nothing said: as an OpenAI would)."""

    async def send(seen: Seen, wire: Wire) -> None:
        await event.wait()
        await (then or openai()).send(seen, wire)

    return Answer(send)


def early(answer: Answer) -> Answer:
    """The same answer, given before the request's body is read."""
    return replace(answer, early=True)


def openai() -> Answer:
    """What happens without a plan."""
    from tests.openai_like import answer

    async def send(seen: Seen, wire: Wire) -> None:
        await answer(seen).send(seen, wire)

    return Answer(send)


async def _close(_: Seen, wire: Wire) -> None:
    wire.close()


async def _reset(_: Seen, wire: Wire) -> None:
    wire.reset()


close_now = Answer(_close)  # FIN, without a byte of answer
reset = Answer(_reset)  # RST, without a byte of answer


async def finish(wire: Wire, end: End, chunked: bool) -> None:
    if end == "hang":
        await asyncio.Event().wait()
    elif end == "reset":
        wire.reset()
    elif end == "cut" or not chunked:
        wire.close()
    else:
        await wire.send(b"0\r\n\r\n")


def dump(value: Any) -> bytes:
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(value: bytes | str | dict[str, Any]) -> bytes:
    """One SSE event on the wire; bytes are taken to be one already."""
    if isinstance(value, bytes):
        return value
    name = b""
    if isinstance(value, dict) and str(value.get("type", "")).startswith("response."):
        name = b"event: " + value["type"].encode() + b"\n"
    return name + b"data: " + (value.encode() if isinstance(value, str) else dump(value)) + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def pieces(
    parts: Iterable[bytes | str | dict[str, Any] | asyncio.Event], chunking: Literal["event", "whole"] | int
) -> Iterator[bytes | asyncio.Event]:
    """The parts as bytes, cut as asked; an Event is a boundary."""
    pending = b""
    for part in parts:
        if isinstance(part, asyncio.Event):
            yield from cut(pending, chunking)
            pending = b""
            yield part
        elif chunking == "event":
            yield from cut(event(part), "whole")
        else:
            pending += event(part)
    yield from cut(pending, chunking)


def cut(data: bytes, chunking: Literal["event", "whole"] | int) -> Iterator[bytes]:
    size = chunking if isinstance(chunking, int) else max(1, len(data))
    for start in range(0, len(data), size):
        yield data[start : start + size]


# ---- the server ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Scripted:
    """An upstream on 127.0.0.1. `key`: refuse other credentials with 401, as OpenAI does."""

    key: str | None = None
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0  # accepted so far
    hangups: int = 0  # connections that the client ended while an answer was owed
    port: int = 0
    _plan: deque[Answer] = field(default_factory=deque)
    _open: set["_Connection"] = field(default_factory=set)
    _waiters: set[asyncio.Future[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuse new connections and break the open ones."""
        self._server.close()
        tasks = [connection.break_off() for connection in list(self._open)]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> int:
        return len(self.requests)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def sent(self) -> int:
        """Bytes of answer that the open connections' clients have taken, or the kernel for them."""
        return sum(connection.wire.sent for connection in self._open)

    def plan(self, *answers: Answer) -> None:
        """Answer so from now on, one each; the last one repeats. No answers: as an OpenAI would."""
        self._plan = deque(answers)

    async def received(self, count: int) -> None:
        """Wait until so many requests have arrived, bodies included."""
        await self.until(lambda: self.calls >= count)

    async def disconnected(self, count: int = 1) -> None:
        """Wait until so many clients have hung up on an answer that was still owed to them."""
        await self.until(lambda: self.hangups >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; looked at whenever a request or a connection comes or goes."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.discard(waiter)

    def changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def next_answer(self, seen: Seen) -> Answer:
        if self.key is not None and seen.header("authorization") != f"Bearer {self.key}":
            error = {"message": "Incorrect API key provided.", "type": "invalid_request_error", "param": None}
            return json(401, {"error": error | {"code": "invalid_api_key"}})
        if not self._plan:
            return openai()
        return self._plan.popleft() if len(self._plan) > 1 else self._plan[0]


class _Connection(asyncio.StreamReaderProtocol):
    wire: Wire

    def __init__(self, up: Scripted) -> None:
        self._up = up
        self._reader = asyncio.StreamReader(limit=2**20)
        self._owing = False
        super().__init__(self._reader, self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.wire = Wire(writer)
        self._up.connections += 1
        self._up._open.add(self)
        self._up.changed()
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def eof_received(self) -> bool:
        # No half-open connections: a client that sends FIN has gone, as it is for most servers.
        super().eof_received()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._owing and not self.wire.over:
            self._up.hangups += 1
        self._up._open.discard(self)
        self._up.changed()
        self._serving.cancel()

    def break_off(self) -> asyncio.Task[None]:
        self.wire.over = True
        self.wire._writer.transport.abort()
        self._serving.cancel()
        return self._serving

    async def _serve(self) -> None:
        try:
            while not self.wire.over:
                seen = await self._read_head()
                self._owing = True
                answer = self._up.next_answer(seen)
                if not answer.early:
                    seen.body = await self._read_body(seen)
                seen.number = len(self._up.requests) + 1
                self._up.requests.append(seen)
                self._up.changed()
                await answer.send(seen, self.wire)
                self._owing = False
                self._up.changed()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.wire.close()

    async def _read_head(self) -> Seen:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, path, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:])
        return Seen(method, path, [(name, value.strip()) for name, _, value in pairs])

    async def _read_body(self, seen: Seen) -> bytes:
        if seen.header("transfer-encoding") == "chunked":
            return b"".join([part async for part in self._chunks()])
        return await self._reader.readexactly(int(seen.header("content-length") or 0))

    async def _chunks(self) -> Any:
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
