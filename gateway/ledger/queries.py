"""What is asked of the table `gateway_ledger`. Values stand as `?`: no caller's text is part of a query."""

from collections.abc import Iterator
from typing import Final

from gateway.ledger import position
from gateway.ledger.columns import COLUMNS, clean
from gateway.ledger.filter import Filter

Query = tuple[str, list[object]]

INSERT: Final = (
    f"INSERT INTO gateway_ledger ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_KEPT: Final = "position_ms, position_seq, number, row, hash"
_DAY_MS: Final = 86_400_000
# A request that was refused before any upstream was asked has used up nothing.
_SPENT: Final = f"""
SELECT key, team, model, sent, time_ms / {_DAY_MS},
       SUM(CASE WHEN correction OR (error IS NOT NULL AND settled = 'none') THEN 0 ELSE 1 END),
       SUM(input), SUM(output), SUM(COALESCE(cost_nano, 0))
FROM gateway_ledger WHERE time_ms >= ?
GROUP BY key, team, model, sent, time_ms / {_DAY_MS}"""  # noqa: S608


def newest(before: str | None, count: int, where: Filter, has_tag: str) -> Query:
    """Rows before a position, newest first. `has_tag` is the database's condition for a tag."""
    return _page(_KEPT, before, "<", "DESC", count, where, has_tag)


def oldest(after: str | None, count: int, where: Filter, has_tag: str) -> Query:
    """Rows after a position, oldest first."""
    return _page(_KEPT, after, ">", "ASC", count, where, has_tag)


def whole(after: str | None, count: int) -> Query:
    """All columns of the rows after a position, oldest first."""
    return _page(", ".join(COLUMNS), after, ">", "ASC", count, Filter(), "")


def spent(since: int) -> Query:
    return _SPENT, [since]


def _page(
    columns: str, place: str | None, side: str, order: str, count: int, where: Filter, has_tag: str
) -> Query:
    found = [*_conditions(where, has_tag)]
    if place is not None:
        found.append((f"(position_ms, position_seq) {side} (?, ?)", [*position.parse(place)]))
    condition = " AND ".join(text for text, _ in found) or "1 = 1"
    query = (
        f"SELECT {columns} FROM gateway_ledger WHERE {condition} "  # noqa: S608
        f"ORDER BY position_ms {order}, position_seq {order} LIMIT ?"
    )
    return query, [value for _, values in found for value in values] + [count]


def _conditions(where: Filter, has_tag: str) -> Iterator[tuple[str, list[object]]]:
    for column, wanted in (("key", where.key), ("team", where.team), ("model", where.model)):
        if wanted is not None:
            yield f"{column} = ?", [clean(wanted)]
    if where.since is not None:
        yield "time_ms >= ?", [where.since]
    if where.until is not None:
        yield "time_ms < ?", [where.until]
    if where.tag is not None:
        yield has_tag, [clean(part) for part in where.tag_parts]
