"""What is said in a session costs what the upstream bills, turn by turn; `GATEWAY_PROOF` says more."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import books
from tests.e2e.mixture import AT_ONCE, FEE, IN, KEYS, LIMITS, OUT, ROUNDS, SEEDS, TOML, Given, held_enough
from tests.e2e.test_money import Told
from tests.realtime import Realtime, transcribed
from tests.running import ENVIRONMENT, Running, configuration, running
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)


# ---- sessions ---------------------------------------------------------------------------------------------


class Sessions:
    """Who talks in sessions, and what each of their turns must be charged."""

    def __init__(self, gateway: Running, up: Realtime, dice: random.Random) -> None:
        self.gateway, self.up, self.dice = gateway, up, dice
        self.sessions = self.turns = 0

    def connect(self, path: str = "/v1/realtime?model=gpt-realtime", key: str = "test") -> Any:
        self.sessions += 1
        headers = {"Authorization": f"Bearer {KEYS[key]}"}
        return self.gateway.session.ws_connect(self.gateway.url + path, headers=headers)

    async def until(self, socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> Given:
        async with asyncio.timeout(20):
            while True:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return {"type": "close", "code": message.data}
                said: Given = json.loads(message.data)
                if said["type"] in kinds:
                    return said

    async def spoken(self) -> None:
        """A few turns, and then any of the ends that a session may have."""
        async with self.connect() as socket:
            for _ in range(self.dice.randrange(1, 5)):
                await getattr(self, self.dice.choice(["turn", "cancelled", "speech", "heard"]))(socket)
            if self.dice.random() < 0.4:
                self.turns += 1
                await socket.send_json({"type": "response.create", "hold": True})
                await self.until(socket, "response.output_text.delta")

    async def turn(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.turns += 1
        if self.dice.random() < 0.3:
            more = {"type": "realtime", "max_output_tokens": 4_000}
            await socket.send_json({"type": "session.update", "session": more})
        await socket.send_json({"type": "response.create"})
        if self.dice.random() < 0.3:
            await socket.send_json({"type": "session.update", "session": {"max_output_tokens": "inf"}})
        await self.until(socket, "response.done")

    async def cancelled(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.turns += 1
        await socket.send_json({"type": "response.create", "hold": True})
        begun = await self.until(socket, "response.created")
        await socket.send_json({"type": "response.cancel", "response_id": begun["response"]["id"]})
        await self.until(socket, "response.done")

    async def speech(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.turns += 1
        audio = {"type": "input_audio_buffer.append", "audio": "A" * 400_000, "speech": True}
        await socket.send_json(audio)
        await self.until(socket, "response.done")

    async def heard(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.turns += 1
        await socket.send_json({"type": "input_audio_buffer.commit"})
        await self.until(socket, transcribed()["type"])

    async def written(self) -> None:
        """Several responses at once on one socket, each in a lane of its own."""
        async with self.connect("/v1/responses") as socket:
            lanes = self.dice.randrange(1, 6)
            for lane in range(lanes):
                self.turns += 1
                asked = {"type": "response.create", "stream_id": f"{lane}", "model": "gpt-4o-mini"}
                await socket.send_json(asked | {"input": "lamp " * 3_000, "max_output_tokens": 900})
            for _ in range(lanes):
                await self.until(socket, "response.completed")

    async def broke(self) -> None:
        self.turns += 1
        async with self.connect(key="broke") as socket:
            await socket.send_json({"type": "response.create"})
            assert (await self.until(socket, "error"))["error"]["code"] == "insufficient_quota"
            assert (await self.until(socket))["code"] == 1008

    async def refused(self) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with self.connect("/v1/realtime"):
                pass

    async def any(self) -> None:
        await getattr(self, self.dice.choice(["spoken", "spoken", "written", "broke", "refused"]))()


class Patient(Realtime):
    """Holds those responses that say so, until they are cancelled."""

    async def _respond(self, socket: Any, asked: Given, spoken: bool) -> None:
        self.hold = asyncio.Event() if asked.get("hold") else None
        await super()._respond(socket, asked, spoken)


@pytest.fixture
async def up() -> AsyncIterator[Realtime]:
    async with Patient() as server:
        yield server


Begin = Callable[..., Any]


@pytest.fixture
async def begin(up: Realtime, tmp_path: Path) -> AsyncIterator[Begin]:
    secrets = {name.upper(): key for name, key in KEYS.items() if name != "test"}
    async with contextlib.AsyncExitStack() as stack:

        async def _begin(more: str = TOML, limits: str = LIMITS) -> Running:
            text = configuration(up.base_url, tmp_path / "data", more, limits=limits)
            return await stack.enter_async_context(running(text, tmp_path, dict(ENVIRONMENT) | secrets))

        yield _begin


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_turn_leaves_its_row_and_all_books_agree(begin: Begin, up: Realtime, seed: int) -> None:
    gateway = await begin()
    dice = random.Random(seed)
    up.usage = lambda number: (dice.randrange(1, 20), dice.randrange(1, 900))
    told = gateway.gateway.holds = Told(gateway.gateway.holds)
    sessions = Sessions(gateway, up, dice)
    for kind in (sessions.spoken, sessions.written, sessions.broke, sessions.refused):
        await kind()
    for _ in range(ROUNDS // 5):
        await asyncio.gather(*(sessions.any() for _ in range(AT_ONCE)))
    await until(lambda: not gateway.gateway.serving)
    written = await books.agree(gateway, gateway.gateway.clients.everybody())
    turns = [row for row in written if "." in row.id]
    assert len(turns) == sessions.turns
    assert len(written) - len(turns) == sessions.sessions
    used = [row for row in turns if row.settled == "usage"]
    assert sorted((row.input, row.output) for row in used) == sorted(up.billed)
    assert {row.settled for row in turns} == {"usage", "none"}
    assert all(row.cost == row.input * IN + row.output * OUT for row in used)
    held_enough([row for row in told.leases if "." in row.id], written)


async def refusals(gateway: Running) -> list[str | None]:
    await until(lambda: not gateway.gateway.serving)
    return [row.error for row in await books.rows(gateway) if "." in row.id]


async def test_a_limit_on_an_alias_holds_in_its_sessions(begin: Begin, up: Realtime) -> None:
    more = TOML.replace("[models.aliases]", '[models.aliases]\n"our-voice" = "gpt-realtime"')
    gateway = await begin(more, '["9 tokens/total on our-voice"]')
    sessions = Sessions(gateway, up, random.Random(7))
    async with sessions.connect("/v1/realtime?model=our-voice") as socket:
        await socket.send_json({"type": "response.create", "response": {"max_output_tokens": 50}})
        assert (await sessions.until(socket, "error"))["error"]["code"] == "insufficient_quota"
    assert await refusals(gateway) == ["insufficient_quota"]
    assert "response.create" not in up.types()


@pytest.mark.parametrize(
    "more",
    [
        {"max_output_tokens": 10**9},
        {"max_output_tokens": "inf"},
        {"max_output_tokens": -1},
        {"max_output_tokens": 1e3},
        {"input": [{"type": "item_reference", "id": "item_1"}] * 20, "max_output_tokens": 10},
    ],
)
async def test_a_turn_is_held_at_its_most(begin: Begin, up: Realtime, more: Given) -> None:
    gateway = await begin(TOML, '["3000 tokens/total"]')
    sessions = Sessions(gateway, up, random.Random(7))
    async with sessions.connect() as socket:
        said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 1_000}]}
        await socket.send_json({"type": "conversation.item.create", "item": said})
        await socket.send_json({"type": "response.create", "response": more | {"conversation": "none"}})
        assert (await sessions.until(socket, "error"))["error"]["code"] == "insufficient_quota"
    assert "response.create" not in up.types()


async def test_two_bounds_in_one_turn_are_refused(begin: Begin, up: Realtime) -> None:
    gateway = await begin()
    sessions = Sessions(gateway, up, random.Random(7))
    async with sessions.connect() as socket:
        twice = '{"type":"response.create","response":{"max_output_tokens":1,"max_output_tokens":"inf"}}'
        await socket.send_str(twice)
        assert (await sessions.until(socket, "error"))["error"]["code"] == "duplicate_key"
    assert up.received == []


async def test_what_is_being_written_counts_as_read_by_the_next(begin: Begin, up: Realtime) -> None:
    gateway = await begin(TOML, '["10k tokens/total"]')
    sessions = Sessions(gateway, up, random.Random(7))
    told = gateway.gateway.holds = Told(gateway.gateway.holds)
    asked = {"type": "response.create", "hold": True, "response": {"max_output_tokens": 1_000}}
    async with sessions.connect() as socket:
        for _ in range(2):
            await socket.send_json(asked)
        await until(lambda: len(told.leases) == 2)
        first, second = told.leases
        assert second.input >= first.input + 1_000


async def test_parallel_turns_share_one_budget(begin: Begin, up: Realtime) -> None:
    gateway = await begin(TOML + '[realtime]\nexhausted = "refuse"\n', '["3500 tokens/total"]')
    sessions = Sessions(gateway, up, random.Random(7))
    up.usage = lambda number: (10, 900)
    async with sessions.connect("/v1/responses") as socket:
        for lane in range(20):
            asked = {"type": "response.create", "stream_id": f"{lane}", "model": "gpt-4o-mini", "hold": True}
            await socket.send_json(asked | {"input": "Hi.", "max_output_tokens": 1_000})
        for _ in range(17):
            await sessions.until(socket, "error")
    assert up.types().count("response.create") == 3
    assert sorted(filter(None, await refusals(gateway))) == ["insufficient_quota"] * 17


@pytest.mark.parametrize("silent", [True, False])
async def test_a_session_with_a_fee_costs_it_if_it_may_have_been_opened(
    begin: Begin, up: Realtime, silent: bool
) -> None:
    gateway = await begin()
    sessions = Sessions(gateway, up, random.Random(7))
    asked = asyncio.Event()

    async def never(request: Any) -> Any:
        asked.set()
        if silent:
            await asyncio.Event().wait()
        return aiohttp.web.json_response({"error": {}}, status=400)

    up._server.request_handler = never
    connecting = asyncio.create_task(_enter(sessions.connect("/v1/live/sessions")))
    await asked.wait()
    if silent:
        connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    await until(lambda: not gateway.gateway.serving)
    (row,) = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert (row.endpoint, row.cost) == ("live.connect", FEE if silent else 0)


async def _enter(connecting: Any) -> None:
    async with connecting:
        pass


async def test_a_transcription_is_charged_if_its_session_ends_meanwhile(begin: Begin, up: Realtime) -> None:
    """The store is asked for room while the client leaves."""
    gateway = await begin()
    sessions = Sessions(gateway, up, random.Random(7))
    asked = asyncio.Event()
    holds = gateway.gateway.holds

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(holds, name)

        async def reserve(self, *arguments: Any) -> Any:
            if arguments[2] == "reserve":
                asked.set()
                await asyncio.Event().wait()
            return await holds.reserve(*arguments)

    gateway.gateway.holds = Slow()
    for kind in (
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.append", "speech": True},
    ):
        asked.clear()
        async with sessions.connect() as socket:
            await socket.send_json(kind)
            await asked.wait()
        await until(lambda: not gateway.gateway.serving)
    written = await books.agree(gateway, gateway.gateway.clients.everybody())
    heard, spoken = [row for row in written if "." in row.id]
    assert (heard.settled, heard.input, heard.output) == ("usage", 30, 4)
    assert (spoken.cost or 0) > 0
