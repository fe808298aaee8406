"""The one log line that every request leaves, and the times in it."""

from typing import Any

import msgspec

from gateway.exchange import Exchange
from gateway.policy.money import NANO


class AccessLine(msgspec.Struct, frozen=True, gc=False):
    """What the line says, in its order. As a struct it is made and encoded in half the time of a dict.

    `time` is ISO 8601, in UTC, with milliseconds.
    """

    time: str
    level: str
    logger: str
    request_id: str
    key: str | None
    team: str | None
    endpoint: str
    model: str
    upstream: str | None
    status: int
    outcome: str
    cache: str
    error: str | None
    stream: bool
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    estimated: bool | None
    cost_usd: float | None
    saved_usd: float
    shadow: list[str]
    duration_ms: float
    overhead_ms: float | None
    ttft_ms: float | None
    bytes_out: int


def access_line(exchange: Exchange, model: str, finished: float) -> dict[str, Any]:
    """What `line_of` says of an exchange, by name."""
    return members(line_of("", exchange, model, finished, overhead_seconds(exchange, finished)))


def members(line: AccessLine) -> dict[str, Any]:
    """All of a line that is the request's own: without the time, the level and the logger."""
    said = msgspec.structs.asdict(line)
    return {name: said[name] for name in AccessLine.__struct_fields__[3:]}


def line_of(time: str, exchange: Exchange, model: str, finished: float, overhead: float | None) -> AccessLine:
    """Ids and numbers of a finished exchange: never content, a key, a path, a query or a client's own words.

    `model` is the metrics' label, so that no invented name gets in. `finished` is in monotonic seconds,
    `overhead` that of `overhead_seconds`. `cost_usd` and `saved_usd` are numbers, to be added up; rounded to
    9 places each is exact.
    """
    client, facts, usage, error = exchange.client, exchange.facts, exchange.usage, exchange.error
    started, first_byte, cost = exchange.started, exchange.first_byte, exchange.cost
    if client is None:
        key = team = None
    else:
        key, team = client.id, client.team
    if usage is None:
        took = output = cached = reasoning = estimated = None
    else:
        took, output, cached, reasoning = usage.input, usage.output, usage.cached, usage.reasoning
        estimated = usage.estimated
    # To whole microseconds: `round` with a number of places takes five times as long.
    return AccessLine(
        time,
        "info",
        "gateway.access",
        exchange.id,
        key,
        team,
        exchange.operation,
        model,
        exchange.upstream,
        exchange.status,
        exchange.outcome._value_,  # `value` is a property, and takes ten times as long
        exchange.cache,
        None if error is None else error.code,
        False if facts is None else facts.stream,
        took,
        output,
        cached,
        reasoning,
        estimated,
        None if cost is None else cost / NANO,
        exchange.saved / NANO if exchange.saved else 0.0,
        list(exchange.shadowed),
        int((finished - started) * 1e6 + 0.5) / 1e3,
        None if overhead is None else int(overhead * 1e6 + 0.5) / 1e3,
        None if first_byte is None else int((first_byte - started) * 1e6 + 0.5) / 1e3,
        exchange.bytes_out,
    )


def overhead_seconds(exchange: Exchange, finished: float) -> float | None:
    """What the gateway added before the first byte. None if it joined another's call, and waited for that."""
    if exchange.cache == "joined":
        return None
    answered = exchange.first_byte if exchange.first_byte is not None else finished
    return max(0.0, answered - exchange.started - exchange.upstream_seconds)
