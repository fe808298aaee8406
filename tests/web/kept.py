"""A ledger with rows in it, and what asks a listener about them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gateway.policy.ledger import Row, record_of
from gateway.runtime import Clock
from gateway.store.redis import RedisStore
from tests.web.conftest import Served
from tests.web.raw import CANARY, Response, ask

DAY = 86_400_000
NOON = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * 1000


class Still(Clock):
    """It is noon, on 22 November 2026."""

    def now(self) -> int:
        return NOON


def row(n: int, key: str = "alice", time: int = NOON, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": f"request-{n}",
        "time": time,
        "key": key,
        "endpoint": "chat",
        "team": "research",
        "model": "gpt-6",
        "sent": "gpt-6",
        "upstream": "openai",
        "status": 200,
        "cache": "miss",
        "settled": "usage",
        "input": 10,
        "output": 5,
        "cached": 4,
        "reasoning": 2,
        "cost": 1_000,
        "duration": 250,
    }
    return Row(**values | changes)


async def write(store: RedisStore, rows: Iterable[Row]) -> None:
    """As requests that end leave them, where days are those of UTC."""
    for each in rows:
        day = datetime.fromtimestamp(each.time / 1000, UTC).date().isoformat()
        record = record_of(each, day, each.model)
        assert await store.holds.settle(each.team or each.key, f"hold-{each.id}", {}, each.time, record)


async def get(served: Served, path: str = "/", bearer: str = CANARY, **query: str) -> Response:
    target = f"{path}?{urlencode({name.rstrip('_'): value for name, value in query.items()})}"
    fields = ["Host: gateway", f"Authorization: Bearer {bearer}"]
    return await ask(served.port, "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]))


async def asked(served: Served, path: str = "/", **query: str) -> Any:
    """The JSON of an answer that has to be one."""
    response = await get(served, path, **query)
    assert response.status == 200, response.body
    return json.loads(response.body)


async def complaint(served: Served, path: str = "/", **query: str) -> tuple[int, str, str, str]:
    """Status, code, parameter and message of a refusal."""
    response = await get(served, path, **query)
    error = json.loads(response.body)["error"]
    return response.status, error["code"], error["param"], error["message"]
