"""The ledger over the admin API: its rows, page by page, and whether its chain holds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.ledger.filter import Filter
from gateway.policy.reporting import midnight
from gateway.web.call import Call
from gateway.web.inputs import wrong
from gateway.web.query import LedgerQuery, VerifyQuery, asked, check_days
from gateway.web.rows import COLUMNS, kept_view
from gateway.web.sheet import CONTENT_TYPE, csv_of

if TYPE_CHECKING:
    from gateway.ledger.history import History, Page
    from gateway.ledger.verify import Report

NEXT: Final = "x-gateway-next-cursor"  # where an answer that is no JSON object says how to go on
JSON_LINES: Final = "application/jsonl"

Verify = Callable[[str | None, int], "Awaitable[Report]"]  # after which position, and how many rows at most


@dataclass(slots=True)
class LedgerCalls:
    """`timezone` is the one that the days of a query are of."""

    history: "History"
    check: Verify
    timezone: str

    async def rows(self, call: Call) -> None:
        query = asked(call, LedgerQuery)
        page = await self._page(query)
        items = [kept_view(kept) for kept in page.rows]
        headers = [] if page.next is None else [(NEXT, page.next)]
        if query.format == "json":
            await call.answer_json(200, _answer(items, page.next))
        elif query.format == "csv":
            await call.answer(200, csv_of(COLUMNS, items), CONTENT_TYPE, headers)
        else:
            await call.answer(200, _lines(items), JSON_LINES, headers)

    async def verify(self, call: Call) -> None:
        query = asked(call, VerifyQuery)
        try:
            report = await self.check(query.after or None, query.limit)
        except ValueError as error:
            raise wrong("after", str(error)) from None
        await call.answer_json(200, _report_view(report))

    async def _page(self, query: LedgerQuery) -> "Page":
        read = self.history.newest if query.order == "newest" else self.history.oldest
        try:
            return await read(query.cursor or None, query.limit, self._filter(query))
        except ValueError:
            raise wrong("cursor", "take it from 'next_cursor' of the page before") from None

    def _filter(self, query: LedgerQuery) -> Filter:
        check_days(query.first, query.last)
        zone = ZoneInfo(self.timezone)
        return Filter(
            key=query.key or None,
            team=query.team or None,
            model=query.model or None,
            since=midnight(query.first, zone) if query.first else None,
            until=midnight(query.last + timedelta(days=1), zone) if query.last else None,
            tag=query.tag or None,
        )


def _answer(items: Sequence[dict[str, Any]], cursor: str | None) -> dict[str, Any]:
    return {"object": "list", "data": items, "has_more": cursor is not None, "next_cursor": cursor}


def _lines(items: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)


def _report_view(report: "Report") -> dict[str, Any]:
    broken = report.broken
    return {
        "object": "verification",
        "rows": report.rows,
        "first": report.first,
        "last": report.last,
        "hash": report.head,
        "broken": None if broken is None else {"number": broken[0], "reason": broken[1]},
        "done": report.done,
        "next": report.next,
    }
