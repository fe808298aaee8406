"""The same questions from several teams at once: no answer ever crosses from one to another."""

import asyncio
import random

from tests.running import Running
from tests.scripted import Scripted

CHAT = "/v1/chat/completions"


async def test_no_answer_of_one_team_reaches_another(gateway: Running, upstream: Scripted) -> None:
    chance = random.Random(20261122)
    async with gateway.admin("POST", "/admin/v1/teams", {"name": "other"}) as made:
        assert made.status == 201
    keys = []
    for number, team in enumerate(("research", "research", "other", None, None)):
        body = {"name": f"n{number}"} | ({"team": team} if team else {})
        async with gateway.admin("POST", "/admin/v1/keys", body) as made:
            keys.append((team or f"alone-{number}", (await made.json())["key"]))

    async def ask() -> tuple[str, int]:
        tenant, key = chance.choice(keys)
        private = chance.random() < 0.2
        scope = {"x_gateway_cache_scope": "private"} if private else {}
        body = {"model": "gpt-4o-mini", "seed": chance.randrange(8), "messages": [], "stream": False}
        async with gateway.post(CHAT, body, key=key, x_client_request_id=tenant, **scope) as answer:
            return tenant, int((await answer.json())["id"].rpartition("-")[2])

    answers = [answer for _ in range(20) for answer in await asyncio.gather(*(ask() for _ in range(20)))]
    askers = {seen.number: seen.header("x-client-request-id") for seen in upstream.requests}
    assert [tenant for tenant, _ in answers] == [askers[number] for _, number in answers]
    assert upstream.calls < len(answers) / 2, "and within a team they do share"
