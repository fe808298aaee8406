"""The line as a whole: one outcome for every request, whatever happens in it."""

import asyncio
import logging

import pytest

from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Scripted, hold

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "canary-prompt"}]}


async def test_every_request_has_one_outcome_and_nothing_stays_in_flight(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["3 requests/day"]')
    for number in range(5):
        async with gateway.post(CHAT, QUESTION | {"seed": number % 2}) as answer:
            await answer.read()
    async with gateway.post(CHAT, b"{") as answer:
        assert answer.status == 400
    async with gateway.post(CHAT, QUESTION, key="wrong") as answer:
        assert answer.status == 401
    await gateway.concluded()
    metrics = await gateway.metrics()
    counts = {
        line.split("}")[0].split('status="')[1][:3]: 0.0
        for line in metrics.splitlines()
        if line.startswith("gateway_requests_total{")
    }
    for line in metrics.splitlines():
        if line.startswith("gateway_requests_total{"):
            counts[line.split('status="')[1][:3]] += float(line.rsplit(" ", 1)[1])
    assert counts == {"200": 3, "429": 2, "400": 1, "401": 1}
    assert 'gateway_inflight{kind="requests"} 0.0' in metrics
    assert gateway.gateway.serving == set()


async def test_a_client_that_leaves_ends_the_upstream_call(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(hold(asyncio.Event()))
    for wish in ("bypass", "use"):
        calls = upstream.calls
        client = asyncio.create_task(_ask(gateway, wish))
        await upstream.received(calls + 1)
        client.cancel()
        await upstream.disconnected(calls + 1)
        await gateway.concluded()
    assert (len(gateway.gateway.flights), gateway.gateway.serving) == (0, set())


async def test_a_bug_is_a_500_with_an_id_and_nothing_else(
    gateway: Running, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.gateway.flights = None  # type: ignore[assignment]
    with caplog.at_level(logging.DEBUG):
        async with gateway.post(CHAT, QUESTION) as answer:
            assert answer.status == 500
            error = (await answer.json())["error"]
            assert error["code"] == "internal_error"
            assert answer.headers["x-gateway-request-id"] in error["message"]
    await gateway.concluded()
    assert "canary-prompt" not in caplog.text
    assert KEY not in caplog.text


async def _ask(gateway: Running, wish: str) -> None:
    async with gateway.post(CHAT, QUESTION, x_gateway_cache=wish) as answer:
        await answer.read()
