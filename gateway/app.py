"""The composition root: opens everything, closes it in reverse, in one function."""

import asyncio
import contextlib
import gc
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from gateway.clients import ClientTable, follow
from gateway.config import declared, upstreams_from_environment
from gateway.drain import drain
from gateway.errors import StoreUnavailable
from gateway.firststart import FirstStart, welcome
from gateway.flights import Flights
from gateway.leases import expire_leases, keep_leases
from gateway.observability.logs import configure
from gateway.observability.logwriter import LogWriter
from gateway.policy.models import KNOWN
from gateway.policy.quota import parse_limits
from gateway.preparation import Preparation
from gateway.runtime import Clock, Gateway, Tasks, log
from gateway.settings import Settings, Upstream
from gateway.store.embedded import Embedded, EmbeddedUnavailable
from gateway.store.folder import FolderInUse, FolderUnfit
from gateway.store.redis import RedisStore, StoreMisconfigured, open_store
from gateway.telemetry import Telemetry
from gateway.tokens import TokenCounter
from gateway.upstream.local import MODEL, NAME, LocalModel, LocalModelError
from gateway.upstream.secrets import Secret, resolve
from gateway.upstream.transport import Transport
from gateway.web.listen import Listeners, bind_both, listen

Announce = Callable[[str], None]

# What each room says, in words, when it cannot be opened; anything else is a fault of ours and shows as one.
_REASONS = (StoreMisconfigured, FolderInUse, FolderUnfit, EmbeddedUnavailable, LocalModelError, OSError)

_CLOCK_SECONDS = 30.0
_SECRET_BYTES = 32


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
    except _REASONS as reason:
        raise CannotStart(str(reason)) from reason


async def _serve(
    settings: Settings, environ: Mapping[str, str], local: bool, announce: Announce, writer: LogWriter
) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: hurry.set() if stop.is_set() else stop.set()
        )
    async with opened(settings, environ, local=local, announce=announce) as app:
        app.gateway.telemetry.watch_log(lambda: writer.dropped)
        # What is there now stays: collections need not walk it, and the longest ones are the p99.
        gc.collect()
        gc.freeze()
        await stop.wait()
        app.gateway.telemetry.draining(True)
        app.listeners.stop_accepting()
        await drain(app.gateway, settings.server.drain_timeout, hurry)
    return 0


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, environ: Mapping[str, str], *, local: bool = False, announce: Announce = log.info
) -> AsyncIterator[App]:
    """Everything that a gateway needs, open while the context is. Raises what cannot be opened, in words."""
    async with contextlib.AsyncExitStack() as stack:
        tasks, background = Tasks(), Tasks()
        stack.push_async_callback(background.drain, 0)
        stack.push_async_callback(tasks.drain, 0)
        sockets = bind_both(settings)
        for bound in sockets:
            stack.callback(bound.close)
        table = _table(settings, environ)
        telemetry = Telemetry(_label_models(settings), lambda name: table.team(name) is not None)
        store, url = await _open_store(settings, stack, background, telemetry)
        telemetry.watch_store(lambda: store.up)
        upstreams, keys = await _upstreams(settings, environ, local, stack, background, announce)
        transport = Transport(upstreams, keys, telemetry.upstream_outcome)
        await transport.start()
        stack.push_async_callback(transport.close)
        gateway = Gateway(
            settings=settings,
            clients=table,
            holds=store.holds,
            answers=store.answers if settings.cache.enabled else None,
            flights=Flights(settings.cache.max_entry),
            upstreams=transport,
            tokens=TokenCounter(),
            telemetry=telemetry,
            tasks=tasks,
            clock=Clock(),
            secret=secrets.token_bytes(_SECRET_BYTES),
        )
        preparing = Preparation(gateway, store, environ)
        await preparing.attempt()
        listeners = await listen(gateway, store, preparing.admin_digest, sockets)
        stack.push_async_callback(listeners.close)
        if preparing.first is None:
            announce(f"The store at {url.rpartition('@')[2]} does not answer yet. Waiting for it.")
        preparing.tell(_welcomer(announce, _as_bound(settings, listeners), upstreams, chosen=local))
        with _background(gateway, store, preparing, background):
            yield App(gateway, listeners, store, url)


