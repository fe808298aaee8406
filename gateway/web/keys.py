"""Keys over the admin API: made, listed, changed, revoked."""

import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.clients import ClientTable
from gateway.errors import Conflict, InvalidRequest, UnknownUrl
from gateway.policy.credentials import new_key
from gateway.policy.records import KeyRecord
from gateway.runtime import Clock, Gateway
from gateway.store.base import Change, Keys
from gateway.web.call import Call
from gateway.web.inputs import KeyChange, NewKey, changes, expiry, read
from gateway.web.processes import Processes
from gateway.web.views import key_view, standings_view

_ID_BYTES = 6
_SECRET_BYTES = 32


@dataclass(slots=True)
class KeyCalls:
    """The handlers. Each write goes to the store, and is answered when the processes know of it."""

    gateway: Gateway
    keys: Keys
    processes: Processes

    @property
    def _table(self) -> ClientTable:
        return self.gateway.clients

    @property
    def _clock(self) -> Clock:
        return self.gateway.clock

    async def create(self, call: Call) -> None:
        """Answers with the key: the only time that it is shown."""
        given = await read(call, NewKey)
        await self._require_team(given.team)
        made = new_key(secrets.token_bytes(_ID_BYTES), secrets.token_bytes(_SECRET_BYTES))
        now = self._clock.now()
        fields = changes(given) | {"expires": expiry(given.expires, now), "created": now}
        record = KeyRecord(id=made.id, digest=made.digest, **fields)
        await self._put(record)
        await call.answer_json(201, {"id": made.id, "key": made.key} | key_view(record))

    async def list(self, call: Call) -> None:
        """Declared keys first, then those of the store, oldest first."""
        roster = await self.keys.load()
        known = self._table.keys()
        declared = [key for key in known if key.declared]
        made = sorted(roster.keys, key=lambda key: (key.created, key.id))
        await call.answer_json(200, {"object": "list", "data": [key_view(key) for key in (*declared, *made)]})

    async def show(self, call: Call) -> None:
        await call.answer_json(200, key_view(await self._find(call)))

    async def change(self, call: Call) -> None:
        given = await read(call, KeyChange)
        record = self._changeable(await self._find(call))
        fields: dict[str, Any] = changes(given)
        if "expires" in fields:
            fields["expires"] = expiry(fields["expires"], self._clock.now())
        record = msgspec.structs.replace(record, **fields)
        await self._put(record)
        await call.answer_json(200, key_view(record))

    async def revoke(self, call: Call) -> None:
        record = self._changeable(await self._find(call))
        await self.keys.delete_key(record.id)
        self._table.put_key(record.id, None)
        await self.processes.changed(Change("key", record.id))
        await call.answer_json(200, {"id": record.id, "deleted": True})

    async def limits(self, call: Call) -> None:
        """Where each limit stands that this key meets: its own, its team's, the gateway's."""
        record = await self._find(call)
        client = self._table.client(record.id)
        now = self._clock.now()
        standings = (
            await self.gateway.holds.standings(client.shard, client.limits, now) if client is not None else ()
        )
        await call.answer_json(200, {"id": record.id, "limits": standings_view(standings, now)})

    async def _find(self, call: Call) -> KeyRecord:
        """Declared or stored; the store is asked, because another process may have made it just now."""
        wanted = call.args["id"]
        known = self._table.key(wanted)
        record = known if known is not None and known.declared else await self.keys.key(wanted)
        if record is None:
            raise UnknownUrl("There is no such key.", code="key_not_found")
        return record

    def _changeable(self, record: KeyRecord) -> KeyRecord:
        if record.declared:
            raise Conflict(
                "This key is declared in the configuration; change it there.",
                code="declared_in_configuration",
            )
        return record

    async def _require_team(self, name: str | None) -> None:
        if name is None or self._table.team(name) is not None or await self.keys.team(name) is not None:
            return
        raise InvalidRequest("There is no such team: create it first.", code="unknown_team", param="team")

    async def _put(self, record: KeyRecord) -> None:
        await self.keys.put_key(record)
        self._table.put_key(record.id, record)
        await self.processes.changed(Change("key", record.id))
