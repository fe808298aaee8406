"""A whole gateway in this process, on real sockets: what most tests of the line talk to."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from gateway.app import App, opened
from gateway.config import load

KEY = "sk-gw-test-0123456789abcdef"
ADMIN_KEY = "sk-gw-admin-0123456789abcdef"
REAL_KEY = "sk-real-canary-4d2f"


class Running:
    """An open gateway and a client session of it."""

    def __init__(self, app: App, session: aiohttp.ClientSession) -> None:
        self.app = app
        self.gateway = app.gateway
        self.session = session
        self.url = f"http://127.0.0.1:{app.listeners.public_port}"
        self.admin_url = f"http://127.0.0.1:{app.listeners.admin_port}"

    def post(self, path: str, body: Any, *, key: str = KEY, **headers: str) -> Any:
        """A POST to the public listener; a dict goes as JSON, bytes go as they are."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        how: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        if isinstance(body, bytes):
            named.setdefault("content-type", "application/json")
        return self.session.post(self.url + path, headers={"Authorization": f"Bearer {key}", **named}, **how)

    def get(self, path: str, *, key: str = KEY) -> Any:
        return self.session.get(self.url + path, headers={"Authorization": f"Bearer {key}"})

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        return self.session.request(method, self.admin_url + path, json=body, headers=headers)

    async def metrics(self) -> str:
        async with self.session.get(self.admin_url + "/metrics") as answer:
            return await answer.text()

    @property
    def store_url(self) -> str:
        """Where a second gateway finds the same store."""
        return self.app.store_url

    async def concluded(self) -> None:
        """Wait until everything that follows the answers so far is done."""
        while waiting := self.gateway.tasks.running():
            await asyncio.wait(waiting)
            await asyncio.sleep(0)


def configuration(
    base_url: str,
    folder: Path,
    more: str = "",
    *,
    limits: str = "[]",
    everybody: str = "[]",
    store: str = "",
) -> str:
    """A gateway.toml with one upstream, one team `research` and one key, `KEY`, with these limits.

    `everybody` are those of the gateway as a whole.
    """
    return f"""
[server]
port = 0
limits = {everybody}
data = "{folder}"
[admin]
port = 0
key = "env:ADMIN"
[store]
url = "{store or f"embedded:{folder}"}"
[[upstreams]]
name = "scripted"
base_url = "{base_url}"
api_key = "env:REAL"
[[teams]]
name = "research"
[[keys]]
name = "test"
team = "research"
secret = "env:KEY"
limits = {limits}
{more}
"""


# Every test that talks to a gateway holds with aiohttp's server alone as well (GATEWAY_TEST_LANE=off), and
# with its client alone (GATEWAY_TEST_OWN_CLIENT=off).
SERVER: Mapping[str, str] = {
    f"GATEWAY_SERVER__{name}": "false"
    for name in ("LANE", "OWN_CLIENT")
    if os.environ.get(f"GATEWAY_TEST_{name}") == "off"
}
ENVIRONMENT: Mapping[str, str] = {"ADMIN": ADMIN_KEY, "REAL": REAL_KEY, "KEY": KEY}


@contextlib.asynccontextmanager
async def running(
    text: str, folder: Path, environ: Mapping[str, str] = ENVIRONMENT
) -> AsyncIterator[Running]:
    """Open a gateway with this configuration; everything is closed again at the end."""
    file = folder / "gateway.toml"
    file.write_text(text)
    environ = {**SERVER, **environ}
    settings = load(file, environ)
    async with opened(settings, environ) as app, aiohttp.ClientSession() as session:
        yield Running(app, session)
