"""What uploads, downloads and sessions take is given back, however they end: their files above all."""

import asyncio
import contextlib
import gc
import json
import os
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import psutil
import pytest

from gateway.exchange import Exchange
from tests.conftest import Start
from tests.e2e.test_resources import Taken, taken
from tests.realtime import Realtime
from tests.running import KEY, Running, configuration, running
from tests.scripted import Answer, Scripted, Seen, Wire, head
from tests.scripted import json as plain
from tests.waiting import until, until_answer

TIMES = 10 if os.environ.get("GATEWAY_PROOF") else 1
REQUESTS = 200 * TIMES
SESSIONS = 60 * TIMES
AT_ONCE = 10
LIMITS = '["1M requests/second", "1000M tokens/minute", "5000 concurrent"]'
OPEN = '[endpoints]\nallow = ["all"]\nownership = "off"\n'
LEAST_PROOF = 40 * 2**20  # bytes by which an idle process may grow: its caches, its allocator's fragments

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*parts: tuple[str, bytes]) -> bytes:
    said = [
        b'--frontier\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)
        for name, value in parts
    ]
    return b"".join(said) + b"--frontier--\r\n"


BIG = bytes(600_000)
MODEL = ("model", b"m-1")
# The second, the third and the fifth are put aside in files.
UPLOADS = [
    ("/v1/audio/transcriptions", form(MODEL, ("file", BIG))),
    ("/v1/audio/transcriptions", form(("file", BIG), MODEL)),
    ("/v1/images/edits", form(MODEL, ("prompt", b"a"), ("image", BIG))),
    ("/v1/files", form(("purpose", b"batch"), ("file", BIG))),
    ("/v1/videos", form(("input_reference", BIG), MODEL)),
]
PROMPTS = {"model": "gpt-4o-mini", "prompt": ["a", "b", "c"], "max_tokens": 9}


async def _answers(seen: Seen, wire: Wire) -> None:
    """As the query says: at once, never, in half, as a large download, …"""
    kind = seen.path.rpartition("kind=")[2]
    seen.body = b""  # not kept: it is the gateway's memory that is measured
    if kind == "silent":
        await asyncio.Event().wait()
    elif kind == "half":
        await wire.send(head(200, [("Content-Type", "audio/mpeg"), ("Content-Length", "99999")]) + bytes(999))
        await asyncio.Event().wait()
    elif kind == "cut":
        await wire.send(head(200, [("Content-Type", "audio/mpeg"), ("Content-Length", "99999")]) + bytes(999))
        wire.close()
    elif kind == "large":
        await plain(200, bytes(900_000), [("Content-Type", "audio/mpeg")]).send(seen, wire)
    elif kind == "refused":
        await plain(500, {"error": {"message": "no"}}).send(seen, wire)
    elif "/chat/" in seen.path:
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
        await plain(200, {"id": "c", "choices": [choice], "usage": usage}).send(seen, wire)
    else:
        await plain(200, {"id": "x_1", "text": "a"}).send(seen, wire)


KINDS = ("usual", "silent", "half", "cut", "large", "refused")


class Clients:
    """They send all or a part, read all or a part, and leave when it pleases them."""

    def __init__(self, gateway: Running) -> None:
        self._port = gateway.app.listeners.public_port
        self._chance = random.Random(7)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def one(self, number: int) -> None:
        async with self._room:
            kind = self._chance.choice(KINDS)
            path, body, content_type = self._asked()
            part = len(body) if self._chance.random() < 0.6 else self._chance.randrange(len(body))
            lines = [f"POST {path}?kind={kind} HTTP/1.1", "Host: a", f"Authorization: Bearer {KEY}"]
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "", ""]
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.suppress(ConnectionError, TimeoutError):
                writer.write("\r\n".join(lines).encode() + body[:part])
                async with asyncio.timeout(0.2 if self._chance.random() < 0.9 else 1):
                    await writer.drain()
                    await reader.read(self._chance.choice([1, 500, 2_000_000]))
            writer.transport.abort()

    def _asked(self) -> tuple[str, bytes, str]:
        if self._chance.random() < 0.2:
            return "/v1/completions", json.dumps(PROMPTS).encode(), "application/json"
        if self._chance.random() < 0.2:
            said = {"model": "m-1", "voice": "alloy", "input": "lamp"}
            return "/v1/audio/speech", json.dumps(said).encode(), "application/json"
        path, body = self._chance.choice(UPLOADS)
        return path, body, FORM


@pytest.fixture(autouse=True)
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spools"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def given_back(gateway: Running, upstream: Scripted, before: Taken) -> None:
    for connection in list(upstream._open):
        connection.break_off()

    async def left() -> Taken:
        """Idle connections of before may have been closed meanwhile: fewer descriptors are none too many."""
        now = await taken(gateway, upstream)
        return replace(now, descriptors=max(now.descriptors, before.descriptors))

    await until_answer(left, before)


