"""A client about its own key: what it may do, what is left, what it spent, and what it asked last."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gateway.clients import ClientTable, check_address
from gateway.errors import StoreUnavailable
from gateway.policy.credentials import presented_key
from gateway.policy.records import Client
from gateway.policy.reporting import Tally, day_of, days_of
from gateway.runtime import Clock
from gateway.store.base import Holds, Ledger
from gateway.web.call import Call
from gateway.web.rows import recent_view
from gateway.web.views import instant, standings_view, sums_view

_RECENT = 20
_UNKNOWN = {"store": "away", "limits": None, "spend": None, "recent": None}


@dataclass(slots=True)
class Me:
    """`timezone` is the one that days are of: that of the ledger's sums."""

    clients: ClientTable
    holds: Holds
    ledger: Ledger
    clock: Clock
    timezone: str

    async def show(self, call: Call) -> None:
        """While the store is away, what stands in it is null: what the key may do is known without it."""
        now = self.clock.now()
        client = _client(self.clients, call, now)
        try:
            counted = await self._counted(client, now)
        except StoreUnavailable:
            counted = _UNKNOWN
        await call.answer_json(200, _identity(client) | counted)

    async def _counted(self, client: Client, now: int) -> dict[str, Any]:
        standings = await self.holds.standings(client.shard, client.limits, now)
        rows = await self.ledger.recent(client.id, _RECENT)
        return {
            "store": "up",
            "limits": standings_view(standings, now),
            "spend": await self._spend(client.id, now),
            "recent": [view for row in rows if (view := recent_view(row)) is not None],
        }

    async def _spend(self, key: str, now: int) -> dict[str, Any]:
        """Of this key alone, today and since the first of the month."""
        today = day_of(now, ZoneInfo(self.timezone))
        first = today.replace(day=1)
        sums = await self.ledger.sums(days_of(first, today), key)
        month, day = Tally(), Tally()
        month.add(sums)
        day.add(each for each in sums if each.day == today.isoformat())
        return {
            "today": {"from": today, "to": today} | sums_view(day.total),
            "month": {"from": first, "to": today} | sums_view(month.total),
        }


def _identity(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "name": client.name,
        "team": client.team,
        "models": client.models[0],
        "team_models": client.models[1] if len(client.models) > 1 else None,
        "endpoints": sorted(client.endpoints),
        "expires": instant(client.expires),
    }


def _client(clients: ClientTable, call: Call, now: int) -> Client:
    presented = presented_key(call.header_values("authorization"), call.header_values("api-key"))
    client = clients.identify(presented, now)
    check_address(client, call.peer)
    return client
