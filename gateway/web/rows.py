"""How rows of the ledger look, to the admin and to the client whose they are."""

from typing import Any, Final

import msgspec

from gateway.policy.ledger import Row, decode
from gateway.store.base import Kept
from gateway.web.views import instant, money

_TOKENS = (
    *("input", "output", "cached", "reasoning", "cache_write"),
    *("input_audio", "input_image", "output_audio", "output_image"),
)

# What `kept_view` shows: the columns of an export.
COLUMNS: Final = (
    *("number", "position", "id", "correction", "time", "key", "team", "endpoint"),
    *("model", "sent", "upstream", "status", "error", "cache", "settled"),
    *(f"{kind}_tokens" for kind in _TOKENS),
    *("cost", "cost_nano", "saved", "saved_nano", "duration_ms", "first_token_ms"),
    *("tags", "shadow", "bounded", "hash"),
)


def kept_view(kept: Kept) -> dict[str, Any]:
    """A row with its place in the chain. Of what cannot be read, the place alone is shown."""
    view: dict[str, Any] = dict.fromkeys(COLUMNS)
    row = _read(kept.row)
    if row is not None:
        view |= _row_view(row)
    return view | {"number": kept.number, "position": kept.position, "hash": kept.hash}


def recent_view(text: bytes) -> dict[str, Any] | None:
    """A row as its client sees it. None: it cannot be read."""
    row = _read(text)
    if row is None:
        return None
    return {
        "id": row.id,
        "time": instant(row.time),
        "endpoint": row.endpoint,
        "model": row.model,
        "status": row.status,
        "error": row.error,
        "cache": row.cache,
        "tokens": row.input + row.output,
        "input_tokens": row.input,
        "output_tokens": row.output,
        "cost": None if row.cost is None else money(row.cost),
        "saved": money(row.saved),
        "duration_ms": row.duration,
        "correction": row.correction,
    }


def _row_view(row: Row) -> dict[str, Any]:
    same = ("id", "correction", "key", "team", "endpoint", "model", "sent", "upstream")
    also = ("status", "error", "cache", "settled", "tags", "shadow", "bounded")
    return {
        **{name: getattr(row, name) for name in (*same, *also)},
        **{f"{kind}_tokens": getattr(row, kind) for kind in _TOKENS},
        "time": instant(row.time),
        "cost": None if row.cost is None else money(row.cost),
        "cost_nano": row.cost,
        "saved": money(row.saved),
        "saved_nano": row.saved,
        "duration_ms": row.duration,
        "first_token_ms": row.first_token,
    }


def _read(text: bytes) -> Row | None:
    try:
        return decode(text)
    except msgspec.DecodeError:
        return None
