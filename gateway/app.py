"""The composition root of a gateway that is one process: opens everything, closes it in reverse.

`workers` has the one of a gateway that is several; both are made of `core`, `jobs` and `administration`.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import uvloop

from gateway import administration, assembly, collecting, jobs
from gateway.assembly import Announce
from gateway.away.remembered import Remembered
from gateway.core import Given, open_core
from gateway.drain import drain
from gateway.ledger.drainer import Drainer
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.observability.logs import configure
from gateway.observability.logwriter import LogWriter
from gateway.runtime import Gateway, Tasks, log
from gateway.settings import Settings
from gateway.store.embedded import EmbeddedUnavailable
from gateway.store.folder import FolderInUse, FolderUnfit
from gateway.store.redis import RedisStore, StoreMisconfigured
from gateway.upstream.local import LocalModelError
from gateway.web.listen import Listeners, bind_both, listen

# What each room says, in words, when it cannot be opened; anything else is a fault of ours and shows as one.
REASONS = (
    *(StoreMisconfigured, FolderInUse, FolderUnfit, EmbeddedUnavailable, LocalModelError),
    *(SinkMisconfigured, SinkUnavailable, OSError),
)


class CannotStart(Exception):
    """Something that the gateway needs is not to be had; the message says what to do."""


@dataclass(slots=True)
class App:
    """A gateway that is open: what `opened` yields."""

    gateway: Gateway
    listeners: Listeners
    store: RedisStore
    store_url: str  # where the store is, also when it is an embedded one


def run(settings: Settings, environ: Mapping[str, str], *, local: bool, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the exit status. A second signal does not wait.

    Raises CannotStart.
    """
    writer = configure(sys.stderr, "info")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, environ, local, announce, writer))
    except REASONS as reason:
        raise CannotStart(str(reason)) from reason


async def _serve(
    settings: Settings, environ: Mapping[str, str], local: bool, announce: Announce, writer: LogWriter
) -> int:
    stop, hurry = on_signals()
    async with opened(settings, environ, local=local, announce=announce) as app:
        app.gateway.telemetry.watch_log(lambda: writer.dropped)
        app.gateway.telemetry.watch_workers(lambda: 1, lambda: 0)
        collecting.settle()
        await stop.wait()
        app.gateway.telemetry.draining(True)
        app.listeners.stop_accepting()
        await drain(app.gateway, settings.server.drain_timeout, hurry)
    return 0


def on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first SIGTERM or SIGINT, and by the second."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: hurry.set() if stop.is_set() else stop.set()
        )
    return stop, hurry


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, environ: Mapping[str, str], *, local: bool = False, announce: Announce = log.info
) -> AsyncIterator[App]:
    """Everything that a gateway needs, open while the context is. Raises what cannot be opened, in words."""
    async with contextlib.AsyncExitStack() as stack:
        background = Tasks()
        sockets = bind_both(settings)
        for bound in sockets:
            stack.callback(bound.close)
        given = Given.of(settings, environ)
        telemetry = given.telemetry()
        store, url = await assembly.store(settings, stack, background, telemetry)
        sink = assembly.sink(settings, environ, stack, given.data)
        upstreams = await assembly.upstreams(settings, environ, local, stack, background, announce)
        remembered = Remembered(given.data, settings.store.url)
        core = await open_core(
            given, store, remembered, upstreams, stack, background, telemetry, makes_keys=True
        )
        drainer = Drainer(store.ledger, sink, trusted=core.guard.trusted) if sink is not None else None
        await core.preparing.attempt()
        backing = administration.backing(core, sink)
        listeners = await listen(core.gateway, store, core.preparing.admin_digest, backing, sockets)
        stack.push_async_callback(listeners.close)
        administration.greet(core, url, announce)
        core.preparing.tell(assembly.welcomer(announce, settings, listeners, upstreams[0], chosen=local))
        administration.end_well(core, drainer, stack)
        work = jobs.of_every_process(core), jobs.of_who_serves(core), jobs.done_once(core, drainer)
        with jobs.running(core, *work):
            yield App(core.gateway, listeners, store, url)
