"""A row of the ledger as columns of a table, in plain integers and text that every database takes.

A row that cannot be read must not stop those behind it: its text and hash are kept, its columns stay empty.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.ledger import position
from gateway.policy.ledger import decode
from gateway.store.base import Kept

Entry = tuple[Any, ...]

# The column, its type (of schema.TYPES), and the field of the row where it is one.
_FIELDS: Final = (
    *(("id", "text", "id"), ("correction", "flag", "correction")),
    *(("time_ms", "integer", "time"), ("time", "time", "")),
    *((name, "text", name) for name in ("key", "team", "endpoint", "model", "sent", "upstream")),
    *(("status", "integer", "status"), ("error", "text", "error")),
    *(("cache", "text", "cache"), ("settled", "text", "settled")),
    *((name, "integer", name) for name in ("input", "output", "cached", "reasoning", "cache_write")),
    *((name, "integer", name) for name in ("input_audio", "input_image", "output_audio", "output_image")),
    *(("cost_nano", "integer", "cost"), ("saved_nano", "integer", "saved")),
    *(("duration_ms", "integer", "duration"), ("first_token_ms", "integer", "first_token")),
    *(("tags", "json", "tags"), ("shadow", "json", "shadow")),
)
TYPES: Final[Mapping[str, str]] = {
    "position_ms": "integer",
    "position_seq": "integer",
    "number": "integer",
    **{column: kind for column, kind, _ in _FIELDS},
    "row": "text",
    "hash": "text",
}
COLUMNS: Final = tuple(TYPES)

# PostgreSQL refuses an indexed value of more than 2,700 bytes, and a model's name is what a client wrote.
# The column holds its beginning; the row has all of it.
_LONGEST = 500
# What all readers hold exactly: JSON's and Lua's numbers are doubles. Sums of a thousand still fit 64 bits.
_GREATEST = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # 9999-12-31: the last that a datetime can be


def entry(kept: Kept) -> Entry:
    """The values of `COLUMNS` for one row."""
    return (*position.parse(kept.position), kept.number, *_values(kept.row), _text(kept.row), kept.hash)


def kept_of(milliseconds: int, count: int, number: int, row: str, digest: str) -> Kept:
    """The row again, from position_ms, position_seq, number, row and hash."""
    return Kept(position.render(milliseconds, count), number, _bytes(row), digest)


def differing(values: Entry) -> str:
    """The first column that does not say what the row's own text says; "" where all do."""
    stored = dict(zip(COLUMNS, values, strict=True))
    expected = zip((column for column, _, _ in _FIELDS), _values(_bytes(stored["row"])), strict=True)
    return next((column for column, value in expected if stored[column] != value), "")


def clean(text: str) -> str:
    """As a text column holds it. PostgreSQL takes no NUL."""
    return text[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}")


def canonical(value: object) -> str:
    """JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def readable(milliseconds: int) -> str:
    """ISO 8601, in UTC, so that the text sorts as the time does."""
    when = _EPOCH + timedelta(milliseconds=min(max(milliseconds, 0), _LAST_MS))
    return when.isoformat(timespec="milliseconds")


def _values(text: bytes) -> list[Any]:
    try:
        row = decode(text)
    except ValueError:  # msgspec's own, or that of text which is no UTF-8
        return [None] * len(_FIELDS)
    return [_plain(getattr(row, field)) if field else readable(row.time) for _, _, field in _FIELDS]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, -_GREATEST), _GREATEST)
    if isinstance(value, dict):
        return canonical({clean(name): clean(text) for name, text in value.items()})
    return canonical([clean(text) for text in value]) if isinstance(value, list) else value


def _bytes(row: str) -> bytes:
    """What a database holds may have become no text at all."""
    return row.encode(errors="surrogateescape")


def _text(row: bytes) -> str:
    """The row itself. What is no text at all cannot be verified either way, and is kept legible."""
    return row.decode(errors="backslashreplace").replace("\0", "\\x00")
