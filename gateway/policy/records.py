"""What the gateway knows: clients, limits, claims and where they stand.

Times are integer milliseconds since the epoch, money is integer nano-dollars.
"""

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from gateway.policy import frozen


class Unit(enum.StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    DOLLARS = "dollars"  # counted in nano-dollars
    SLOTS = "concurrent"


class Kind(enum.StrEnum):
    """How a limit forgets: by leaking, by the calendar, or by the end of the request."""

    RATE = "rate"
    BUDGET = "budget"
    CONCURRENCY = "concurrency"


class Window(enum.StrEnum):
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


RATE_PERIOD_MS = {Window.SECOND: 1_000, Window.MINUTE: 60_000, Window.HOUR: 3_600_000}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one owner, as parsed by `policy.quota.parse_limit`.

    `scope` names the owner: `key:<public id>`, `team:<name>` or `gateway`. `text` is the limit as
    written, the name that refusals and metrics use. `window` is None for concurrency. Requests that bound
    their output nowhere are sent with the bound `cap_output`, or, if `learned`, are expected to need what
    such requests needed before.
    """

    text: str
    unit: Unit
    amount: int
    window: Window | None
    scope: str = ""
    models: tuple[str, ...] = ()
    shadow: bool = False
    cap_output: int | None = None
    learned: bool = False

    def __hash__(self) -> int:
        return hash(self.text)  # its hash is remembered, and limits are looked up for each request

    @property
    def kind(self) -> Kind:
        if self.window is None:
            return Kind.CONCURRENCY
        if self.unit is not Unit.DOLLARS and self.window in RATE_PERIOD_MS:
            return Kind.RATE
        return Kind.BUDGET

    @property
    def id(self) -> str:
        """Where its counters live. The amount is no part of it: a raised limit keeps what was used.

        Hashed, so that no name can steer a cluster slot or break a key.
        """
        mode = "shadow" if self.shadow else ""
        identity = "\0".join((self.scope, self.unit, self.window or "", mode, *sorted(self.models)))
        return hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()


@frozen.dataclass(frozen=True, slots=True)
class Claim:
    """What one request asks of one limit, in the limit's unit.

    `held` claims are set aside now and charged as spent when the request is settled (tokens, money).
    The others are charged at once (requests); concurrency is a slot until the request ends.
    """

    limit: Limit
    amount: int
    held: bool


@frozen.dataclass(frozen=True, slots=True)
class Standing:
    """Where one limit stands.

    `used` is what counts against the limit now, open holds included; `retry_ms` is how long until the
    claim that was asked would fit (0: it fits; -1: never); `reset_ms` is how long until the limit is
    back to full, as `x-ratelimit-reset-*` reports it. `held` is the part of `used` that open holds have set
    aside, `asked` the amount of that claim.
    """

    limit: Limit
    used: int
    retry_ms: int
    reset_ms: int
    held: int = field(default=0, compare=False)
    asked: int = field(default=0, compare=False)

    @property
    def remaining(self) -> int:
        return max(0, self.limit.amount - self.used)

    @property
    def fits(self) -> bool:
        return self.retry_ms == 0


@frozen.dataclass(frozen=True, slots=True)
class Verdict:
    """The store's answer to a reservation: all of its claims, or none."""

    admitted: bool
    standings: tuple[Standing, ...] = ()


@frozen.dataclass(frozen=True, slots=True)
class Usage:
    """What one answer used, as far as anybody bills it.

    `input` includes what was read from the upstream's cache or written to it, audio and images; `output`
    includes reasoning, audio and images. `tier` is the service tier that the upstream says it used.
    `estimated`: counted by the gateway, because the upstream never said.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_write: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_audio: int = 0
    output_image: int = 0
    web_searches: int = 0
    file_searches: int = 0
    code_sessions: int = 0
    tier: str = ""
    image_calls: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


@frozen.dataclass(frozen=True, slots=True)
class Record:
    """What the ledger is told of one request. Made by `policy.ledger.record_of`.

    `row` is the row as JSON. `late` is the difference to the row of its lease, for a request that is settled
    after its lease had run out and was charged for; empty in a record that is itself that of a lease.
    `day` (2026-11-22) and `who` (key, team and model) say which sum it is part of, `late_who` which one its
    lease's row was part of (empty: the same); `sums` and `late_sums` are what it adds there, in the order of
    `policy.ledger.SUMS`. `tags` are `name=value`.
    """

    row: bytes = field(repr=False)
    key: str
    day: str
    who: str
    sums: tuple[int, ...]
    tags: tuple[str, ...] = ()
    late: bytes = field(default=b"", repr=False)
    late_sums: tuple[int, ...] = ()
    late_who: str = ""


CacheScope = Literal["private", "team", "all"]


class KeyRecord(msgspec.Struct, omit_defaults=True):
    """A client key as the store keeps it: never the secret, only its SHA-256."""

    id: str
    name: str
    digest: str
    team: str | None = None
    limits: list[str | dict[str, Any]] = []
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None
    addresses: list[str] = []
    expires: int | None = None
    cache_scope: CacheScope | None = None
    tags: dict[str, str] = {}
    created: int = 0
    declared: bool = False
    ownership: Literal["on", "off"] | None = None


class TeamRecord(msgspec.Struct, omit_defaults=True):
    name: str
    limits: list[str | dict[str, Any]] = []
    models: list[str] = msgspec.field(default_factory=lambda: ["*"])
    endpoints: list[str] | None = None
    created: int = 0
    declared: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """Who is asking, resolved from key, team and gateway: what `authenticate` finds in the local table.

    One that changes is replaced, so that what was worked out for a client may be remembered with it: each is
    equal to itself alone.
    """

    id: str
    name: str
    digest: bytes = field(repr=False)
    team: str | None = None
    limits: tuple[Limit, ...] = ()
    models: tuple[tuple[str, ...], ...] = (("*",),)  # one tuple of patterns per owner; each must allow
    endpoints: frozenset[str] = frozenset({"inference"})
    addresses: tuple[str, ...] = ()
    expires: int | None = None
    cache_scope: CacheScope = "team"
    tags: Mapping[str, str] = field(default_factory=dict)
    ownership: bool = True  # sees only what it made itself, or its team

    @property
    def shard(self) -> str:
        """Whose counters stand together in the store: the team's, or a lone key's own."""
        return self.team or self.id