def _table(settings: Settings, environ: Mapping[str, str]) -> ClientTable:
    limits = parse_limits(settings.server.limits, "gateway")
    table = ClientTable(limits, settings.endpoints.allow, settings.cache.scope)
    table.declare(*declared(settings, environ))
    return table


def _label_models(settings: Settings) -> frozenset[str]:
    """The models that metrics may name: OpenAI's, and those that the configuration writes out."""
    named = {model for upstream in settings.upstreams for model in upstream.models if "*" not in model}
    return KNOWN | named | {MODEL} | frozenset(settings.models.aliases.values())


async def _open_store(
    settings: Settings, stack: contextlib.AsyncExitStack, tasks: Tasks, telemetry: Telemetry
) -> tuple[RedisStore, str]:
    url = settings.store.url
    if url.startswith("embedded:"):
        embedded = await Embedded.start(Path(url.removeprefix("embedded:")), spawn=tasks.spawn)
        stack.push_async_callback(embedded.stop)
        url = embedded.url
    store = await open_store(
        url,
        deadline=float(settings.store.deadline),
        timezone=settings.server.timezone,
        cache_url=settings.cache.url,
        max_memory=int(settings.cache.max_memory),
        spawn=tasks.spawn,
        on_error=telemetry.store_error,
    )
    stack.push_async_callback(store.close)
    return store, url


async def _upstreams(
    settings: Settings,
    environ: Mapping[str, str],
    local: bool,
    stack: contextlib.AsyncExitStack,
    tasks: Tasks,
    announce: Announce,
) -> tuple[list[Upstream], dict[str, Secret]]:
    """What is configured, or what the environment names; with neither, the local model."""
    upstreams = settings.upstreams or upstreams_from_environment(environ)
    keys = {upstream.name: resolve(upstream.api_key, environ) for upstream in upstreams}
    if local or not upstreams:
        model = await LocalModel.start(announce, tasks.spawn)
        stack.push_async_callback(model.stop)
        upstreams = [*upstreams, model.settings]
        keys[model.settings.name] = model.secret
    return upstreams, keys


def _as_bound(settings: Settings, listeners: Listeners) -> Settings:
    """With the ports that were got, where any free one was asked for."""
    return msgspec.structs.replace(
        settings,
        server=msgspec.structs.replace(settings.server, port=listeners.public_port),
        admin=msgspec.structs.replace(settings.admin, port=listeners.admin_port),
    )


def _welcomer(
    announce: Announce, settings: Settings, upstreams: list[Upstream], *, chosen: bool
) -> Callable[[FirstStart], None]:
    remote = [upstream for upstream in upstreams if upstream.name != NAME]
    local = len(remote) < len(upstreams)
    return lambda first: announce(welcome(first, settings, remote, local=local, chosen=chosen))


@contextlib.contextmanager
def _background(
    gateway: Gateway, store: RedisStore, preparing: Preparation, background: Tasks
) -> Iterator[None]:
    """What goes on beside the requests, until the gateway closes."""
    work = {
        "prepare": preparing.until_done(),
        "follow clients": follow(gateway.clients, store.keys),
        "keep leases": keep_leases(gateway),
        "expire leases": expire_leases(gateway),
        "follow the clock": _follow_clock(gateway, store),
        "load the tokenizer": gateway.tokens.load(),
    }
    tasks = [background.spawn(coroutine, name) for name, coroutine in work.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _follow_clock(gateway: Gateway, store: RedisStore) -> None:
    while True:
        await asyncio.sleep(_CLOCK_SECONDS)
        with contextlib.suppress(StoreUnavailable):
            gateway.clock.offset = await store.time_offset()
