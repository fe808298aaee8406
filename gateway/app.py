"""The composition root: opens everything, closes it in reverse, in one function."""

import asyncio
import contextlib
import gc
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop

from gateway import assembly
from gateway.assembly import Announce
from gateway.away.epoch import EpochGuard
from gateway.away.journal import Journal
from gateway.away.remembered import Remembered
from gateway.away.replay import replay_forever
from gateway.away.restoring import accept
from gateway.away.share import LocalShare
from gateway.clients import apply, follow
from gateway.drain import drain
from gateway.errors import StoreUnavailable
from gateway.flights import Flights
from gateway.learned import Learned
from gateway.leases import expire_leases, keep_leases
from gateway.ledger.drainer import Drainer
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.history import History
from gateway.ledger.sink import Sink
from gateway.ledger.verify import verify
from gateway.observability.logs import configure
from gateway.observability.logwriter import LogWriter
from gateway.owners import Ownership
from gateway.policy import ledger
from gateway.policy.windows import Calendar
from gateway.preparation import Preparation
from gateway.pricing.book import PriceBook
from gateway.runtime import Clock, Gateway, Tasks, log
from gateway.settings import Settings
from gateway.store.base import Change, Kept
from gateway.store.embedded import EmbeddedUnavailable
from gateway.store.folder import FolderInUse, FolderUnfit
from gateway.store.redis import RedisStore, StoreMisconfigured
from gateway.succession import Succession
from gateway.telemetry import Telemetry
from gateway.tokens import TokenCounter
from gateway.upstream.local import LocalModelError
from gateway.upstream.transport import Transport
from gateway.web.admin import Backing
from gateway.web.listen import Listeners, bind_both, listen

# What each room says, in words, when it cannot be opened; anything else is a fault of ours and shows as one.
_REASONS = (
    *(StoreMisconfigured, FolderInUse, FolderUnfit, EmbeddedUnavailable, LocalModelError),
    *(SinkMisconfigured, SinkUnavailable, OSError),
)

_CLOCK_SECONDS = 30.0
_SECRET_BYTES = 32
_GARBAGE = 10_000  # objects
_TRIM_SECONDS = 60.0
_FAREWELL_SECONDS = 5.0  # for rows that are not in the ledger's database yet
_LEARN_FROM = 5_000  # rows of the ledger, the newest
_LEARN_AGAIN_SECONDS = 1.0  # while the store is away


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
        # A request makes and drops thousands of objects, next to none of them in a cycle: to look for those
        # after every 700 new ones, as is the default, takes 5 % of a request's time.
        gc.set_threshold(_GARBAGE)
        await stop.wait()
        app.gateway.telemetry.draining(True)
        app.listeners.stop_accepting()
        await drain(app.gateway, settings.server.drain_timeout, hurry)
    return 0


@dataclass(slots=True)
class Parts:
    """What works beside the gateway's requests, and is neither of the gateway nor of the listeners."""

    store: RedisStore
    guard: EpochGuard
    preparing: Preparation
    sink: Sink | None
    drainer: Drainer | None


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, environ: Mapping[str, str], *, local: bool = False, announce: Announce = log.info
) -> AsyncIterator[App]:
    """Everything that a gateway needs, open while the context is. Raises what cannot be opened, in words."""
    async with contextlib.AsyncExitStack() as stack:
        tasks, background = Tasks(), Tasks()
        sockets = bind_both(settings)
        for bound in sockets:
            stack.callback(bound.close)
        table = assembly.client_table(settings, environ)
        models = assembly.label_models(settings)
        telemetry = Telemetry(models, lambda name: table.team(name) is not None)
        store, url = await assembly.store(settings, stack, background, telemetry)
        data = assembly.data_folder(settings)
        guard = EpochGuard(store, Remembered(data, settings.store.url))
        journal = Journal.open(data / "journal")
        stack.callback(journal.close)
        sink = assembly.sink(settings, environ, stack, data)
        upstreams, keys = await assembly.upstreams(settings, environ, local, stack, background, announce)
        transport = Transport(upstreams, keys, telemetry.upstream_outcome)
        await transport.start()
        stack.push_async_callback(transport.close)
        clock, calendar = Clock(), Calendar(settings.server.timezone)

        def trusted() -> bool:
            return store.up and guard.complaint is None

        owners = Ownership(store.owners, background.spawn, trusted)
        stack.push_async_callback(owners.close)
        gateway = Gateway(
            settings=settings,
            clients=table,
            holds=store.holds,
            answers=store.answers if settings.cache.enabled else None,
            flights=Flights(settings.cache.max_entry, settings.server.usage_wait),
            upstreams=transport,
            tokens=TokenCounter(),
            telemetry=telemetry,
            tasks=tasks,
            clock=clock,
            calendar=calendar,
            prices=PriceBook(settings.prices, upstreams),
            learned=Learned(),
            share=LocalShare(settings.away, settings.server.timezone),
            journal=journal,
            alerts=await assembly.alerts(
                settings, environ, stack, store, clock, calendar, background, telemetry
            ),
            trusts_store=trusted,
            owners=owners,
            succession=Succession(settings.models, models),
            secret=secrets.token_bytes(_SECRET_BYTES),
            known_models=models,
        )
        preparing = Preparation(gateway, store, environ, guard)
        drainer = Drainer(store.ledger, sink, trusted=guard.trusted) if sink is not None else None
        parts = Parts(store, guard, preparing, sink, drainer)
        await preparing.attempt()
        listeners = await listen(gateway, store, preparing.admin_digest, _backing(gateway, parts), sockets)
        stack.push_async_callback(listeners.close)
        if preparing.first is None:
            announce(
                guard.complaint
                or f"The store at {url.rpartition('@')[2]} does not answer yet. Waiting for it."
            )
        preparing.tell(assembly.welcomer(announce, settings, listeners, upstreams, chosen=local))
        _watch(gateway, parts)
        stack.push_async_callback(background.drain, 0)
        if drainer is not None:
            stack.push_async_callback(drainer.finish, _FAREWELL_SECONDS)
        stack.push_async_callback(tasks.drain, 0)
        with _background(gateway, parts, background):
            yield App(gateway, listeners, store, url)


