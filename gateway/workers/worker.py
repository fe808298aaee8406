"""A worker: it serves the public listener, and tells its supervisor what that asks."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import NoReturn, TextIO, cast

import msgspec
import uvloop

from gateway import assembly, collecting, jobs
from gateway.app import REASONS
from gateway.away.remembered import Recalled
from gateway.clients import apply
from gateway.core import Core, Given, open_core
from gateway.drain import drain
from gateway.errors import StoreUnavailable
from gateway.observability.logs import configure
from gateway.observability.snapshot import snapshot
from gateway.runtime import Tasks
from gateway.settings import Upstream
from gateway.store.base import Change
from gateway.upstream.secrets import Secret
from gateway.web.listen import Listener, listen_to_all
from gateway.workers.channel import Channel, workers
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
    Hurry,
    Known,
    Serve,
    Topic,
    ToWorker,
)

_LAST_WORDS_SECONDS = 2.0

Line = Channel[ToWorker, FromWorker]


Remote = tuple[list[Upstream], dict[str, Secret]]


def work(
    given: Given,
    remote: Remote,
    errors: TextIO,
    number: int,
    channel: socket.socket,
    listening: socket.socket,
) -> int:
    """All that a worker does, from its fork to its end; its exit status."""
    writer = configure(errors, "info")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(Worker(given, remote, listening).serve(channel, lambda: writer.dropped))
    writer.close(_LAST_WORDS_SECONDS)
    return status


class Worker:
    """`given` and `remote`, the upstreams with their keys, are what it was forked with: whoever takes a dead
    worker's place serves what that did. `listening` is its socket of the public port.
    """

    def __init__(self, given: Given, remote: Remote, listening: socket.socket) -> None:
        self._given = given
        self._remote = remote
        self._listening = listening
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._seen: dict[str, float] = {}  # upstream → when its last call ended

    async def serve(self, end: socket.socket, dropped: Callable[[], int]) -> int:
        """Until the supervisor says that it is enough."""
        line = await workers(end)
        order = await line.receive()
        if not isinstance(order, Serve):  # the supervisor has ended meanwhile
            await line.flush()
            return 0
        try:
            async with self._opened(order) as (core, listener):
                core.gateway.telemetry.watch_log(dropped)
                listening = core.background.spawn(self._listen(line, core), "listen to the supervisor")
                line.send(Accepting())
                collecting.settle()
                await self._stop.wait()
                core.gateway.telemetry.draining(True)
                listener.stop_accepting()
                await drain(core.gateway, self._given.settings.server.drain_timeout, self._hurry)
                line.send(Answer("metrics", snapshot(core.gateway.telemetry.registry)))
                listening.cancel()
        except REASONS as reason:
            line.send(Failed(str(reason)))
            await line.flush()
            return 1
        await line.flush()
        return 0

    @contextlib.asynccontextmanager
    async def _opened(self, order: Serve) -> AsyncIterator[tuple[Core, Listener]]:
        given, settings = self._given, self._given.settings
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._listening.close)
            background, telemetry = Tasks(), given.telemetry()
            store = await assembly.store_at(order.store_url, settings, stack, background, telemetry)
            upstreams, keys = self._remote
            if order.local is not None:
                upstreams = [*upstreams, order.local]
                keys = keys | {order.local.name: Secret(order.local_key, "of the local model")}

            def ended(name: str, outcome: str) -> None:
                self._seen[name] = time.monotonic()
                telemetry.upstream_outcome(name, outcome)

            core = await open_core(
                given,
                store,
                Recalled(given.data, settings.store.url),
                (upstreams, keys),
                stack,
                background,
                telemetry,
                makes_keys=False,
                on_outcome=ended,
            )
            await core.preparing.attempt()
            listener = await listen_to_all(core.gateway, store, self._listening)
            stack.push_async_callback(listener.close)
            stack.push_async_callback(background.drain, 0)
            stack.push_async_callback(core.gateway.tasks.drain, 0)
            with jobs.running(core, jobs.of_every_process(core), jobs.of_who_serves(core)):
                yield core, listener

    async def _listen(self, line: Line, core: Core) -> None:
        while (message := await line.receive()) is not None:
            if isinstance(message, Ask):
                line.send(Answer(message.topic, self._answer(message.topic, core)))
            elif isinstance(message, Changed):
                core.background.spawn(_learn(line, core, message), "learn of a change")
            elif isinstance(message, Drain):
                self._stop.set()
            elif isinstance(message, Hurry):
                self._hurry.set()
        _end_with_the_supervisor()

    def _answer(self, topic: Topic, core: Core) -> bytes:
        if topic == "metrics":
            return snapshot(core.gateway.telemetry.registry)
        if topic == "heard":
            return msgspec.msgpack.encode([Heard(*heard) for heard in core.gateway.share.heard()])
        seen = (
            Health(self._seen.get(cast(str, status["name"]), 0.0), status)
            for status in core.gateway.upstreams.status()
        )
        return msgspec.msgpack.encode(list(seen))


async def _learn(line: Line, core: Core, changed: Changed) -> None:
    """Read it now, and not when the store's push comes: with the store away that is enough."""
    change = Change(changed.kind, changed.id)
    with contextlib.suppress(StoreUnavailable):
        await apply(core.gateway.clients, core.store.keys, change, core.guard.trusted)
    line.send(Known(changed.number))


def _end_with_the_supervisor() -> NoReturn:
    """The kernel is about to do the same: nobody is left who would start the store, or count what is used."""
    os._exit(1)
