"""How keys, teams, limits and sums look in JSON, to their owners and to the admin."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.policy.ledger import SUMS
from gateway.policy.money import dollars
from gateway.policy.records import KeyRecord, Kind, Standing, TeamRecord, Unit

# What `sums_view` shows: the columns of a report.
USED: Final = (
    *("requests", "tokens", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
    *("cost", "cost_nano", "saved", "saved_nano", "hits", "errors", "unpriced"),
)


def instant(ms: int | None) -> str | None:
    """ISO 8601 in UTC: `2026-11-22T15:30:00.250Z`."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_view(key: KeyRecord) -> dict[str, Any]:
    """A key as lists show it. There is nothing secret in it, the digest included."""
    return {
        "id": key.id,
        "name": key.name,
        "team": key.team,
        "limits": key.limits,
        "models": key.models,
        "endpoints": key.endpoints,
        "addresses": key.addresses,
        "expires": instant(key.expires),
        "cache_scope": key.cache_scope,
        "tags": key.tags,
        "ownership": key.ownership,
        "created": instant(key.created or None),
        "declared": key.declared,
    }


def team_view(team: TeamRecord) -> dict[str, Any]:
    return {
        "name": team.name,
        "limits": team.limits,
        "models": team.models,
        "endpoints": team.endpoints,
        "created": instant(team.created or None),
        "declared": team.declared,
    }


def standings_view(standings: Sequence[Standing], now: int) -> list[dict[str, Any]]:
    """Each limit: used, left, resets at. Slots have no such time: they come back as requests end."""
    return [_standing_view(standing, now) for standing in standings]


def _standing_view(standing: Standing, now: int) -> dict[str, Any]:
    limit = standing.limit
    slots = limit.kind is Kind.CONCURRENCY
    return {
        "limit": limit.text,
        "scope": limit.scope,
        "kind": limit.kind,
        "unit": limit.unit,
        "mode": "shadow" if limit.shadow else "enforce",
        "cap_output": limit.cap_output,
        "estimate": "learned" if limit.learned else "worst",
        "amount": _amount(limit.amount, limit.unit),
        "used": _amount(standing.used, limit.unit),
        "left": _amount(standing.remaining, limit.unit),
        "resets_at": None if slots or standing.reset_ms <= 0 else instant(now + standing.reset_ms),
    }


def _amount(amount: int, unit: Unit) -> int | msgspec.Raw:
    return money(amount) if unit is Unit.DOLLARS else amount


def money(nano: int) -> msgspec.Raw:
    """Dollars, as a JSON number that is exact as it is written."""
    return msgspec.Raw(dollars(nano).encode())


def sums_view(sums: Sequence[int]) -> dict[str, Any]:
    """Sums in the order of `policy.ledger.SUMS`, as a report names them."""
    named = dict(zip(SUMS, sums, strict=True))
    return {
        "requests": named["requests"],
        "tokens": named["input"] + named["output"],
        "input_tokens": named["input"],
        "output_tokens": named["output"],
        "cached_tokens": named["cached"],
        "reasoning_tokens": named["reasoning"],
        "cost": money(named["cost"]),
        "cost_nano": named["cost"],
        "saved": money(named["saved"]),
        "saved_nano": named["saved"],
        "hits": named["hits"],
        "errors": named["errors"],
        "unpriced": named["unpriced"],
    }
