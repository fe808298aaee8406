"""A served gateway under a small load of every kind, and a real Prometheus that answers the dashboard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.conftest import Run, need
from tests.deploy.live import prometheus, until_dashboard_answers
from tests.running import ENVIRONMENT, KEY, configuration
from tests.scripted import Scripted, json, reset, sse
from tests.served import Served, served

LIMITED = "sk-gw-limited-0123456789abcdef"
LIMITED_KEY = """
[[keys]]
name = "limited"
team = "research"
secret = "env:LIMITED"
limits = ["2 requests/hour", "8 concurrent", "1k tokens/day", { limit = "1 request/day", mode = "shadow" }]
"""
CHAT = "/v1/chat/completions"
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
# What a round of the load must have left, or it was no such load.
TRACES = (
    *('gateway_cache_requests_total{result="hit"}', 'gateway_cache_requests_total{result="miss"}'),
    *('gateway_cache_requests_total{result="joined"}', 'gateway_cache_requests_total{result="bypass"}'),
    'gateway_rejected_total{reason="rate_limit_exceeded"}',
    'gateway_rejected_total{reason="insufficient_quota"}',
    'gateway_rejected_total{reason="invalid_api_key"}',
    *('gateway_settlements_total{source="usage"}', 'gateway_settlements_total{source="estimate"}'),
    'gateway_rejected_total{reason="upstream_protocol_error"}',
    'gateway_upstream_requests_total{outcome="server_error",upstream="scripted"}',
    'gateway_tokens_total{kind="output",model="gpt-4o-mini",team="research"}',
    'gateway_cost_dollars_total{model="gpt-4o-mini",team="research"}',
    'gateway_saved_dollars_total{team="research"}',
    'gateway_shadow_refusals_total{limit="1 request/day"}',
)  # fmt: skip


class Load:
    """One client after the other, so that each answer of the upstream goes to whom it is meant for."""

    def __init__(self, gateway: Served, upstream: Scripted, session: aiohttp.ClientSession) -> None:
        self._url = gateway.url
        self._upstream = upstream
        self._session = session
        self._seed = 0

    def question(self, **more: Any) -> dict[str, Any]:
        """One that was never asked."""
        self._seed += 1
        said = [{"role": "user", "content": "Say something."}]
        return {"model": "gpt-4o-mini", "seed": self._seed, "messages": said} | more

    def ask(self, body: Any, key: str = KEY, path: str = CHAT, **headers: str) -> Any:
        headers["Authorization"] = f"Bearer {key}"
        return self._session.post(self._url + path, json=body, headers=headers)

    async def round(self) -> None:
        await self._answered()
        await self._refused()
        await self._failed()
        await self._joined()

    async def _send(self, *given: Any, **more: Any) -> None:
        async with self.ask(*given, **more) as answer:
            with contextlib.suppress(aiohttp.ClientPayloadError):
                await answer.read()

    async def _answered(self) -> None:
        self._upstream.plan()
        for asked in (self.question(), self.question(stream=True)):
            await self._send(asked)
            await self._send(asked)
        await self._send(asked, **{"x-gateway-cache": "bypass"})
        await self._send(self.question(model="invented"))
        vectors = {"model": "text-embedding-3-small", "input": "a sentence"}
        await self._send(vectors, path="/v1/embeddings")

    async def _refused(self) -> None:
        await self._send(self.question(), LIMITED)  # no bound of its own: more than a day's tokens
        for _ in range(3):
            await self._send(self.question(max_tokens=5), LIMITED)
        await self._send(self.question(), "sk-gw-wrong")

    async def _failed(self) -> None:
        for answer in (json(503, {"error": {}}), reset, sse([DELTA], end="cut")):
            self._upstream.plan(answer)
            await self._send(self.question(stream=True))

    async def _joined(self) -> None:
        more = asyncio.Event()
        self._upstream.plan(sse([DELTA, more, END]))
        asked = self.question(stream=True)
        async with self.ask(asked) as first, self.ask(asked) as second:
            more.set()
            await asyncio.gather(first.read(), second.read())
        assert second.headers["x-gateway-cache"] == "joined"


@contextlib.asynccontextmanager
async def loaded(gateway: Served, upstream: Scripted) -> AsyncIterator[None]:
    """Round after round beside what is done here; a round that fails is a failure here."""

    async def go_on(session: aiohttp.ClientSession) -> None:
        load = Load(gateway, upstream, session)
        while True:
            await load.round()

    async with aiohttp.ClientSession() as session:
        going = asyncio.create_task(go_on(session))
        try:
            yield
            assert not going.done()
        finally:
            going.cancel()
            (ended,) = await asyncio.gather(going, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


@pytest.fixture
async def gateway(upstream: Scripted, tmp_path: Path) -> AsyncIterator[Served]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    text = configuration(upstream.base_url, folder / "data", LIMITED_KEY, limits='["1M tokens/day"]')
    async with served(folder, config=text, environ={**ENVIRONMENT, "LIMITED": LIMITED}) as running:
        yield running


@pytest.mark.timeout(180)
async def test_a_gateway_under_load_answers_every_question_of_the_dashboard(
    gateway: Served, upstream: Scripted, tmp_path: Path
) -> None:
    need("prometheus")
    target = gateway.admin_url.removeprefix("http://")
    async with prometheus(target, tmp_path) as url, loaded(gateway, upstream):
        await until_dashboard_answers(url)
    assert [trace for trace in TRACES if not await gateway.metric(trace)] == []


async def test_promtool_has_no_complaint_about_the_page(
    gateway: Served, upstream: Scripted, run: Run
) -> None:
    async with aiohttp.ClientSession() as session:
        await Load(gateway, upstream, session).round()
        async with session.get(gateway.admin_url + "/metrics") as answer:
            page = await answer.text()
    assert "gateway_requests_total{" in page
    run("promtool", "check", "metrics", given=page)
