"""A session's line, as far as `tests/e2e/test_realtime.py` does not walk it: fees, and what has no meter."""

import aiohttp
import pytest

from tests import books
from tests.realtime import Realtime
from tests.running import KEY, Running
from tests.sockets.conftest import Begin
from tests.waiting import until

AUTH = {"Authorization": f"Bearer {KEY}"}


async def visit(gateway: Running, path: str) -> None:
    async with gateway.session.ws_connect(gateway.url + path, headers=AUTH) as socket:
        await socket.send_str("anything at all")
        await socket.close()
    await until(lambda: not gateway.gateway.serving)


async def test_a_session_without_usage_costs_its_fee(begin: Begin, up: Realtime) -> None:
    fees = '[prices.operations]\n"live.connect" = 0.25\n'
    gateway = await begin(fees, limits='["$1/day", "5 requests/day"]')

    async def ignore(*_: object) -> None:
        return None

    up._read = ignore  # type: ignore[method-assign, assignment]
    await visit(gateway, "/v1/live/sessions")
    row = await books.row(gateway)
    assert (row.endpoint, row.status, row.cost) == ("live.connect", 101, 250_000_000)
    assert await books.used(gateway) == [250_000_000, 1]


async def test_and_is_refused_where_nobody_knows_it(begin: Begin, up: Realtime) -> None:
    gateway = await begin(limits='["$1/day"]')
    for path in ("/v1/live/sessions", "/v1/realtime/translations?model=gpt-realtime-translate"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await visit(gateway, path)
        assert refused.value.status == 400
    assert up.handshakes == []


async def test_a_session_is_seen_in_metrics_and_its_turns_too(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    async with gateway.session.ws_connect(
        gateway.url + "/v1/realtime?model=gpt-realtime", headers=AUTH
    ) as socket:
        await socket.send_json({"type": "response.create"})
        while "response.done" not in await socket.receive_str():
            pass
    await until(lambda: not gateway.gateway.serving)
    await gateway.concluded()
    page = await gateway.metrics()
    for status in ("101", "200"):
        labels = f'cache="bypass",endpoint="realtime",model="gpt-realtime",status="{status}",team="research"'
        assert f"gateway_requests_total{{{labels}}} 1.0" in page or f'status="{status}"' in page
