"""The record of one request. Each field has one writer; the defaults are the worst case.

An exception anywhere needs no bookkeeping: what nobody filled in says "abandoned", "nothing known".
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from gateway.errors import GatewayError
from gateway.policy import frozen
from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.ledger import Row
from gateway.policy.records import Claim, Client, Standing, Usage

if TYPE_CHECKING:
    from gateway.answer import Answer
    from gateway.bridging import Bridged
    from gateway.entering import Entering
    from gateway.flights import Flight
    from gateway.incoming import Incoming
    from gateway.uploads import FormUpload

Headers = Sequence[tuple[str, str]]
# Takes bytes, or says that it cannot now, and has taken none of them.
Taker = Callable[[bytes], bool]


class Outcome(StrEnum):
    """How it ended, for the log line and the metrics."""

    ABANDONED = "abandoned"  # nobody said anything better
    COMPLETE = "complete"
    REFUSED = "refused"  # by the gateway, before an upstream was asked
    UPSTREAM_ERROR = "upstream_error"  # the upstream's own error status or error event, passed on
    UPSTREAM_FAILED = "upstream_failed"  # unreachable, timed out, or no answer at all
    TRUNCATED = "truncated"  # the upstream's stream ended before its end
    CLIENT_GONE = "client_gone"
    CLIENT_STALLED = "client_stalled"


class Downstream(Protocol):
    """The client's end of the connection, as `deliver` sees it. Implemented by `web`."""

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        """Send the head. `length` None: a stream, of unknown length."""
        ...

    async def write(self, data: bytes) -> None:
        """Send, and wait while the client reads slower than we write.

        Raises `ClientGone` when the client has left, `ClientStalled` when it took nothing for
        `server.write_timeout`.
        """
        ...

    async def finish(self) -> None: ...

    def close_after(self) -> None:
        """The connection ends with this answer. Called before `start`."""
        ...

    def abort(self) -> None:
        """Cut the connection so that it looks cut: no final chunk."""
        ...


class ClientGone(Exception):
    """The client hung up. Nobody is left to be told."""

    outcome = Outcome.CLIENT_GONE


class ClientStalled(ClientGone):
    """The client stopped reading for too long."""

    outcome = Outcome.CLIENT_STALLED


class Upload(Protocol):
    """A request's body that is passed on as it arrives. Read once, by one reader.

    `length` is in bytes; None: nobody knows, and it is sent in chunks. Reading raises what
    `Exchange.read_body` does.
    """

    @property
    def length(self) -> int | None: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


@frozen.dataclass(frozen=True, slots=True)
class Outbound:
    """What goes to an upstream. `path` is below its base_url (`/chat/completions`), `query` has no `?`."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | Upload = field(repr=False)
    query: str = ""


@dataclass(slots=True)
class Reply:
    """An answer whose head is known. `body` is read once, and `close` is always called.

    `headers` are the upstream's own, unfiltered. `body` raises `errors.UpstreamProtocolError` (cut off) or
    `errors.UpstreamTimeout` (silent for too long). `hand_on` says who takes what arrives while `body` is
    waited for; where there is none, and what he does not take, waits for whoever reads `body`.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    close: Callable[[], None]
    upstream: str
    hand_on: Callable[[Taker | None], None] | None = None


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and all that became of it. Its repr never shows a body or a key."""

    # set by web, when the head has arrived
    id: str
    endpoint: Endpoint  # address: what is asked instead, of what is bridged
    path_args: Mapping[str, str]
    headers: Mapping[str, str]
    header_values: Callable[[str], Sequence[str]]
    peer: str
    read_body: Callable[[], Awaitable[bytes]]
    downstream: Downstream
    started: float  # monotonic seconds
    arrived: int  # store time, ms
    stream_body: Callable[[], Upload] | None = None  # the body as it arrives, instead of `read_body`
    query: str = ""  # as it came on the wire: percent-encoded, without the question mark

    client: Client | None = None  # authenticate
    body: bytes = b""  # receive: as the client sent it; address: bridged, or bounded (`cap_output`)
    facts: Facts | None = None  # receive, address: those of `body`
    upload: "FormUpload | None" = None  # receive: the body, where it is passed on as it arrives
    tags: Mapping[str, str] = field(default_factory=dict)  # receive: what the request is for
    sent_model: str | None = None  # address: what the upstream is asked for, after aliases
    bridged: "Bridged | None" = None  # address: the chat that is asked instead, as `endpoint` says then
    outbound: Outbound | None = None  # address

    hold: str = ""  # admit: named before anything is reserved
    held: bool = False  # admit, reserve: something may have been reserved under that name
    dispatched: bool = False  # forward: the upstream may have been paid
    standings: tuple[Standing, ...] = ()  # admit, reserve
    claims: tuple[Claim, ...] = ()  # admit, reserve: what the hold is made of
    claimed: int = 0  # admit: when, ms
    shared: bool = False  # admit, reserve: by this process's share, because the store was away
    shadowed: tuple[str, ...] = ()  # admit, reserve: limits in shadow mode that would have refused
    worst_output: int = 0  # reserve: the most tokens that can be generated
    worst: int | None = None  # reserve: the most that it can cost, nano-dollars; None: nobody knows
    lease_row: Row | None = None  # forward: what the ledger gets if nobody settles

    cache_key: bytes | None = None  # lookup: None when this question is not to be cached
    cache: str = "bypass"  # lookup: hit, miss, joined or bypass
    pending: Awaitable[bytes | None] | None = None  # lookup.ask: the store's answer, under way
    entering: "Entering | None" = None  # lookup.ask: what the store is asked for in one round trip
    kept: bytes | None = None  # admit: the answer that the store keeps, where it was asked at once
    entered: bool = False  # admit: reserve and dispatch are done, unless an answer was kept
    upstream: str | None = None  # forward
    usage: Usage | None = None  # lookup, settle
    incoming: "Answer | None" = None  # forward: the answer, where this exchange asked for it
    joined: "Incoming | None" = None  # lookup: the answer to another's call that this one reads along
    cost: int | None = None  # deliver, settle: nano-dollars; None: not known yet, or never
    priced: bool = True  # settle: whether the price of what was used is known
    saved: int = 0  # lookup, settle: what a cached answer would have cost
    flight: "Flight | None" = None  # lookup.ask, lookup: the shared call that this exchange leads
    input_tokens: int | None = None  # reserve: estimated

    begun: bool = False  # deliver: the head has been sent
    streaming: bool = False  # deliver: what has begun is a stream, and may be told of an error in it
    status: int = 499  # deliver, refuse: what the client was told; 499 when it was told nothing
    bytes_out: int = 0  # deliver
    first_byte: float | None = None  # deliver: monotonic seconds
    finished: float | None = None  # serve
    upstream_seconds: float = 0.0  # forward, deliver: waiting for the upstream until its first byte
    outcome: Outcome = Outcome.ABANDONED
    error: GatewayError | None = None  # refuse

    @property
    def operation(self) -> str:
        """What the client asked for, by name: `endpoint` may be what is asked instead."""
        return self.endpoint.name if self.bridged is None else self.bridged.asked.name

    @property
    def models(self) -> tuple[str, ...]:
        """The model asked for and the one that is sent: a limit on either holds."""
        asked = self.facts.model if self.facts is not None else self.path_args.get("model")
        sent = self.sent_model
        if asked is None or sent is None or asked == sent:
            only = sent if asked is None else asked
            return () if only is None else (only,)
        return asked, sent

    def __repr__(self) -> str:
        who = self.client.id if self.client else "-"
        return f"<Exchange {self.id} {self.endpoint.name} {who} {self.status} {self.outcome}>"
