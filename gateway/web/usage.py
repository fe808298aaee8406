"""What was used, over the admin API: sums of days, grouped as asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from gateway.clients import ClientTable
from gateway.policy.reporting import Group, Line, Tally, days_of
from gateway.runtime import Clock
from gateway.store.base import Ledger
from gateway.web.call import Call
from gateway.web.query import UsageQuery, asked, groups, span
from gateway.web.sheet import CONTENT_TYPE, csv_of
from gateway.web.views import USED, sums_view


@dataclass(slots=True)
class UsageCalls:
    """`timezone` is the one that days are of: that of the ledger's sums."""

    ledger: Ledger
    clients: ClientTable
    clock: Clock
    timezone: str

    async def usage(self, call: Call) -> None:
        query = asked(call, UsageQuery)
        by = groups(query)
        zone = ZoneInfo(self.timezone)
        first, last = span(query, self.clock.now(), zone)
        lines, total = await self._read(by, days_of(first, last))
        data = [self._about(by, line) | sums_view(line.sums) for line in lines]
        if query.format == "csv":
            await call.answer(200, csv_of((*_columns(by), *USED), data), CONTENT_TYPE)
            return
        await call.answer_json(200, _answer(first, last, zone, by, data, total))

    async def _read(self, by: Sequence[Group], days: Sequence[str]) -> tuple[list[Line], tuple[int, ...]]:
        """Lines and total. By tag, the total is that of all requests, with tags or without.

        Day by day, so that no client's request waits until a long report is added up.
        """
        tagged = "tag" in by
        tally, whole = Tally(by), Tally()
        for day in days:
            if tagged:
                tally.add(await self.ledger.tag_sums([day]))
            (whole if tagged else tally).add(await self.ledger.sums([day]))
        return tally.lines(), (whole if tagged else tally).total

    def _about(self, by: Sequence[Group], line: Line) -> dict[str, str | None]:
        about: dict[str, str | None] = {}
        for group, value in zip(by, line.about, strict=True):
            about[group] = value or None
            if group == "key":
                known = self.clients.key(value)
                about["name"] = known.name if known is not None else None
        return about


def _columns(by: Sequence[Group]) -> list[str]:
    return [column for group in by for column in (("key", "name") if group == "key" else (group,))]


def _answer(
    first: date,
    last: date,
    zone: ZoneInfo,
    by: Sequence[Group],
    data: Sequence[dict[str, Any]],
    total: Sequence[int],
) -> dict[str, Any]:
    return {
        "object": "usage",
        "from": first,
        "to": last,
        "timezone": zone.key,
        "group_by": by,
        "data": data,
        "total": sums_view(total),
    }
