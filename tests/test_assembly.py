"""Parts of a gateway, each made of the settings that are its own."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web

from gateway import assembly
from gateway.firststart import FirstStart
from gateway.policy.models import KNOWN
from gateway.policy.windows import Calendar
from gateway.runtime import Clock, Tasks
from gateway.settings import (
    Alerts,
    Endpoints,
    Key,
    Ledger,
    ModelPrice,
    Models,
    Prices,
    Server,
    Settings,
    Store,
    Team,
    Upstream,
)
from gateway.store.redis import StoreMisconfigured
from gateway.telemetry import Telemetry
from tests.conftest import Start


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as opened:
        yield opened


@pytest.mark.parametrize(
    ("data", "url", "folder"),
    [
        ("", "embedded:./gateway-data", "gateway-data"),
        ("", "embedded:/srv/gw", "/srv/gw"),
        ("", "redis://db:6379", "gateway-data"),
        ("/var/lib/gw", "embedded:/srv/gw", "/var/lib/gw"),
        ("/var/lib/gw", "redis://db:6379", "/var/lib/gw"),
    ],
)
def test_what_must_not_be_lost_stands_beside_the_store_or_where_it_is_told(
    data: str, url: str, folder: str
) -> None:
    settings = Settings(server=Server(data=data), store=Store(url=url))
    assert assembly.data_folder(settings) == Path(folder)


def test_models_that_the_configuration_writes_out_may_be_named() -> None:
    settings = Settings(
        upstreams=[Upstream("a", "http://a/v1", models=["gpt-*", "own"]), Upstream("b", "http://b/v1")],
        models=Models(aliases={"asked": "sent"}, output_caps={"capped": 5, "all-*": 6}),
        prices=Prices(models={"priced": ModelPrice(), "some-*": ModelPrice()}),
    )
    named = assembly.label_models(settings)
    assert named > KNOWN
    assert {"own", "sent", "capped", "priced", "smollm2-135m-instruct"} <= named
    assert not named & {"gpt-*", "asked", "all-*", "some-*", "*", "anything"}


def test_the_limits_of_everybody_are_everybodys() -> None:
    settings = Settings(
        server=Server(limits=["9 requests/minute"]),
        teams=[Team("research", limits=["8 requests/minute"])],
        keys=[
            Key("alice", "env:ALICE", team="research", limits=["7 requests/minute"]),
            Key("bob", "env:BOB"),
        ],
    )
    table = assembly.client_table(settings, {"ALICE": "0123456789abcdef", "BOB": "fedcba9876543210"})
    limits = {each.id: [limit.scope for limit in each.limits] for each in table.everybody()}
    assert limits == {"alice": ["key:alice", "team:research", "gateway"], "bob": ["gateway"]}


async def test_an_embedded_store_is_started_and_stopped(tmp_path: Path) -> None:
    tasks, telemetry = Tasks(), Telemetry()
    async with contextlib.AsyncExitStack() as stack:
        settings = Settings(store=Store(url=f"embedded:{tmp_path}"))
        store, url = await assembly.store(settings, stack, tasks, telemetry)
        assert url.startswith("unix://")
        await store.ping()
    await tasks.drain(5)
    assert not list(tmp_path.glob("*.sock"))


async def test_a_store_that_cannot_be_used_is_refused_in_words(stack: contextlib.AsyncExitStack) -> None:
    settings = Settings(store=Store(url="redis+sentinel://127.0.0.1"))
    with pytest.raises((StoreMisconfigured, ValueError)):
        await assembly.store(settings, stack, Tasks(), Telemetry())


async def test_upstreams_are_those_of_the_configuration_or_else_of_the_environment(
    stack: contextlib.AsyncExitStack,
) -> None:
    environ = {"OPENAI_API_KEY": "sk-environment", "OWN": "sk-configured"}
    said: list[str] = []
    for settings, name, key in (
        (Settings(), "openai", "sk-environment"),
        (Settings(upstreams=[Upstream("own", "http://a/v1", "env:OWN")]), "own", "sk-configured"),
    ):
        made, keys = await assembly.upstreams(settings, environ, False, stack, Tasks(), said.append)
        assert [upstream.name for upstream in made] == [name]
        assert keys[name].reveal() == key
    assert said == []


@pytest.mark.parametrize(
    ("sink", "url", "file"),
    [
        ("auto", "embedded:./data", "ledger.sqlite3"),
        ("auto", "redis://db", None),
        ("off", "embedded:./data", None),
        ("env:SINK", "redis://db", "elsewhere.sqlite3"),
    ],
)
async def test_the_ledger_goes_where_the_settings_say(
    stack: contextlib.AsyncExitStack, tmp_path: Path, sink: str, url: str, file: str | None
) -> None:
    settings = Settings(ledger=Ledger(sink=sink), store=Store(url=url))
    made = assembly.sink(settings, {"SINK": f"sqlite:{tmp_path}/elsewhere.sqlite3"}, stack, tmp_path)
    assert (made is None) == (file is None)
    if made is not None:
        assert await made.last() is None
        assert [path.name for path in tmp_path.glob("*.sqlite3")] == [file]


async def test_a_webhook_is_told_by_whom_the_settings_name(
    start: Start, stack: contextlib.AsyncExitStack
) -> None:
    told: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        told.append(request.headers["user-agent"])
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", hear)
    runner = web.AppRunner(application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    gateway = await start(f'[alerts]\nurl = "{url}"\nat = [1]', limits='["$0.00001/total"]')
    body = {"model": "gpt-4o-mini", "messages": [], "max_tokens": 2}
    async with gateway.post("/v1/chat/completions", body) as answer:
        assert answer.status == 200
    await gateway.concluded()
    await gateway.gateway.alerts.look()
    await gateway.gateway.alerts.settled()
    assert told == ["openai-team-gateway"]


@pytest.mark.parametrize("ownership", ["on", "off"])
def test_ownership_is_as_the_configuration_says(ownership: Literal["on", "off"]) -> None:
    key = Key(name="a", secret="env:KEY")
    settings = Settings(endpoints=Endpoints(ownership=ownership), keys=[key])
    client = assembly.client_table(settings, {"KEY": "sk-gw-a"}).client("a")
    assert client is not None
    assert client.ownership is (ownership == "on")


async def test_without_an_address_nobody_is_told(start: Start, stack: contextlib.AsyncExitStack) -> None:
    running = await start()
    made = await assembly.alerts(
        Settings(alerts=Alerts()),
        {},
        stack,
        running.app.store,
        Clock(),
        Calendar("UTC"),
        Tasks(),
        Telemetry(),
    )
    for client in running.gateway.clients.everybody():
        made.touch(client)
    await made.look()
    assert repr(made) == "<Alerts 0 to tell, 0 being told>"


async def test_the_first_lines_say_the_ports_that_were_got(start: Start, tmp_path: Path) -> None:
    running = await start()
    said: list[str] = []
    welcome = assembly.welcomer(
        said.append, running.gateway.settings, running.app.listeners, [], chosen=False
    )
    welcome(FirstStart(b"", client_key="sk-gw-made"))
    (text,) = said
    assert f":{running.app.listeners.public_port}" in text
    assert ":0/" not in text
