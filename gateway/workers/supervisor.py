"""The supervisor: the composition root of a gateway that is several processes.

It has the store, the admin listener, and what must be done once; the workers serve. It never has a client.
"""

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TextIO, cast

import uvloop

from gateway import administration, assembly, collecting, jobs
from gateway.app import REASONS, CannotStart, on_signals
from gateway.assembly import Announce
from gateway.away.remembered import Remembered
from gateway.configuration.processes import processes
from gateway.core import Core, Given, open_core
from gateway.ledger.drainer import Drainer
from gateway.observability.logs import configure
from gateway.observability.logwriter import LogWriter
from gateway.runtime import Tasks
from gateway.settings import Settings, Upstream
from gateway.upstream.local import NAME
from gateway.upstream.secrets import Secret
from gateway.web.listen import bind, listen_to_admin
from gateway.workers.crew import Crew
from gateway.workers.messages import Serve
from gateway.workers.nursery import Nursery
from gateway.workers.port import SharedPort
from gateway.workers.together import Together
from gateway.workers.wholelines import WholeLines
from gateway.workers.worker import work

_MARGIN_SECONDS = 20.0  # beyond `server.drain_timeout`, for the last settlements of a worker


@dataclass(frozen=True, slots=True)
class Ports:
    public_port: int
    admin_port: int


def supervise(settings: Settings, environ: Mapping[str, str], *, local: bool, announce: Announce) -> int:
    """As `app.run`, with workers. To be called while this process has one thread and no event loop.

    Raises CannotStart.
    """
    if sys.platform != "linux":
        raise CannotStart("several workers need Linux: set [server] workers = 1")
    given = Given.of(settings, environ)
    remote = assembly.remote_upstreams(settings, environ)
    given.tokens.load_now()
    errors = cast(TextIO, WholeLines(sys.stderr.fileno()))
    collecting.share()
    nursery = Nursery.fork(functools.partial(work, given, remote, errors))
    writer = configure(errors, "info")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(given, nursery, local, announce, writer))
    except REASONS as reason:
        raise CannotStart(str(reason)) from reason
    finally:
        nursery.close()


async def _serve(given: Given, nursery: Nursery, local: bool, announce: Announce, writer: LogWriter) -> int:
    stop, hurry = on_signals()
    async with _opened(given, nursery, local, announce) as (core, crew):
        core.gateway.telemetry.watch_log(lambda: writer.dropped)
        collecting.settle()
        await _until_told(core, crew, stop)
        if not crew.failed.done():
            core.gateway.draining = True
            core.gateway.telemetry.draining(True)
            await _end(core, crew, hurry)
    if crew.failed.done():
        raise CannotStart(crew.failed.result())
    return 0


@contextlib.asynccontextmanager
async def _opened(
    given: Given, nursery: Nursery, local: bool, announce: Announce
) -> AsyncIterator[tuple[Core, Crew]]:
    """Everything but the workers' own, open while the context is. Raises what cannot be opened, in words."""
    settings = given.settings
    async with contextlib.AsyncExitStack() as stack:
        background, telemetry = Tasks(), given.telemetry()
        port = SharedPort.open(settings.server.host, settings.server.port)
        stack.callback(port.close)
        back = bind(settings.admin.host, settings.admin.port, "admin")
        stack.callback(back.close)
        store, url = await assembly.store(settings, stack, background, telemetry)
        sink = assembly.sink(settings, given.environ, stack, given.data)
        upstreams, keys = await assembly.upstreams(
            settings, given.environ, local, stack, background, announce
        )
        remembered = Remembered(given.data, settings.store.url)
        core = await open_core(
            given, store, remembered, (upstreams, keys), stack, background, telemetry, makes_keys=True
        )
        drainer = Drainer(store.ledger, sink, trusted=core.guard.trusted) if sink is not None else None
        together = Together(core.gateway)
        backing = administration.backing(core, sink, together, together.recall)
        listener = await listen_to_admin(core.gateway, store, core.preparing.admin_digest, backing, back)
        stack.push_async_callback(listener.close)
        administration.end_well(core, drainer, stack)
        crew = together.crew = Crew(
            nursery,
            port,
            processes(settings.server),
            _first_message(url, upstreams, keys),
            background,
            together.answered,
            together.ended,
        )
        telemetry.watch_workers(lambda: len(crew.accepting), lambda: crew.restarts)
        stack.callback(crew.close)
        work = {"keep what workers count": together.poll()}
        with jobs.running(core, jobs.of_every_process(core), jobs.done_once(core, drainer), work):
            crew.start()
            await core.preparing.attempt()
            await crew.started()
            if not crew.failed.done():
                administration.greet(core, url, announce)
                ports = Ports(port.port, listener.port)
                core.preparing.tell(assembly.welcomer(announce, settings, ports, upstreams, chosen=local))
                together.ready = True
            yield core, crew


def _first_message(url: str, upstreams: list[Upstream], keys: Mapping[str, Secret]) -> Serve:
    """The local model is the supervisor's child; the other upstreams are known to the workers already."""
    local = next((upstream for upstream in upstreams if upstream.name == NAME), None)
    return Serve(url) if local is None else Serve(url, local, keys[NAME].reveal())


async def _until_told(core: Core, crew: Crew, stop: asyncio.Event) -> None:
    """Wait for the signal to end, or until the workers cannot go on."""
    stopped = core.background.spawn(stop.wait(), "first signal")
    await asyncio.wait({stopped, crew.failed}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


async def _end(core: Core, crew: Crew, hurry: asyncio.Event) -> None:
    """Have the workers finish what they have begun. Whoever is left much later is killed."""
    crew.drain()
    ended = core.background.spawn(crew.ended(), "the workers' end")
    hurried = core.background.spawn(hurry.wait(), "second signal")
    seconds = core.gateway.settings.server.drain_timeout + _MARGIN_SECONDS
    await asyncio.wait({ended, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        crew.hurry()
        await asyncio.wait({ended}, timeout=_MARGIN_SECONDS)
    if not ended.done():
        crew.kill()
        await ended
    hurried.cancel()
