"""A real Prometheus, and the dashboard's questions to it."""

import asyncio
import contextlib
import json
import math
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "gateway.json"
_LISTENING = re.compile(rb'msg="?Listening on"? address=(\S+)')
_START_SECONDS = 30


def panels() -> Iterator[dict[str, Any]]:
    """The panels of the committed dashboard, rows included."""
    yield from json.loads(DASHBOARD.read_text())["panels"]


def expressions(window: str = "1m") -> list[str]:
    """Every expression as Grafana would send it: `window` for all times, all of each variable."""
    variables = {"$__rate_interval": window, "$__range": window, "$model": ".*", "$team": ".*"}
    found = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    for name, value in variables.items():
        found = [expression.replace(name, value) for expression in found]
    return found


async def dashboard_answers(prometheus_url: str, window: str = "1m") -> list[str]:
    """The dashboard's expressions that this Prometheus has no data for: no series, or nothing but NaN."""
    async with aiohttp.ClientSession() as session:
        return [
            expression
            for expression in expressions(window)
            if not await _has_data(session, prometheus_url, expression)
        ]


async def _has_data(session: aiohttp.ClientSession, url: str, expression: str) -> bool:
    async with session.get(f"{url}/api/v1/query", params={"query": expression}) as response:
        answer = await response.json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    return any(not math.isnan(float(series["value"][1])) for series in answer["data"]["result"])


async def until_dashboard_answers(prometheus_url: str, seconds: float = 60) -> None:
    """Ask again and again; fail with the expressions that have no data after that time."""
    missing = await dashboard_answers(prometheus_url)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while missing:
                await asyncio.sleep(0.25)  # between two questions, not for an answer
                missing = await dashboard_answers(prometheus_url)
    assert missing == []


@contextlib.asynccontextmanager
async def prometheus(target: str, folder: Path, interval: str = "1s") -> AsyncIterator[str]:
    """Run Prometheus with the committed configuration, but for the interval and the target (host:port).

    Yields its URL. Everything that it writes is in `folder`; it ends with the context.
    """
    binary = shutil.which("prometheus")
    assert binary is not None, "prometheus is not installed"
    process = await asyncio.create_subprocess_exec(
        binary,
        f"--config.file={_configured(target, folder, interval)}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(_START_SECONDS):
            address = await _ready(process.stderr)
        reading = asyncio.create_task(process.stderr.read())  # a full pipe would stop it
        yield f"http://{address}"
        process.terminate()
        await reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ready(log: asyncio.StreamReader) -> str:
    """The address that it listens on, once it answers questions there."""
    said = b""
    async for line in log:
        said += line
        listening = _LISTENING.search(said)
        if listening and b"Server is ready" in line:
            return listening[1].decode()
    raise AssertionError(f"Prometheus ended: {said.decode(errors='replace')}")


def _configured(target: str, folder: Path, interval: str) -> Path:
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    configuration["global"] |= {"scrape_interval": interval, "evaluation_interval": interval}
    configuration["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    return path
