import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.telemetry import Telemetry
from tests.deploy.conftest import need
from tests.deploy.fed import feed, telemetry
from tests.deploy.live import dashboard_answers, expressions, prometheus, until_dashboard_answers


@contextlib.asynccontextmanager
async def exposed(fed: Telemetry) -> AsyncIterator[str]:
    """Telemetry under `/metrics`, as host:port."""

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = fed.render(request.headers.get("accept", ""))
        return web.Response(body=body, headers={"content-type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as server:
        yield f"127.0.0.1:{server.port}"


@contextlib.asynccontextmanager
async def fed_all_the_time(fed: Telemetry) -> AsyncIterator[None]:
    async def go_on() -> None:
        while True:
            feed(fed)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.timeout(180)
async def test_prometheus_has_an_answer_to_every_question_of_the_dashboard(tmp_path: Path) -> None:
    need("prometheus")
    fed = telemetry()
    async with exposed(fed) as target, prometheus(target, tmp_path) as url, fed_all_the_time(fed):
        await until_dashboard_answers(url)
        await _no_complaint(url)


async def test_a_prometheus_that_scraped_nothing_answers_nothing(tmp_path: Path) -> None:
    need("prometheus")
    async with exposed(telemetry()) as gone:
        pass
    async with prometheus(gone, tmp_path) as url:
        assert await dashboard_answers(url) == expressions()


async def _no_complaint(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/v1/targets") as response:
            (target,) = (await response.json())["data"]["activeTargets"]
        async with session.get(f"{url}/api/v1/rules") as response:
            (group,) = (await response.json())["data"]["groups"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert [rule["lastError"] for rule in group["rules"] if rule["health"] == "err"] == []
