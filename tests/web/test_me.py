import hashlib
import json
from typing import Any

import pytest

from gateway.clients import ClientTable
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.store.redis import RedisStore
from gateway.web.me import Me
from tests.store.servers import Server
from tests.web.conftest import Serve, Served
from tests.web.kept import DAY, NOON, Still, get, row, write

KEYS = {"alice": "sk-gw-alice-CANARYcanary", "bob": "sk-gw-bob-CANARYcanary"}


@pytest.fixture
async def served(serve: Serve, store: RedisStore) -> Served:
    clients = ClientTable()
    records = [
        KeyRecord(
            id=name,
            name=name.title(),
            digest=hashlib.sha256(key.encode()).hexdigest(),
            team="research",
            limits=["$5/day", {"limit": "100 requests/day", "mode": "shadow"}],
        )
        for name, key in KEYS.items()
    ]
    clients.replace(records, [TeamRecord("research")])
    return await serve(Me(clients, store.holds, store.ledger, Still(), "UTC").show)


async def me(served: Served, name: str = "alice") -> Any:
    response = await get(served, bearer=KEYS[name])
    assert response.status == 200, response.body
    return json.loads(response.body)


async def test_what_was_spent_today_and_this_month(served: Served, store: RedisStore) -> None:
    times = {1: NOON, 2: NOON, 3: NOON - 2 * DAY, 4: NOON - 21 * DAY, 5: NOON - 22 * DAY}
    await write(store, [row(n, time=time, cost=10**n, model=f"m{n}") for n, time in times.items()])
    spend = (await me(served))["spend"]
    assert (spend["today"]["from"], spend["today"]["to"]) == ("2026-11-22", "2026-11-22")
    assert (spend["month"]["from"], spend["month"]["to"]) == ("2026-11-01", "2026-11-22")
    assert (spend["today"]["requests"], spend["today"]["cost_nano"]) == (2, 110)
    assert (spend["month"]["requests"], spend["month"]["cost_nano"]) == (4, 11_110)
    assert spend["month"]["cost"] == 0.00001111
    assert spend["month"]["tokens"] == 60


async def test_the_latest_requests_newest_first(served: Served, store: RedisStore) -> None:
    await write(store, [row(n, time=NOON + n) for n in range(25)])
    recent = (await me(served))["recent"]
    assert [each["id"] for each in recent] == [f"request-{n}" for n in range(24, 4, -1)]
    assert (recent[0]["cost"], recent[0]["tokens"], recent[0]["duration_ms"]) == (0.000001, 15, 250)


async def test_nobody_sees_what_others_did(served: Served, store: RedisStore) -> None:
    await write(store, [row(n, key="bob", model="secret-project") for n in range(3)])
    await write(store, [row(7, key="ali"), row(8, key="alice2"), row(9, key="al*ce")])
    alice = await me(served)
    assert alice["spend"]["month"]["requests"] == 0
    assert alice["recent"] == []
    assert "secret-project" not in json.dumps(alice)
    assert (await me(served, "bob"))["spend"]["month"]["requests"] == 3


async def test_limits_are_in_dollars_and_say_their_mode(served: Served) -> None:
    answer = await me(served)
    assert answer["store"] == "up"
    money, requests = answer["limits"]
    assert (money["limit"], money["amount"], money["left"]) == ("$5/day", 5, 5)
    assert (money["mode"], requests["mode"]) == ("enforce", "shadow")


async def test_while_the_store_is_away_the_rest_is_told(served: Served, own: Server) -> None:
    before = await me(served)
    own.stop()
    away = await me(served)
    assert (away["store"], away["limits"], away["spend"], away["recent"]) == ("away", None, None, None)
    known = ("id", "name", "team", "models", "team_models", "endpoints", "expires")
    assert {name: away[name] for name in known} == {name: before[name] for name in known}
    assert away.keys() == before.keys()


async def test_strangers_learn_nothing(served: Served) -> None:
    assert (await get(served)).code == "invalid_api_key"
