"""An answer on its way in from an upstream: read once, metered as it passes, kept if it may be kept."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from gateway.answer import Piece, finish
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.exchange import Reply
from gateway.policy.endpoints import Endpoint
from gateway.policy.entry import Entry, worth_keeping_plain, worth_keeping_stream
from gateway.policy.headers import to_client
from gateway.policy.records import Usage
from gateway.policy.sse import Splitter
from gateway.policy.usage import Meter, estimate_of, output_texts, usage_of

_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


@dataclass(slots=True, eq=False)
class Incoming:
    """What an upstream answers. `pieces` is read once; afterwards, or when it broke off, the rest is known.

    `keep` is called with a complete answer, before its last piece is handed on: who sees the end of an answer
    and asks again finds it in the cache.
    """

    endpoint: Endpoint
    reply: Reply
    max_answer: int
    max_entry: int
    keep: Callable[["Incoming"], None] | None = None
    watch: Callable[[bytes], None] | None = None  # told each event of a stream, before it is handed on

    headers: list[tuple[str, str]] = field(init=False)  # of the upstream's, those that a client may see
    stream: bool = False
    complete: bool = False  # the end has been seen, and it was a proper one
    chunks: list[bytes] | None = field(default_factory=list)  # None: too large to keep
    _kept_bytes: int = 0
    _meter: Meter | None = None
    _splitter: Splitter = field(default_factory=Splitter)
    _closed: bool = False
    _body: bytes = b""
    _usage: Usage | None = None

    def __post_init__(self) -> None:
        self.headers = to_client(self.reply.headers)

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def length(self) -> int | None:
        return None if self.stream else len(self._body)

    @property
    def usage(self) -> Usage | None:
        """What the upstream has said so far."""
        return self._meter.usage if self._meter is not None else self._usage

    def estimate(self, input: int, output: int) -> Usage:
        """The usage where the upstream states none: these tokens, its tier and the billed calls so far."""
        if self._meter is not None:
            return self._meter.estimate(input, output)
        return estimate_of(self.endpoint.name, self._body, input, output)

    @property
    def owes_usage(self) -> bool:
        """The model is done, and what it used is still to come: reading on costs nothing but a moment."""
        meter = self._meter
        return (
            meter is not None
            and not (self._closed or self.complete or meter.failed)
            and meter.finished
            and meter.usage is None
        )

    @property
    def failed(self) -> bool:
        """An error status, or an error event so far."""
        return self._meter.failed if self._meter is not None else self.status >= 400

    @property
    def output_texts(self) -> list[str]:
        """What was generated so far, for counting where the upstream never said; of much, the beginning."""
        if self._meter is not None:
            return self._meter.texts
        return output_texts(self.endpoint.name, self._body) if self.status < 400 else []

    @property
    def output_bytes(self) -> int:
        """How long all that was generated so far is, in UTF-8."""
        if self._meter is not None:
            return self._meter.text_bytes
        return sum(len(text.encode(errors="replace")) for text in self.output_texts)

    def entry(self, model: str, now: int) -> Entry | None:
        """What the cache may keep of it (`now` in ms): nothing, unless it is complete and worth keeping."""
        if self.chunks is None or not self._worth_keeping():
            return None
        return Entry(
            mode="stream" if self.stream else "plain",
            status=self.status,
            headers=self.headers,
            chunks=list(self.chunks),
            usage=self.usage,
            created=now,
            model=model,
            upstream=self.reply.upstream,
        )

    def _worth_keeping(self) -> bool:
        if self._meter is not None:
            return worth_keeping_stream(self.endpoint.name, self._meter)
        content_type = self.reply.headers.get("content-type", "")
        return worth_keeping_plain(self.endpoint.name, self.status, content_type, self._body)

    async def begin(self, asked_for_stream: bool) -> None:
        """Decide by the head what this is, and read the whole of it unless it is a stream.

        Raises UpstreamProtocolError for a success that is no answer: no JSON, or a stream unasked for.
        """
        content_type = self.reply.headers.get("content-type", "").lower()
        if content_type.startswith("text/event-stream") and self.status < 400:
            if not asked_for_stream:
                raise UpstreamProtocolError("The upstream answered with a stream that was not asked for.")
            self.stream = True
            self._meter = Meter(self.endpoint.name, hide_usage=True)
            return
        self._body = await self._read_whole()
        if not self.failed:
            self._check_json(content_type)
            self._usage = usage_of(self.endpoint.name, self._body)
        self.complete = True
        self._record(self._body)
        self._offer()

    async def _read_whole(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for data in self.reply.body:
            size += len(data)
            if size > self.max_answer:
                raise UpstreamProtocolError("The upstream's answer is larger than this gateway accepts.")
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def whole(self, limit: int) -> bytes | None:
        """A plain answer, which `begin` has read. None: it is an error, or a stream."""
        return None if self.stream or self.failed else self._body

    def _check_json(self, content_type: str) -> None:
        if "json" not in content_type:
            raise UpstreamProtocolError("The upstream's answer is not JSON.")
        try:
            _SYNTAX.decode(self._body)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamProtocolError("The upstream's answer is not valid JSON.") from None

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer's bytes, as they came; a stream by whole events.

        Raises UpstreamProtocolError when a stream ends before its end: nobody may take it for a whole one.
        What breaks after its end has broken nothing.
        """
        if self._meter is None:
            yield Piece(self._body)
            return
        try:
            async for data in self.reply.body:
                for piece in self._read(self._meter, self._splitter.feed(data)):
                    yield piece
        except GatewayError:
            if not self.complete:
                raise
        # What follows the last blank line is an event only if it ends the stream; half of one helps nobody.
        rest = self._splitter.rest()
        last = self._read(self._meter, [rest] if rest else [])
        if not self.complete and not self._meter.finished and not self._meter.failed:
            raise UpstreamProtocolError("The upstream's stream ended before its end.")
        self.complete = True
        for piece in last:
            yield piece

    def _read(self, meter: Meter, events: Iterable[bytes]) -> list[Piece]:
        """Meter what has arrived, all of it before any is handed on: whoever leaves now has still caused it.

        The answer is offered to the cache once its end has been seen.
        """
        pieces: list[Piece] = []
        run: list[bytes] = []
        for event in events:
            extra = meter.event(event) is None
            if self.watch is not None:
                self.watch(event)
            self._record(event)
            if not extra:
                run.append(event)
                continue
            if run:
                pieces.append(Piece(b"".join(run)))
                run = []
            pieces.append(Piece(event, extra=True))
        if run:
            pieces.append(Piece(b"".join(run)))
        if meter.ended and not self.complete:
            self.complete = True
            self._offer()
        return pieces

    def _offer(self) -> None:
        if self.keep is not None and self.chunks is not None:
            self.keep(self)

    def _record(self, data: bytes) -> None:
        if self.chunks is None:
            return
        self._kept_bytes += len(data)
        if self.keep is None or self._kept_bytes > self.max_entry:
            self.chunks = None
        else:
            self.chunks.append(data)

    async def finish(self, wait: float) -> None:
        await finish(self, wait)

    def close(self) -> None:
        """Let go of the upstream connection: back to the pool if it was read to its end, else cut."""
        self._closed = True
        self.reply.close()
