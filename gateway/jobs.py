"""What goes on beside the requests, until the gateway closes."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import msgspec

from gateway.away.replay import replay_forever
from gateway.clients import apply, follow
from gateway.core import Core
from gateway.errors import StoreUnavailable
from gateway.leases import expire_leases, keep_leases
from gateway.ledger.drainer import Drainer
from gateway.policy import ledger
from gateway.runtime import Gateway
from gateway.store.base import Change, Kept
from gateway.store.redis import RedisStore

Jobs = dict[str, Coroutine[Any, Any, None]]

_CLOCK_SECONDS = 30.0
_TRIM_SECONDS = 60.0
_LEARN_FROM = 5_000  # rows of the ledger, the newest
_LEARN_AGAIN_SECONDS = 1.0  # while the store is away
# The tokenizer takes 0.3 s to load and lets nothing else run meanwhile, so it does not get in the way of the
# very first requests. One that needs it before then loads it.
_TOKENIZER_SECONDS = 1.0


def of_every_process(core: Core) -> Jobs:
    gateway, store, guard = core.gateway, core.store, core.guard

    async def read_clients() -> None:
        await apply(gateway.clients, store.keys, Change("all"), guard.trusted)

    return {
        "prepare": core.preparing.until_done(),
        "follow clients": follow(gateway.clients, store.keys, guard.trusted),
        "follow the clock": _follow_clock(gateway, store),
        "know the store": guard.follow(read_clients),
        "replay the journal": replay_forever(
            gateway.journal, store, gateway.clock.now, gateway.share.clear, gateway.telemetry.refunded
        ),
        "sync the journal": gateway.journal.sync_forever(),
    }


def of_who_serves(core: Core) -> Jobs:
    """Each process that answers clients."""
    return {
        "keep leases": keep_leases(core.gateway),
        "load the tokenizer": _load_tokenizer(core.gateway),
        "alert": core.gateway.alerts.run(),
        "learn": _learn(core.gateway, core.store),
    }


def done_once(core: Core, drainer: Drainer | None) -> Jobs:
    """By one process of a gateway."""
    work: Jobs = {
        "expire leases": expire_leases(core.gateway),
        "trim the ledger": _trim(core.gateway, core.store),
    }
    if drainer is not None:
        work["drain the ledger"] = drainer.run()
    return work


@contextlib.contextmanager
def running(core: Core, *work: Jobs) -> Iterator[None]:
    tasks = [core.background.spawn(job, name) for jobs in work for name, job in jobs.items()]
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


async def _load_tokenizer(gateway: Gateway) -> None:
    if not gateway.tokens.loaded:
        await asyncio.sleep(_TOKENIZER_SECONDS)
        await gateway.tokens.load()


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
