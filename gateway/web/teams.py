"""Teams over the admin API."""

from dataclasses import dataclass

import msgspec

from gateway.clients import ClientTable
from gateway.errors import Conflict, UnknownUrl
from gateway.policy.records import TeamRecord
from gateway.runtime import Clock
from gateway.store.base import Change, Keys
from gateway.web.call import Call
from gateway.web.inputs import NewTeam, TeamChange, changes, read
from gateway.web.processes import Processes
from gateway.web.views import team_view


@dataclass(slots=True)
class TeamCalls:
    """The handlers. Each write goes to the store, and is answered when the processes know of it."""

    table: ClientTable
    keys: Keys
    clock: Clock
    processes: Processes

    async def create(self, call: Call) -> None:
        given = await read(call, NewTeam)
        if self.table.team(given.name) is not None or await self.keys.team(given.name) is not None:
            raise Conflict("There is a team of this name already.", code="team_exists")
        record = TeamRecord(created=self.clock.now(), **changes(given))
        await self._put(record)
        await call.answer_json(201, team_view(record))

    async def list(self, call: Call) -> None:
        """Declared teams first, then those of the store, by name."""
        roster = await self.keys.load()
        declared = [team for team in self.table.teams() if team.declared]
        made = sorted(roster.teams, key=lambda team: team.name)
        await call.answer_json(
            200, {"object": "list", "data": [team_view(team) for team in (*declared, *made)]}
        )

    async def show(self, call: Call) -> None:
        await call.answer_json(200, team_view(await self._find(call)))

    async def change(self, call: Call) -> None:
        given = await read(call, TeamChange)
        record = msgspec.structs.replace(self._changeable(await self._find(call)), **changes(given))
        await self._put(record)
        await call.answer_json(200, team_view(record))

    async def delete(self, call: Call) -> None:
        """Only a team without keys: they would lose its limits, and get more than they had."""
        record = self._changeable(await self._find(call))
        members = {
            key.id for key in (*self.table.keys(), *(await self.keys.load()).keys) if key.team == record.name
        }
        if members:
            raise Conflict(
                f"This team still has keys ({len(members)}): revoke them first.", code="team_in_use"
            )
        await self.keys.delete_team(record.name)
        self.table.put_team(record.name, None)
        await self.processes.changed(Change("team", record.name))
        await call.answer_json(200, {"name": record.name, "deleted": True})

    async def _find(self, call: Call) -> TeamRecord:
        name = call.args["name"]
        known = self.table.team(name)
        record = known if known is not None and known.declared else await self.keys.team(name)
        if record is None:
            raise UnknownUrl("There is no such team.", code="team_not_found")
        return record

    def _changeable(self, record: TeamRecord) -> TeamRecord:
        if record.declared:
            raise Conflict(
                "This team is declared in the configuration; change it there.",
                code="declared_in_configuration",
            )
        return record

    async def _put(self, record: TeamRecord) -> None:
        await self.keys.put_team(record)
        self.table.put_team(record.name, record)
        await self.processes.changed(Change("team", record.name))