def _backing(gateway: Gateway, parts: Parts) -> Backing:
    store, sink = parts.store, parts.sink
    return Backing(
        history=History(store.ledger, sink),
        verify=lambda after, most: verify(store.ledger, sink, after, most),
        accept=lambda without_keys: accept(
            parts.guard,
            gateway,
            store,
            admin_digest=parts.preparing.admin_digest(),
            sink=sink,
            without_keys=without_keys,
        ),
        complaint=lambda: parts.guard.complaint,
    )


def _watch(gateway: Gateway, parts: Parts) -> None:
    telemetry, drainer = gateway.telemetry, parts.drainer
    telemetry.watch_store(lambda: parts.store.up)
    telemetry.watch_reset(lambda: parts.guard.complaint is not None)
    telemetry.watch_endings(lambda: gateway.succession.time_left(gateway.clock.now()))
    telemetry.watch_reservations(lambda: len(gateway.open_holds))
    telemetry.watch_journal(lambda: len(gateway.journal), lambda: gateway.journal.replayed)
    if drainer is not None:
        telemetry.watch_ledger(lambda: drainer.drained, lambda: drainer.lost)


@contextlib.contextmanager
def _background(gateway: Gateway, parts: Parts, background: Tasks) -> Iterator[None]:
    """What goes on beside the requests, until the gateway closes."""
    store, guard = parts.store, parts.guard

    async def read_clients() -> None:
        await apply(gateway.clients, store.keys, Change("all"), guard.trusted)

    work: dict[str, Coroutine[Any, Any, None]] = {
        "prepare": parts.preparing.until_done(),
        "follow clients": follow(gateway.clients, store.keys, guard.trusted),
        "keep leases": keep_leases(gateway),
        "expire leases": expire_leases(gateway),
        "follow the clock": _follow_clock(gateway, store),
        "load the tokenizer": gateway.tokens.load(),
        "know the store": guard.follow(read_clients),
        "replay the journal": replay_forever(
            gateway.journal, store, gateway.clock.now, gateway.share.clear, gateway.telemetry.refunded
        ),
        "sync the journal": gateway.journal.sync_forever(),
        "alert": gateway.alerts.run(),
        "learn": _learn(gateway, store),
        "trim the ledger": _trim(gateway, store),
    }
    if parts.drainer is not None:
        work["drain the ledger"] = parts.drainer.run()
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


async def _learn(gateway: Gateway, store: RedisStore) -> None:
    """From what was answered before this process started, as soon as the store says it."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            rows = await store.ledger.newest(None, _LEARN_FROM)
            gateway.learned.warm(_readable(rows))
            return
        await asyncio.sleep(_LEARN_AGAIN_SECONDS)


def _readable(rows: Sequence[Kept]) -> Iterator[ledger.Row]:
    """Oldest first, without those that another version has written."""
    for kept in reversed(rows):
        with contextlib.suppress(msgspec.DecodeError):
            yield ledger.decode(kept.row)


async def _trim(gateway: Gateway, store: RedisStore) -> None:
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store.ledger.trim(gateway.clock.now())
        await asyncio.sleep(_TRIM_SECONDS)
