"""A row of the ledger: who used what, when, and what it cost. One for each request of a known client.

A row is written once and never changed. What turns out later (an answer that ended after its lease had been
charged for) is a row of its own, a correction, which holds the difference.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from gateway.policy.records import Record, Usage

Settled = Literal["usage", "estimate", "lease", "none"]


class Row(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`time` and `duration` are in ms, `cost` and `saved` in nano-dollars.

    `id` is the request's; with `correction` it is unique. `model` is what was asked for, `sent` what the
    upstream was asked for. `cost` None: nobody knows the price. `saved` is what a cached answer would have
    cost. `settled` says where the tokens come from: from the upstream's usage, the gateway's own count, or
    the worst case at the end of a lease; `none`: no upstream was asked, or there was nothing to count.
    `shadow` are the limits in shadow mode that would have refused the request; `bounded`: its output had a
    bound. In a correction, numbers are differences, and may be negative.
    """

    id: str
    time: int
    key: str
    endpoint: str
    team: str | None = None
    model: str | None = None
    sent: str | None = None
    upstream: str | None = None
    status: int = 0
    error: str | None = None
    cache: str = "bypass"
    settled: Settled = "none"
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    input_audio: int = 0
    input_image: int = 0
    output_audio: int = 0
    output_image: int = 0
    cost: int | None = 0
    saved: int = 0
    duration: int = 0
    first_token: int | None = None
    tags: dict[str, str] = {}
    shadow: list[str] = []
    bounded: bool = False
    correction: bool = False


# What is added up for each day, key, team and model, and for each day and tag.
SUMS: Final = (
    *("requests", "input", "output", "cached", "reasoning", "cost", "saved", "hits", "errors", "unpriced"),
)
SEPARATOR: Final = "\t"
_COST: Final = SUMS.index("cost")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


def encode(row: Row) -> bytes:
    return _encode(row)


def decode(row: bytes) -> Row:
    """Raises msgspec.DecodeError for what is no row."""
    return _decode(row)


def sums_of(row: Row) -> tuple[int, ...]:
    """What a row adds to its sums, in the order of `SUMS`."""
    counted = 0 if row.correction else 1
    return (
        *(counted, row.input, row.output, row.cached, row.reasoning, row.cost or 0, row.saved),
        *(counted * (row.cache in ("hit", "joined")), counted * (row.status >= 400)),
        counted * (row.cost is None),
    )


def who_of(key: str, team: str | None, model: str | None) -> str:
    return SEPARATOR.join((key, team or "", model or ""))


def who_was(who: str) -> tuple[str, str, str]:
    """Key, team and model of a sum; "" for none. A model's name is the client's: it may hold anything."""
    key, team, model = who.split(SEPARATOR, 2)
    return key, team, model


def record_of(row: Row, day: str, model: str | None, lease: tuple[Row, str | None] | None = None) -> Record:
    """What the store is told of `row`. `model` is the name it is added up under, of a bounded set.

    `lease` is the row that the store was given when the request was dispatched, and the name that one is
    added up under.
    """
    who = who_of(row.key, row.team, model)
    tags = tuple([f"{name}={value}" for name, value in row.tags.items()]) if row.tags else ()
    if lease is None:
        return Record(_encode(row), row.key, day, who, sums_of(row), tags)
    leased, leased_as = lease
    late = _difference(row, leased)
    late_who = who if leased_as == model else who_of(row.key, row.team, leased_as)
    return Record(_encode(row), row.key, day, who, sums_of(row), tags, _encode(late), sums_of(late), late_who)


def leased_cost(record: Record) -> int:
    """What the lease of a request cost, in nano-dollars, where `record` is that of its late end."""
    return record.sums[_COST] - record.late_sums[_COST] if record.late_sums else 0


def detailed(row: Row, usage: Usage) -> Row:
    """The row, with the tokens of `usage` that are parts of its input and output."""
    if not any(_details(usage)):
        return row
    return replace(row, **dict(zip(_DETAILS, _details(usage), strict=True)))


def _difference(row: Row, lease: Row) -> Row:
    return replace(
        row,
        input=row.input - lease.input,
        output=row.output - lease.output,
        cached=row.cached - lease.cached,
        reasoning=row.reasoning - lease.reasoning,
        cache_write=row.cache_write - lease.cache_write,
        input_audio=row.input_audio - lease.input_audio,
        input_image=row.input_image - lease.input_image,
        output_audio=row.output_audio - lease.output_audio,
        output_image=row.output_image - lease.output_image,
        cost=None if row.cost is None else row.cost - (lease.cost or 0),
        correction=True,
    )


_DETAILS: Final = (
    *("cached", "reasoning", "cache_write"),
    *("input_audio", "input_image", "output_audio", "output_image"),
)
_details: Callable[[Usage], tuple[int, ...]] = attrgetter(*_DETAILS)