def exchanges() -> int:
    """How many requests' records are still in memory."""
    gc.collect()
    return sum(isinstance(each, Exchange) for each in gc.get_objects())


@pytest.mark.timeout(60 * TIMES)
async def test_uploads_and_downloads_give_everything_back(
    start: Start, upstream: Scripted, spools: Path
) -> None:
    gateway = await start(OPEN, limits=LIMITS)
    await until(lambda: all(task.get_name() != "load the tokenizer" for task in asyncio.all_tasks()))
    upstream.plan(Answer(_answers))
    await asyncio.gather(*map(Clients(gateway).one, range(AT_ONCE * 2)))  # whatever is opened once, is now
    await until(lambda: not gateway.gateway.serving)
    await gateway.concluded()
    for connection in list(upstream._open):
        connection.break_off()
    await upstream.until(lambda: upstream.open_connections == 0)
    upstream.requests.clear()
    memory, before = psutil.Process().memory_info().rss, await taken(gateway, upstream)
    records = exchanges()
    await asyncio.gather(*map(Clients(gateway).one, range(REQUESTS)))
    await until(lambda: not gateway.gateway.serving)
    await gateway.concluded()
    upstream.requests.clear()
    await given_back(gateway, upstream, before)
    assert list(spools.iterdir()) == []
    assert not [each for each in os.listdir("/proc/self/fd") if "spools" in _target(each)]
    assert exchanges() <= records + 2  # of connections that are kept
    assert psutil.Process().memory_info().rss - memory < LEAST_PROOF


def _target(descriptor: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")
    return ""


# ---- sessions ---------------------------------------------------------------------------------------------


@pytest.fixture
async def spoken(tmp_path: Path) -> AsyncIterator[tuple[Running, Realtime]]:
    async with Realtime() as up:
        text = configuration(up.base_url, tmp_path / "data", OPEN, limits=LIMITS)
        async with running(text, tmp_path) as gateway:
            yield gateway, up


class Talkers:
    """They open sessions, ask, and leave with or without a word."""

    def __init__(self, gateway: Running, session: aiohttp.ClientSession) -> None:
        self._gateway, self._session = gateway, session
        self._chance = random.Random(7)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def one(self, number: int) -> None:
        async with self._room:
            path = self._chance.choice(["/v1/realtime?model=gpt-realtime", "/v1/responses"])
            talking = asyncio.create_task(self._talk(path))
            if self._chance.random() < 0.5:
                for _ in range(self._chance.randrange(60)):
                    await asyncio.sleep(0)
                talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    async def _talk(self, path: str) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._session.ws_connect(self._gateway.url + path, headers=headers) as socket:
            for _ in range(self._chance.randrange(4)):
                await socket.send_json(
                    {"type": "response.create", "model": "gpt-4o-mini", "input": "a", "speech": True}
                )
                if self._chance.random() < 0.7:
                    await socket.receive()
            if self._chance.random() < 0.3:
                assert socket._response.connection is not None
                assert socket._response.connection.transport is not None
                socket._response.connection.transport.abort()


@pytest.mark.timeout(60 * TIMES)
async def test_sessions_give_everything_back(spoken: tuple[Running, Realtime]) -> None:
    gateway, up = spoken
    await until(lambda: all(task.get_name() != "load the tokenizer" for task in asyncio.all_tasks()))

    async def rush(count: int) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*map(Talkers(gateway, session).one, range(count)))
        await until(lambda: not gateway.gateway.serving)
        await gateway.concluded()
        await until(lambda: not up.sockets)

    await rush(AT_ONCE)
    before = await _of_sessions(gateway)
    memory, records = psutil.Process().memory_info().rss, exchanges()
    await rush(SESSIONS)
    await until_answer(_fewer(lambda: _of_sessions(gateway), before), before)
    assert exchanges() <= records + 2
    assert psutil.Process().memory_info().rss - memory < LEAST_PROOF


Counted = tuple[tuple[str, ...], int, int, int, int]


async def _of_sessions(gateway: Running) -> Counted:
    inside = gateway.gateway
    client = inside.clients.client("test")
    assert client is not None
    standings = await inside.holds.standings(client.shard, client.limits, inside.clock.now())
    tasks = tuple(sorted(task.get_name() for task in inside.tasks.running()))
    calls = sum(one["in_flight"] for one in inside.upstreams.status())
    slots = standings[-1].used
    return tasks, len(os.listdir("/proc/self/fd")), calls, len(inside.open_holds), slots


def _fewer(ask: Callable[[], Awaitable[Counted]], before: Counted) -> Callable[[], Awaitable[Counted]]:
    async def left() -> Counted:
        tasks, descriptors, *others = await ask()
        return (tasks, max(descriptors, before[1]), *others)  # type: ignore[return-value]

    return left
