"""A worker in this process, with a store of its own, and the test as its supervisor."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec

from gateway import assembly
from gateway.config import load
from gateway.core import Given
from gateway.observability.snapshot import read
from gateway.policy.records import KeyRecord
from gateway.web.listen import bind
from gateway.workers.channel import Channel, supervisors
from gateway.workers.messages import (
    Accepting,
    Answer,
    Ask,
    Changed,
    Drain,
    Failed,
    FromWorker,
    Health,
    Heard,
    Known,
    Serve,
    ToWorker,
)
from gateway.workers.worker import Worker
from tests.running import ENVIRONMENT, configuration
from tests.scripted import Scripted
from tests.served import ask
from tests.store.conftest import connect, home, own, spawn
from tests.store.servers import Connect, Server

__all__ = ["connect", "home", "own", "spawn"]

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
Line = Channel[FromWorker, ToWorker]


class Run:
    def __init__(self, line: Line, url: str, ended: "asyncio.Task[int]") -> None:
        self.line, self.url, self.ended = line, url, ended

    async def answer(self, topic: str) -> bytes:
        self.line.send(Ask(topic))  # type: ignore[arg-type]
        answer = await self.line.receive()
        assert isinstance(answer, Answer)
        return answer.body


@contextlib.asynccontextmanager
async def run(upstream: Scripted, folder: Path, store: str, limits: str = "[]") -> AsyncIterator[Run]:
    file = folder / "gateway.toml"
    file.write_text(configuration(upstream.base_url, folder / "data", limits=limits))
    settings = load(file, ENVIRONMENT)
    bound = bind("127.0.0.1", 0, "server")
    remote = assembly.remote_upstreams(settings, ENVIRONMENT)
    worker = Worker(Given.of(settings, ENVIRONMENT), remote, bound)
    ours, theirs = socket.socketpair()
    ended = asyncio.create_task(worker.serve(theirs, lambda: 0))
    line = await supervisors(ours)
    line.send(Serve(store))
    try:
        yield Run(line, f"http://127.0.0.1:{bound.getsockname()[1]}", ended)
    finally:
        if not ended.done():
            line.send(Drain())
        await ended
        line.close()


async def test_it_serves_and_says_what_it_has_seen(upstream: Scripted, own: Server, tmp_path: Path) -> None:
    async with run(upstream, tmp_path, own.url, limits='["9 requests/day"]') as worker:
        assert await worker.line.receive() == Accepting()
        (before,) = msgspec.msgpack.decode(await worker.answer("upstreams"), type=list[Health])
        assert (before.at, before.status["up"]) == (0.0, None)
        assert (await ask(worker.url, QUESTION))[0] == 200
        (after,) = msgspec.msgpack.decode(await worker.answer("upstreams"), type=list[Health])
        assert after.at > 0
        assert (after.status["up"], after.status["last_outcome"]) == (True, "ok")
        (heard,) = msgspec.msgpack.decode(await worker.answer("heard"), type=list[Heard])
        assert (heard.scope, heard.text, heard.used) == ("key:test", "9 requests/day", 1)
        names = {table.name for _, table in read(await worker.answer("metrics")).families}
        assert {"gateway_requests", "gateway_store_up", "process_cpu_seconds"} <= names
        async with aiohttp.ClientSession() as session, session.get(worker.url + "/metrics") as answer:
            assert answer.status == 404  # it has no admin listener


async def test_it_knows_a_change_when_it_says_so(
    upstream: Scripted, own: Server, tmp_path: Path, connect: Connect
) -> None:
    store = await connect(own.url)
    digest = "0b6f4e1c5c3a2a1f7d2cfe4d9f25b1d1f0c6c7a1e4f3b2a1908070605040302a"
    async with run(upstream, tmp_path, own.url) as worker:
        await worker.line.receive()
        await store.keys.put_key(KeyRecord(id="a", name="a", digest=digest))
        worker.line.send(Changed(1, "key", "a"))
        assert await worker.line.receive() == Known(1)


async def test_its_last_words_are_what_it_has_counted(
    upstream: Scripted, own: Server, tmp_path: Path
) -> None:
    async with run(upstream, tmp_path, own.url) as worker:
        await worker.line.receive()
        assert (await ask(worker.url, QUESTION))[0] == 200
        worker.line.send(Drain())
        last = await worker.line.receive()
        assert isinstance(last, Answer)
        (requests,) = (table for _, table in read(last.body).families if table.name == "gateway_requests")
        assert sum(row[2] for row in requests.rows) == 1
        assert await worker.ended == 0


async def test_what_it_cannot_open_it_says_in_words(upstream: Scripted, tmp_path: Path) -> None:
    async with run(upstream, tmp_path, "redis://:x@127.0.0.1:1/0?nonsense=1") as worker:
        said = await worker.line.receive()
        assert isinstance(said, Failed)
        assert said.reason
        assert await worker.ended == 1


async def test_a_supervisor_that_ends_before_the_first_word_is_no_failure(
    upstream: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text(configuration(upstream.base_url, tmp_path / "data"))
    settings = load(tmp_path / "gateway.toml", ENVIRONMENT)
    with bind("127.0.0.1", 0, "server") as bound:
        ours, theirs = socket.socketpair()
        ours.close()
        worker = Worker(Given.of(settings, ENVIRONMENT), ([], {}), bound)
        assert await worker.serve(theirs, lambda: 0) == 0
