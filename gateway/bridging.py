"""Old operations that are put to a model as chats, and the answers on their way back."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.errors import InvalidRequest, UpstreamProtocolError
from gateway.policy import bridge, bridge_edits, sse
from gateway.policy.bridge_answer import from_chat
from gateway.policy.bridge_stream import Bridge
from gateway.policy.endpoints import Endpoint, find
from gateway.policy.facts import Facts, read
from gateway.sources import Pairs, Source, Stored

OLD: Final = frozenset({"completions", "edits"})  # the operations that may be put to a model as a chat
CHAT: Final[Endpoint] = find("POST", "/v1/chat/completions")[0]

_Turn = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Bridged:
    """The chat completion that is asked instead of what the client asked.

    `endpoint`, `body` and `facts` are the chat's: limits, prices, the cache and the upstream know of nothing
    else. Only `facts.model` is still the name that the client used. `asked` is the client's operation, for
    metrics and the ledger. `offset` is where a completion's text begins, in characters; None for an edit.
    """

    asked: Endpoint
    endpoint: Endpoint
    body: bytes = field(repr=False)
    facts: Facts
    offset: int | None

    async def answered(self, source: Source) -> Source:
        """The chat's answer as the client's operation would give it, to be read instead of `source`.

        An error stays as it is. A plain answer is read whole, so that its length is known. Whatever is raised
        meanwhile, `source` is closed.
        """
        if source.status >= 400:
            return source
        if source.stream:
            return Turned(source, Bridge(offset=self.offset or 0).event)
        try:
            async with contextlib.aclosing(source.pieces()) as pieces:
                body = self._plain(b"".join([data async for data in pieces]))
            return Stored(source.status, source.headers, [body], len(body), source.failed)
        finally:
            source.close()

    def _plain(self, body: bytes) -> bytes:
        return bridge_edits.from_chat(body) if self.offset is None else from_chat(body, offset=self.offset)


def bridged(endpoint: Endpoint, body: bytes, facts: Facts, model: str | None) -> Bridged | None:
    """What to ask `model`, the one that is sent, instead of this; None: this very question.

    A completion is bridged for OpenAI's models that only chat. An edit always is: no server is left that
    takes one. `facts` are those of this very body. Raises InvalidRequest, `cannot_bridge` or `missing_model`.
    """
    if endpoint.name not in OLD:
        return None
    if model is None:
        raise InvalidRequest("You must provide 'model'.", code="missing_model", param="model")
    if endpoint.name == "completions" and bridge.speaks_only_chat(model):
        chat, offset = bridge.to_chat(body, facts, model), bridge.prompt_length(body, facts)
    elif endpoint.name == "edits":
        chat, offset = bridge_edits.to_chat(body, facts, model), None
    else:
        return None
    return Bridged(endpoint, CHAT, chat, replace(read(CHAT, chat), model=facts.model), offset)


@dataclass(frozen=True, slots=True)
class Turned:
    """A stream whose events are turned one by one as they pass."""

    source: Source
    turn: _Turn = field(repr=False)
    body: None = None
    length: None = None
    stream: bool = True

    @property
    def status(self) -> int:
        return self.source.status

    @property
    def headers(self) -> Pairs:
        return self.source.headers

    @property
    def failed(self) -> bool:
        return self.source.failed

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Raises what the source does, and UpstreamProtocolError for an event too large to be turned."""
        return _turned(self.source.pieces(), self.turn)

    def close(self) -> None:
        self.source.close()


async def _turned(pieces: AsyncGenerator[bytes, None], turn: _Turn) -> AsyncGenerator[bytes, None]:
    splitter = sse.Splitter()
    async with contextlib.aclosing(pieces):
        async for data in pieces:
            events = splitter.feed(data)
            if splitter.overflowed:
                raise UpstreamProtocolError("An event of the upstream's stream is too large to be turned.")
            if events:
                yield b"".join(map(turn, events))
    # The last event may lack its blank line.
    if rest := splitter.rest():
        yield turn(rest)
