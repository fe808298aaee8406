"""A completion of several prompts for a model that only chats: served prompt by prompt, answered as one.

Each prompt is an exchange of its own, with its own limits, row and place in the cache. They follow one
another, so that a limit of one request at a time is kept, and the first that fails ends it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from gateway.exchange import ClientGone, Downstream, Exchange, Headers
from gateway.policy.bridge import speaks_only_chat
from gateway.policy.bridge_prompts import Chunks, apart, choices_each, together
from gateway.policy.endpoints import find
from gateway.policy.facts import Facts
from gateway.policy.money import NANO, dollars
from gateway.policy.sse import Splitter

COMPLETIONS = find("POST", "/v1/completions")[0]

_COST = "x-gateway-cost"
_CACHE = "x-gateway-cache"


def first_of(exchange: Exchange, facts: Facts, model: str) -> bytes | None:
    """The body with the first of several prompts, to be served first; None: the exchange has not several.

    The exchange's `downstream` is replaced by one that makes a single answer of all. `facts` are those of its
    body, `model` the one that is sent. Only for models that are bridged: those that complete take all prompts
    at once. Raises InvalidRequest, `cannot_bridge`.
    """
    if exchange.endpoint.name != "completions" or not speaks_only_chat(model):
        return None
    bodies = apart(exchange.body, facts)
    if not bodies:
        return None
    exchange.downstream = Joined(exchange.downstream, exchange.id, bodies, choices_each(facts, len(bodies)))
    return bodies[0]


def following(exchange: Exchange, started: float, arrived: int) -> Exchange | None:
    """The exchange for the next prompt, once one has ended; None: that was the last, or nobody waits."""
    joined = exchange.downstream
    if not isinstance(joined, Joined) or joined.over or joined.asked == joined.number:
        return None
    joined.asked = joined.number
    body = joined.bodies[joined.number]

    async def read_body() -> bytes:
        return body

    return Exchange(
        id=f"{joined.id}.{joined.number}",
        endpoint=COMPLETIONS,
        path_args=exchange.path_args,
        headers=exchange.headers,
        header_values=exchange.header_values,
        peer=exchange.peer,
        read_body=read_body,
        downstream=joined,
        started=started,
        arrived=arrived,
        query=exchange.query,
    )


@dataclass(slots=True)
class _Head:
    status: int
    headers: Headers


@dataclass(eq=False, slots=True)
class Joined:
    """The client's end of the answers to `bodies`, `each` with so many choices: an `exchange.Downstream`.

    `id` is the request's, `asked` the number of the prompt that was served last, `number` that of the answer
    that is coming. `over`: the client has its answer, or none can be given any more.
    """

    client: Downstream
    id: str
    bodies: list[bytes] = field(repr=False)
    each: int
    asked: int = 0
    number: int = 0
    over: bool = False
    # What that answer is; an error is passed on as it is, or told in the stream that has begun.
    _mode: Literal["plain", "stream", "passed", "told"] = "plain"
    _begun: bool = False
    _heads: list[_Head] = field(default_factory=list)
    _body: bytearray = field(default_factory=bytearray, repr=False)
    _answers: list[bytes] = field(default_factory=list, repr=False)
    _splitter: Splitter = field(default_factory=Splitter)
    _chunks: Chunks = field(init=False)

    def __post_init__(self) -> None:
        self._chunks = Chunks(len(self.bodies), self.each)

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        """As `Downstream.start`, once for each answer."""
        self._heads.append(_Head(status, headers))
        if status >= 400:
            self._mode = "told" if self._begun else "passed"
            if not self._begun:
                await self._begin(status, headers, length)
        elif length is None:
            self._mode = "stream"
            if not self._begun:
                await self._begin(status, headers, None)
        else:
            self._mode = "plain"

    async def write(self, data: bytes) -> None:
        if self._mode == "passed":
            await self._send(data)
        elif self._mode == "stream":
            await self._send(self._turned(self._splitter.feed(data)))
        else:
            self._body += data

    async def finish(self) -> None:
        body, last = bytes(self._body), self.number == len(self.bodies) - 1
        self._body.clear()
        match self._mode:
            case "passed":
                await self._end()
            case "told":
                await self._send(b"".join(b"data: %b\n" % line for line in body.splitlines()) + b"\n")
                self.abort()
            case "plain":
                self._answers.append(body)
                if last:
                    await self._answer()
            case "stream":
                await self._finish_stream(last)
        self.number += 1

    def close_after(self) -> None:
        self.client.close_after()

    def abort(self) -> None:
        self.over = True
        self.client.abort()

    async def _finish_stream(self, last: bool) -> None:
        if rest := self._splitter.rest():  # its last event may lack the blank line
            await self._send(self._turned([rest]))
            self._splitter = Splitter()
        if last:
            await self._end()

    async def _answer(self) -> None:
        """All plain answers are there."""
        whole = together(self._answers, self.each)
        body = self._answers[-1] if whole is None else whole
        await self._begin(self._heads[-1].status, _joined([head.headers for head in self._heads]), len(body))
        await self._send(body)
        await self._end()

    def _turned(self, events: list[bytes]) -> bytes:
        return b"".join(out for event in events for out in self._chunks.events(event, self.number))

    async def _begin(self, status: int, headers: Headers, length: int | None) -> None:
        self._begun = True
        with self._noticed():
            await self.client.start(status, headers, length)

    async def _send(self, data: bytes) -> None:
        with self._noticed():
            await self.client.write(data)

    async def _end(self) -> None:
        self.over = True
        await self.client.finish()

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except ClientGone:
            self.over = True
            raise


def _joined(heads: list[Headers]) -> list[tuple[str, str]]:
    """The last answer's headers, but for what is true of all together: their cost, and what the cache did."""
    joined = dict(heads[-1])
    costs = [dict(head).get(_COST) for head in heads]
    known = [Decimal(cost) for cost in costs if cost is not None]
    joined.pop(_COST, None)
    if len(known) == len(heads):
        joined[_COST] = dollars(int(sum(known) * NANO))
    if len({dict(head).get(_CACHE) for head in heads}) > 1:
        joined[_CACHE] = "miss"
    return list(joined.items())
