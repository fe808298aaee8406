"""An answer on its way in from an upstream: read once, metered as it passes, kept if it may be kept."""

from collections.abc import AsyncGenerator, Callable, Iterable

from gateway.answer import Piece, finish
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.exchange import Reply, Taker
from gateway.policy.endpoints import Endpoint
from gateway.policy.entry import Entry, events_of, worth_keeping_stream
from gateway.policy.headers import to_client
from gateway.policy.records import Usage
from gateway.policy.sse import Splitter
from gateway.policy.usage import Meter, estimate_of, output_texts
from gateway.policy.whole import read_whole


class Extra(bytes):
    """The usage event of a stream, which is shown only to those who asked for it."""


class Incoming:
    """What an upstream answers. It is read once; afterwards, or when it broke off, the rest is known.

    `keep` is called with a complete answer, before its last piece is handed on: who sees the end of an answer
    and asks again finds it in the cache. `watch` is told each event of a stream, before it is handed on.
    `taker`, if there is one, may take what arrives while `next` waits: with `take`.
    `headers` are those of the upstream's that a client may see. `complete`: the end has been seen, and it was
    a proper one. `chunks` is what has come so far, whole runs of events; None: too large to keep.
    """

    __slots__ = (
        *("_body", "_closed", "_kept_bytes", "_meter", "_over", "_splitter", "_usage", "_worth"),
        *("chunks", "complete", "endpoint", "headers", "keep", "max_answer", "max_entry"),
        *("reply", "status", "stream", "taker", "watch"),
    )

    def __init__(
        self,
        endpoint: Endpoint,
        reply: Reply,
        max_answer: int,
        max_entry: int,
        keep: Callable[["Incoming"], None] | None = None,
        watch: Callable[[bytes], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.reply = reply
        self.status = reply.status
        self.max_answer = max_answer
        self.max_entry = max_entry
        self.keep = keep
        self.watch = watch
        self.headers = to_client(reply.headers)
        self.taker: Taker | None = None
        self.stream = False
        self.complete = False
        self.chunks: list[bytes] | None = None if keep is None else []
        self._kept_bytes = 0
        self._meter: Meter | None = None
        self._splitter: Splitter | None = None
        self._over = False  # there is no more of it
        self._closed = False
        self._body = b""
        self._usage: Usage | None = None
        self._worth = False  # a plain answer that a cache may keep

    @property
    def body(self) -> bytes | None:
        """The whole of it, where it is no stream: `begin` has read it."""
        return None if self.stream else self._body

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
        return self.status >= 400 if self._meter is None else self._meter.failed

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
            chunks=events_of(self.chunks) if self.stream else list(self.chunks),
            usage=self.usage,
            created=now,
            model=model,
            upstream=self.reply.upstream,
        )

    def _worth_keeping(self) -> bool:
        if self._meter is not None:
            return worth_keeping_stream(self.endpoint.name, self._meter)
        return self._worth

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
            self._splitter = Splitter()
            return
        self._body = await self._read_whole()
        if self.status < 400:
            self._judge(content_type)
        self.complete = True
        if self.chunks is not None:
            self._record([self._body])
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

    def _judge(self, content_type: str) -> None:
        if "json" not in content_type:
            raise UpstreamProtocolError("The upstream's answer is not JSON.")
        whole = read_whole(self.endpoint.name, self.status, content_type, self._body)
        if whole is None:
            raise UpstreamProtocolError("The upstream's answer is not valid JSON.")
        self._usage, self._worth = whole.usage, whole.worth

    async def next(self) -> list[bytes] | None:
        """What of a stream has come since: runs of whole events, `Extra` among them. None: that was all.

        Whoever is cancelled in here has lost nothing: it is read on by calling this again. Raises
        UpstreamProtocolError when the stream ends before its end: nobody may take it for a whole one. What
        breaks after its end has broken nothing.
        """
        assert self._splitter is not None
        body, hand_on = self.reply.body, self.reply.hand_on
        if hand_on is not None:
            hand_on(self.taker)
        while not self._over:
            try:
                data = await body.__anext__()
            except StopAsyncIteration:
                return self._ends()
            except GatewayError:
                if not self.complete:
                    raise
                return self._ends()
            if pieces := self._read(self._splitter.feed(data)):
                return pieces
        return None

    def take(self, data: bytes) -> list[bytes]:
        """What these bytes, which nobody else is given, bring: as `next`."""
        assert self._splitter is not None
        return self._read(self._splitter.feed(data))

    def _ends(self) -> list[bytes] | None:
        assert self._splitter is not None
        assert self._meter is not None
        self._over = True
        # What follows the last blank line is an event only if it ends the stream; half of one helps nobody.
        rest, kept = self._splitter.rest(), len(self.chunks or ())
        last = self._read([rest]) if rest else None
        if not self.complete and not self._meter.finished and not self._meter.failed:
            if self.chunks is not None:
                del self.chunks[kept:]
            raise UpstreamProtocolError("The upstream's stream ended before its end.")
        self.complete = True
        return last

    def _read(self, events: Iterable[bytes]) -> list[bytes]:
        """Meter what has arrived, all of it before any is handed on: whoever leaves now has still caused it.

        The answer is offered to the cache once its end has been seen.
        """
        meter, watch = self._meter, self.watch
        assert meter is not None
        pieces: list[bytes] = []
        run: list[bytes] = []
        for event in events:
            shown = meter.event(event) is not None
            if watch is not None:
                watch(event)
            if shown:
                run.append(event)
                continue
            if run:
                pieces.append(run[0] if len(run) == 1 else b"".join(run))
                run = []
            pieces.append(Extra(event))
        if run:
            pieces.append(run[0] if len(run) == 1 else b"".join(run))
        if self.chunks is not None:
            self._record(pieces)
        if meter.end and not self.complete:
            self.complete = True
            self._offer()
        return pieces

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The answer's bytes, as they came; a stream by whole events. Raises what `next` does."""
        if not self.stream:
            yield Piece(self._body)
            return
        while (pieces := await self.next()) is not None:
            for data in pieces:
                yield Piece(data, extra=type(data) is Extra)

    def _offer(self) -> None:
        if self.keep is not None and self.chunks is not None:
            self.keep(self)

    def _record(self, pieces: list[bytes]) -> None:
        assert self.chunks is not None
        for piece in pieces:
            self._kept_bytes += len(piece)
        if self._kept_bytes > self.max_entry:
            self.chunks = None
        else:
            self.chunks += pieces

    async def finish(self, wait: float) -> None:
        self.taker = None
        await finish(self, wait)

    def close(self) -> None:
        """Let go of the upstream connection: back to the pool if it was read to its end, else cut."""
        self._closed = True
        self.taker = None
        self.reply.close()
