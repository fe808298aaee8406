"""The one log line that every request leaves, and the times in it."""

from gateway.exchange import Exchange
from gateway.policy.money import NANO

Value = str | int | float | bool | list[str] | None


def access_line(exchange: Exchange, model: str, finished: float) -> dict[str, Value]:
    """Ids and numbers of a finished exchange: never content, a key, a path, a query or a client's own words.

    `model` is the metrics' label, so that no invented name gets in. `finished` is in monotonic seconds.
    `cost_usd` and `saved_usd` are numbers, to be added up; rounded to 9 places each is exact.
    """
    client, facts, usage, error = exchange.client, exchange.facts, exchange.usage, exchange.error
    first_byte = None if exchange.first_byte is None else exchange.first_byte - exchange.started
    return {
        "request_id": exchange.id,
        "key": client.id if client else None,
        "team": client.team if client else None,
        "endpoint": exchange.operation,
        "model": model,
        "upstream": exchange.upstream,
        "status": exchange.status,
        "outcome": exchange.outcome.value,
        "cache": exchange.cache,
        "error": error.code if error else None,
        "stream": facts.stream if facts else False,
        "input_tokens": usage.input if usage else None,
        "output_tokens": usage.output if usage else None,
        "cached_tokens": usage.cached if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "estimated": usage.estimated if usage else None,
        "cost_usd": None if exchange.cost is None else exchange.cost / NANO,
        "saved_usd": exchange.saved / NANO,
        "shadow": list(exchange.shadowed),
        "duration_ms": _ms(finished - exchange.started),
        "overhead_ms": _ms(overhead_seconds(exchange, finished)),
        "ttft_ms": _ms(first_byte),
        "bytes_out": exchange.bytes_out,
    }


def overhead_seconds(exchange: Exchange, finished: float) -> float | None:
    """What the gateway added before the first byte. None if it joined another's call, and waited for that."""
    if exchange.cache == "joined":
        return None
    answered = exchange.first_byte if exchange.first_byte is not None else finished
    return max(0.0, answered - exchange.started - exchange.upstream_seconds)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
